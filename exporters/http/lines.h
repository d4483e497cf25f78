// SPDX-License-Identifier: Apache-2.0
//
// The headers and trailers of an answer, as curl passes them on.
#ifndef NSP_HTTP_LINES_H
#define NSP_HTTP_LINES_H

#include <stdbool.h>
#include <stddef.h>

enum { NSP__HTTP_LINES_BYTES = 64 << 10 };

// The headers, then the trailers, each line zero-terminated. Lines that do not fit are not kept.
typedef struct nsp__http_lines {
    char text[NSP__HTTP_LINES_BYTES];
    size_t length, head; // bytes of all lines, and of the headers
    bool head_ended;
} nsp__http_lines;

void nsp__http_lines_clear(nsp__http_lines *lines);

// A callback for CURLOPT_HEADERFUNCTION, with the lines as its data.
size_t nsp__http_lines_keep(char *line, size_t one, size_t length, void *lines);

// The value of the last header, or trailer, with this name in upper or lower case. NULL: none.
const char *nsp__http_lines_find(const nsp__http_lines *lines, bool trailers, const char *name);

#endif
