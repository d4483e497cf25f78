// SPDX-License-Identifier: Apache-2.0
#include "common/percent.h"

size_t nsp__percent_decode(char *out, const char *text, size_t length)
{
    size_t written = 0;
    for (size_t at = 0; at < length; written++) {
        uint8_t byte;
        at += nsp__percent_byte(text + at, length - at, &byte);
        out[written] = (char)byte;
    }
    out[written] = 0;
    return written;
}

bool nsp__percent_whole(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint8_t byte;
        size_t taken = nsp__percent_byte(text + at, length - at, &byte);
        if (text[at] == '%' && taken == 1)
            return false;
        at += taken;
    }
    return true;
}

bool nsp__percent_hides_control(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        uint8_t byte;
        at += nsp__percent_byte(text + at, length - at, &byte);
        if (byte < ' ' || byte == 0x7f)
            return true;
    }
    return false;
}

void nsp__percent_escape(char out[NSP__PERCENT_ESCAPE], uint8_t byte)
{
    static const char digits[] = "0123456789ABCDEF";
    out[0] = '%';
    out[1] = digits[byte >> 4];
    out[2] = digits[byte & 15];
}
