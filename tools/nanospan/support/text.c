// SPDX-License-Identifier: Apache-2.0
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void text_grow(text *out, size_t more)
{
    // The first allocation is exactly as large as requested: often the whole length is known, and large.
    size_t capacity = out->capacity ? out->capacity : more > 256 ? more : 256;
    while (capacity - out->length < more)
        capacity *= 2;
    out->data = need_more(out->data, capacity);
    out->capacity = capacity;
}

void text_free(text *out)
{
    free(out->data);
    *out = (text){0};
}

void text_format(text *out, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        vsnprintf(text_room(out, (size_t)length + 1), (size_t)length + 1, format, again);
        out->length += (size_t)length;
    }
    va_end(again);
}

bool text_print(const text *out)
{
    // fwrite takes no NULL, which is where an empty text is.
    return (out->length == 0 || fwrite(out->data, 1, out->length, stdout) == out->length) &&
           fflush(stdout) == 0;
}
