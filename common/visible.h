// SPDX-License-Identifier: Apache-2.0
//
// Makes texts fit for a log line: characters that would be invisible there, or would break the line, become
// visible.
#ifndef NSP_COMMON_VISIBLE_H
#define NSP_COMMON_VISIBLE_H

#include <stddef.h>

// Writes the text, with control characters in the form \n, \t or \x1b, and cuts it if it does not fit. size
// is at least 1. Returns out.
const char *nsp__visible(char *out, size_t size, const char *text);

#endif
