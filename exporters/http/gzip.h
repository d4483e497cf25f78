// SPDX-License-Identifier: Apache-2.0
//
// A gzip compressor whose output buffer is allocated once; and decompression, for replies.
#ifndef NSP_HTTP_GZIP_H
#define NSP_HTTP_GZIP_H

#include <nanospan/base.h>

typedef struct nsp__gzip nsp__gzip;

// For inputs of up to max_input bytes. NULL: out of memory.
nsp__gzip *nsp__gzip_create(size_t max_input);
// NULL is fine.
void nsp__gzip_destroy(nsp__gzip *gzip);
// Returns the compressed bytes, valid until the next call; NULL if the input is longer than max_input. One
// thread at a time.
const uint8_t *nsp__gzip_compress(nsp__gzip *gzip, const uint8_t *input, size_t length, size_t *compressed);

// Returns the decompressed bytes, which the caller frees. NULL: not gzip, more than `most` bytes, or out of
// memory.
uint8_t *nsp__gunzip(const uint8_t *input, size_t length, size_t most, size_t *unpacked);

#endif
