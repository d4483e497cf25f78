// SPDX-License-Identifier: Apache-2.0
#include "grpc/frame.h"

#include <stdlib.h>
#include <string.h>

#include "http/gzip.h"

void nsp__grpc_prefix_write(uint8_t prefix[NSP__GRPC_PREFIX_BYTES], bool compressed, size_t length)
{
    prefix[0] = compressed;
    for (int i = 1; i < NSP__GRPC_PREFIX_BYTES; ++i)
        prefix[i] = (uint8_t)(length >> (8 * (NSP__GRPC_PREFIX_BYTES - 1 - i)));
}

static const char *unpack(nsp__grpc_message *message, const char *encoding, size_t most)
{
    if (encoding == NULL || strcmp(encoding, "gzip") != 0)
        return "a message that is compressed in an unknown way";
    size_t length;
    message->unpacked = nsp__gunzip(message->bytes, message->length, most, &length);
    if (message->unpacked == NULL)
        return "a message that is too long or is not gzip";
    message->bytes = message->unpacked;
    message->length = length;
    return NULL;
}

const char *nsp__grpc_message_read(nsp__grpc_message *message, const uint8_t *reply, size_t length,
                                   const char *encoding, size_t most)
{
    *message = (nsp__grpc_message){0};
    if (length == 0)
        return "no message";
    size_t said = 0;
    for (int i = 1; i < NSP__GRPC_PREFIX_BYTES && length >= NSP__GRPC_PREFIX_BYTES; ++i)
        said = said << 8 | reply[i];
    if (length < NSP__GRPC_PREFIX_BYTES || reply[0] > 1 || said > length - NSP__GRPC_PREFIX_BYTES)
        return "a message that is cut short or malformed";
    if (said < length - NSP__GRPC_PREFIX_BYTES)
        return "more than one message";
    if (said > most)
        return "a message that is too long";
    nsp__grpc_message whole = {.bytes = reply + NSP__GRPC_PREFIX_BYTES, .length = said};
    const char *wrong = reply[0] ? unpack(&whole, encoding, most) : NULL;
    if (wrong == NULL)
        *message = whole;
    return wrong;
}
