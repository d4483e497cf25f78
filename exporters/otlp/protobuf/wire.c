// SPDX-License-Identifier: Apache-2.0
#include "otlp/protobuf/wire.h"

uint8_t *nsp__close_length_moving(uint8_t *body, uint8_t *end)
{
    size_t size = (size_t)(end - body);
    size_t extra = nsp__varint_size(size) - NSP__LENGTH_GUESS;
    memmove(body + extra, body, size);
    nsp__put_varint(body - NSP__LENGTH_GUESS, size);
    return end + extra;
}
