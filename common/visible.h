// SPDX-License-Identifier: Apache-2.0
//
// Texts for a log line: what would not be seen there, or would break it, becomes visible.
#ifndef NSP_COMMON_VISIBLE_H
#define NSP_COMMON_VISIBLE_H

#include <stddef.h>

// Writes the text with control characters as \n, \t or \x1b, cut where it does not fit. Returns out. size is
// at least 1.
const char *nsp__visible(char *out, size_t size, const char *text);

#endif
