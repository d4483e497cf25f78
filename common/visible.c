// SPDX-License-Identifier: Apache-2.0
#include "common/visible.h"

#include <stdio.h>
#include <string.h>

const char *nsp__visible(char *out, size_t size, const char *text)
{
    static const char named[] = "\t\n\r", letters[] = "tnr";
    size_t used = 0;
    for (; *text; text++) {
        char piece[5] = {*text, 0};
        const char *name = strchr(named, *text);
        if (name != NULL)
            snprintf(piece, sizeof piece, "\\%c", letters[name - named]);
        else if ((unsigned char)*text < ' ' || *text == 0x7f)
            snprintf(piece, sizeof piece, "\\x%02x", (unsigned char)*text);
        size_t length = strlen(piece);
        if (used + length >= size)
            break;
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = 0;
    return out;
}
