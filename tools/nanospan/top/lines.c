// SPDX-License-Identifier: Apache-2.0
#include "lines.h"

#include "support/complain.h"
#include "support/trace_notes.h"
#include "common/utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

top_line *top_new(top_lines *to, top_style style)
{
    to->lines = need_room(to->lines, to->count, &to->capacity, sizeof *to->lines);
    top_line *line = &to->lines[to->count++];
    *line = (top_line){.style = style};
    return line;
}

void top_add(top_lines *to, top_style style, const char *format, ...)
{
    char buffer[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    text_put(&top_new(to, style)->text, buffer);
}

void top_clear(top_lines *lines)
{
    for (size_t i = 0; i < lines->count; i++)
        text_free(&lines->lines[i].text);
    free(lines->lines);
    *lines = (top_lines){0};
}

void top_number(char out[TOP_CELL], double value)
{
    static const char *const UNITS[] = {"k", "M", "G", "T"};
    if (value < 9999.5) {
        snprintf(out, TOP_CELL, "%.*f", value > 0 && value < 9.95 ? 1 : 0, value);
        return;
    }
    int unit = -1;
    while (value >= 999.5 && unit < 3) {
        value /= 1000;
        unit++;
    }
    snprintf(out, TOP_CELL, "%.*f%s", value < 99.95 ? 1 : 0, value, UNITS[unit]);
}

void top_time(char out[TOP_CELL], double ns)
{
    static const struct {
        double from;
        const char *name;
    } UNITS[] = {{6e10, "min"}, {1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
    snprintf(out, TOP_CELL, "-");
    for (size_t i = 0; i < sizeof UNITS / sizeof UNITS[0]; i++) {
        if (ns < UNITS[i].from * (i == 0 ? 5 : 1))
            continue;
        const double value = ns / UNITS[i].from;
        snprintf(out, TOP_CELL, "%.*f%s", value < 9.95 ? 1 : 0, value, UNITS[i].name);
        return;
    }
}

void top_plain(char *out, size_t size, const char *name)
{
    text safe = {0};
    trace_notes_plain(&safe, nsp__slice_of(name));
    size_t length = safe.length < size ? safe.length : size - 1;
    while (length != 0 && length != safe.length && nsp__utf8_continues((uint8_t)safe.data[length]))
        length--;
    snprintf(out, size, "%.*s", (int)length, length != 0 ? safe.data : "");
    text_free(&safe);
}
