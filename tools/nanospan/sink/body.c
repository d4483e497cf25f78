// SPDX-License-Identifier: Apache-2.0
#include "body.h"

#include <libdeflate.h>

const char SINK_TOO_LARGE[] = "too large";

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// The last four bytes hold the uncompressed length. It is only a hint, because the sender may have written
// anything.
static size_t hinted(const text *packed)
{
    const uint8_t *end = (const uint8_t *)packed->data + packed->length;
    return packed->length < 18
               ? 0
               : (size_t)end[-4] | (size_t)end[-3] << 8 | (size_t)end[-2] << 16 | (size_t)end[-1] << 24;
}

static const char *one_member(struct libdeflate_decompressor *machine, const text *packed, size_t *used,
                              size_t most, text *plain)
{
    size_t room =
        smaller(hinted(packed) > plain->length ? hinted(packed) : packed->length * 4, most - plain->length);
    for (;;) {
        size_t in = 0, out = 0;
        char *to = text_room(plain, room + 1);
        enum libdeflate_result result = libdeflate_gzip_decompress_ex(
            machine, packed->data + *used, packed->length - *used, to, room, &in, &out);
        if (result == LIBDEFLATE_SUCCESS) {
            *used += in;
            plain->length += out;
            return NULL;
        }
        if (result != LIBDEFLATE_INSUFFICIENT_SPACE)
            return "the Content-Encoding is gzip, but the body is not valid gzip";
        if (room == most - plain->length)
            return SINK_TOO_LARGE;
        room = smaller(room * 2 + 4096, most - plain->length);
    }
}

const char *sink_gunzip(const text *packed, size_t most, text *plain)
{
    struct libdeflate_decompressor *machine = libdeflate_alloc_decompressor();
    const char *wrong = machine != NULL ? NULL : "not enough memory for decompression";
    size_t used = 0;
    if (machine != NULL && !packed->length)
        wrong = "the body is empty, which is not valid gzip";
    while (wrong == NULL && used < packed->length)
        wrong = one_member(machine, packed, &used, most, plain);
    libdeflate_free_decompressor(machine);
    return wrong;
}
