// SPDX-License-Identifier: Apache-2.0
#include "http/lines.h"

#include <string.h>
#include <strings.h>

void nsp__http_lines_clear(nsp__http_lines *lines)
{
    lines->length = lines->head = 0;
    lines->head_ended = false;
}

// The lines after the empty line that ends the headers are trailers. An interim answer (status 1xx) has
// headers of its own, which the next status line discards.
size_t nsp__http_lines_keep(char *line, size_t one, size_t length, void *context)
{
    (void)one;
    nsp__http_lines *lines = context;
    size_t used = length;
    while (used && (line[used - 1] == '\r' || line[used - 1] == '\n' || line[used - 1] == ' '))
        --used;
    if (used >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        nsp__http_lines_clear(lines);
    } else if (used == 0) {
        lines->head_ended = true;
    } else if (used < sizeof lines->text - lines->length) {
        memcpy(lines->text + lines->length, line, used);
        lines->text[lines->length + used] = 0;
        lines->length += used + 1;
        if (!lines->head_ended)
            lines->head = lines->length;
    }
    return length;
}

const char *nsp__http_lines_find(const nsp__http_lines *lines, bool trailers, const char *name)
{
    const char *at = lines->text + (trailers ? lines->head : 0);
    const char *end = lines->text + (trailers ? lines->length : lines->head), *found = NULL;
    size_t length = strlen(name);
    for (; at < end; at += strlen(at) + 1)
        if (strncasecmp(at, name, length) == 0 && at[length] == ':')
            found = at + length + 1 + strspn(at + length + 1, " \t");
    return found;
}
