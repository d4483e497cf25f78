// SPDX-License-Identifier: Apache-2.0
//
// Input: headers and trailers of an answer, line by line; the first that begins with "*" comes 2000 times,
// until nothing more is kept. What was kept is found again, within bounds.
//
// Parsers: exporters/http/lines.c
#include "fuzz.h"

#include "http/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static nsp__http_lines lines;
    static const char *const names[] = {
        "grpc-status", "grpc-message", "retry-after", "content-type", "x", ""};
    bool filled = false;
    nsp__http_lines_clear(&lines);
    while (size != 0) {
        const uint8_t *end = memchr(bytes, '\n', size);
        size_t length = end != NULL ? (size_t)(end - bytes) + 1 : size;
        char *line = fuzz_copy(bytes, length);
        int times = *line == '*' && !filled ? 2000 : 1;
        filled |= *line == '*';
        for (; times != 0; times--)
            MUST(nsp__http_lines_keep(line, 1, length, &lines) == length);
        free(line);
        bytes += length;
        size -= length;
        MUST(lines.length <= sizeof lines.text && lines.head <= lines.length);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (int trailers = 0; trailers < 2; trailers++) {
            const char *value = nsp__http_lines_find(&lines, trailers != 0, names[i]);
            if (value != NULL)
                MUST(value >= lines.text && value + strlen(value) < lines.text + lines.length);
        }
    return 0;
}
