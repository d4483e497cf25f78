// SPDX-License-Identifier: Apache-2.0
//
// Decompression of request bodies, bounded.
#ifndef NANOSPAN_SINK_BODY_H
#define NANOSPAN_SINK_BODY_H

#include "support/text.h"

// What sink_gunzip returns where the plain bytes would be more than it may make of them.
extern const char SINK_TOO_LARGE[];

// NULL, or what is wrong. Several gzip members one after the other mean their contents one after the other.
const char *sink_gunzip(const text *packed, size_t most, text *plain);

#endif
