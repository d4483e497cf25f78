// SPDX-License-Identifier: Apache-2.0
#include "http/gzip.h"

#include <libdeflate.h>
#include <stdlib.h>

// Level 1 removes most of the repetition in spans; higher levels cost several times as much for a few
// percent.
enum { LEVEL = 1 };

struct nsp__gzip {
    struct libdeflate_compressor *compressor;
    uint8_t *output;
    size_t room;
    size_t max_input;
};

nsp__gzip *nsp__gzip_create(size_t max_input)
{
    nsp__gzip *gzip = calloc(1, sizeof *gzip);
    if (gzip == NULL)
        return NULL;
    gzip->max_input = max_input;
    gzip->compressor = libdeflate_alloc_compressor(LEVEL);
    if (gzip->compressor != NULL) {
        gzip->room = libdeflate_gzip_compress_bound(gzip->compressor, max_input);
        gzip->output = malloc(gzip->room);
    }
    if (gzip->output != NULL)
        return gzip;
    nsp__gzip_destroy(gzip);
    return NULL;
}

void nsp__gzip_destroy(nsp__gzip *gzip)
{
    if (gzip == NULL)
        return;
    if (gzip->compressor != NULL)
        libdeflate_free_compressor(gzip->compressor);
    free(gzip->output);
    free(gzip);
}

const uint8_t *nsp__gzip_compress(nsp__gzip *gzip, const uint8_t *input, size_t length, size_t *compressed)
{
    if (length > gzip->max_input)
        return NULL;
    *compressed = libdeflate_gzip_compress(gzip->compressor, input, length, gzip->output, gzip->room);
    return *compressed ? gzip->output : NULL;
}

uint8_t *nsp__gunzip(const uint8_t *input, size_t length, size_t most, size_t *unpacked)
{
    enum { TAIL_BYTES = 4, LEAST_BYTES = 18 };
    if (length < LEAST_BYTES)
        return NULL;
    // The last bytes are the length before compression.
    const uint8_t *tail = input + length - TAIL_BYTES;
    size_t room = (size_t)tail[0] | (size_t)tail[1] << 8 | (size_t)tail[2] << 16 | (size_t)tail[3] << 24;
    if (room > most)
        return NULL;
    struct libdeflate_decompressor *decompressor = libdeflate_alloc_decompressor();
    uint8_t *output = decompressor != NULL ? malloc(room + 1) : NULL;
    size_t used = 0;
    if (output != NULL && (libdeflate_gzip_decompress_ex(decompressor, input, length, output, room, &used,
                                                         unpacked) != LIBDEFLATE_SUCCESS ||
                           used != length)) {
        free(output);
        output = NULL;
    }
    if (decompressor != NULL)
        libdeflate_free_decompressor(decompressor);
    return output;
}
