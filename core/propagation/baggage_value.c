// SPDX-License-Identifier: Apache-2.0
#include "propagation/baggage_value.h"

#include <string.h>

#include "common/percent.h"
#include "common/utf8.h"

static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD

enum { REPLACEMENT_LENGTH = sizeof replacement - 1, CHARACTER_MAX = 4 };

bool nsp__baggage_octet(char c)
{
    return c > 0x20 && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\';
}

bool nsp__baggage_encode(const char *value, size_t length, char *out, size_t room, size_t *encoded)
{
    size_t at = 0, written = 0;
    while (at < length) {
        bool valid;
        size_t taken = nsp__utf8_next((const uint8_t *)value + at, (const uint8_t *)value + length, &valid);
        if (!valid)
            return false;
        for (; taken != 0; taken--, at++) {
            uint8_t byte = (uint8_t)value[at];
            // '+' is allowed unescaped, but some receivers take it for a space.
            bool plain = nsp__baggage_octet(value[at]) && byte != '%' && byte != '+';
            char escape[NSP__PERCENT_ESCAPE];
            nsp__percent_escape(escape, byte);
            size_t size = plain ? 1 : sizeof escape;
            if (written + size <= room)
                memcpy(out + written, plain ? &value[at] : escape, size);
            written += size;
        }
    }
    *encoded = written;
    return true;
}

size_t nsp__baggage_decode(const char *value, size_t length, char *out)
{
    size_t at = 0, written = 0;
    while (at < length) {
        uint8_t bytes[CHARACTER_MAX];
        size_t behind[CHARACTER_MAX]; // where the value continues after each of them
        size_t count = 0;
        for (size_t from = at; count < CHARACTER_MAX && from < length; count++) {
            from += nsp__percent_byte(value + from, length - from, &bytes[count]);
            behind[count] = from;
        }
        bool valid;
        size_t taken = nsp__utf8_next(bytes, bytes + count, &valid);
        size_t size = valid ? taken : REPLACEMENT_LENGTH;
        if (out != NULL)
            memcpy(out + written, valid ? (const char *)bytes : replacement, size);
        written += size;
        at = behind[taken - 1];
    }
    return written;
}
