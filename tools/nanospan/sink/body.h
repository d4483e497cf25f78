// SPDX-License-Identifier: Apache-2.0
//
// Decompression of request bodies, up to a limit.
#ifndef NANOSPAN_SINK_BODY_H
#define NANOSPAN_SINK_BODY_H

#include "support/text.h"

// What sink_gunzip returns if the uncompressed bytes would exceed the limit.
extern const char SINK_TOO_LARGE[];

// Returns NULL, or what is wrong. The contents of several gzip members are joined. `most`: the limit in
// bytes.
const char *sink_gunzip(const text *packed, size_t most, text *plain);

#endif
