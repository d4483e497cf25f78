// SPDX-License-Identifier: Apache-2.0
#include "grpc/base64.h"

#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *nsp__base64_encode(const uint8_t *bytes, size_t length)
{
    char *text = malloc(length / 3 * 4 + 5), *out = text;
    for (size_t i = 0; text && i < length; i += 3) {
        size_t here = length - i < 3 ? length - i : 3;
        uint32_t group = (uint32_t)bytes[i] << 16 | (here > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                         (here > 2 ? bytes[i + 2] : 0);
        for (size_t digit = 0; digit <= here; ++digit)
            *out++ = digits[group >> (18 - 6 * digit) & 63];
    }
    if (text)
        *out = 0;
    return text;
}

uint8_t *nsp__base64_decode(const char *text, size_t *length)
{
    size_t count = strlen(text), padding = 0;
    while (padding < 2 && count && text[count - 1] == '=') {
        --count;
        ++padding;
    }
    if (count % 4 == 1 || (padding && (count + padding) % 4 != 0))
        return NULL;
    uint8_t *bytes = malloc(count / 4 * 3 + 3), *out = bytes;
    uint32_t group = 0;
    for (size_t i = 0; bytes && i < count; ++i) {
        const char *digit = strchr(digits, text[i]);
        if (!digit) {
            free(bytes);
            return NULL;
        }
        group = group << 6 | (uint32_t)(digit - digits);
        // Of four digits the first completes no byte, each of the others one.
        if (i % 4 != 0)
            *out++ = (uint8_t)(group >> (6 - 2 * (i % 4)));
    }
    *length = (size_t)(out - bytes);
    return bytes;
}
