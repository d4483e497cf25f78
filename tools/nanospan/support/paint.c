// SPDX-License-Identifier: Apache-2.0
#include "paint.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/utf8.h"

enum { NARROWEST = 60, WIDEST = 400, USUAL = 100 };

static const char *const CODES[PAINT_COLOURS] = {"", "1", "2", "1;31", "33", "36", "34"};

static bool continues(char byte)
{
    return nsp__utf8_continues((uint8_t)byte);
}

size_t paint_width(slice value)
{
    size_t width = 0;
    for (size_t i = 0; i < value.length; i++) {
        // U+0300 to U+036F combine with the letter before them.
        unsigned char byte = (unsigned char)value.text[i];
        bool combining =
            byte == 0xcc || (byte == 0xcd && i + 1 < value.length && (unsigned char)value.text[i + 1] < 0xb0);
        width += !continues(value.text[i]) && !combining;
    }
    return width;
}

// The longest beginning of the text that is at most `columns` wide.
static slice head(slice value, size_t columns)
{
    size_t end = 0;
    for (size_t at = 0; at < value.length && columns; columns--) {
        at++;
        while (at < value.length && continues(value.text[at]))
            at++;
        end = at;
    }
    return (slice){value.text, end};
}

size_t paint_add(paint *p, paint_colour colour, slice value)
{
    bool codes = p->coloured && colour != PAINT_PLAIN && value.length;
    if (codes)
        text_format(p->out, "\033[%sm", CODES[colour]);
    text_slice(p->out, value);
    if (codes)
        text_put(p->out, "\033[0m");
    return paint_width(value);
}

void paint_spaces(paint *p, size_t count)
{
    memset(text_room(p->out, count + 1), ' ', count);
    p->out->length += count;
}

void paint_cell(paint *p, paint_colour colour, slice value, size_t columns)
{
    size_t width = paint_width(value);
    if (width <= columns) {
        paint_add(p, colour, value);
        paint_spaces(p, columns - width);
    } else if (columns) {
        paint_add(p, colour, head(value, columns - 1));
        paint_add(p, PAINT_DIM, nsp__slice_of("\u2026"));
    }
}

void paint_right(paint *p, paint_colour colour, slice value, size_t columns)
{
    size_t width = paint_width(value);
    if (width < columns)
        paint_spaces(p, columns - width);
    paint_add(p, colour, value);
}

void paint_bar(paint *p, paint_colour colour, double from, double to, size_t columns)
{
    static const char *const EIGHTHS[] = {"",       "\u258f", "\u258e", "\u258d",
                                          "\u258c", "\u258b", "\u258a", "\u2589"};
    size_t eighths = columns * 8;
    size_t start = (size_t)(from * (double)eighths + 0.5), end = (size_t)(to * (double)eighths + 0.5);
    start = start < eighths ? start : eighths - 1;
    end = end > start ? end : start + 1;
    end = end > eighths ? eighths : end;
    text bar = {0};
    size_t cell = start / 8;
    paint_spaces(p, cell);
    // There are eighths of a cell only from the left, and one right half, so a bar begins at the nearest half
    // cell.
    if (start % 8 >= 4 && end >= (cell + 1) * 8) {
        text_put(&bar, "\u2590");
        cell++;
    } else if (start % 8 >= 4 && end < (cell + 1) * 8) {
        // The bar lies within the right half of one cell.
        text_put(&bar, end % 8 == 7 ? "\u2590" : "\u2595");
        end = 0;
        cell++;
    }
    for (; (cell + 1) * 8 <= end; cell++)
        text_put(&bar, "\u2588");
    if (end > cell * 8) {
        text_slice(&bar, nsp__slice_of(EIGHTHS[end - cell * 8]));
    }
    paint_add(p, colour, (slice){bar.data, bar.length});
    text_free(&bar);
}

static size_t within(size_t width)
{
    return width < NARROWEST ? NARROWEST : width > WIDEST ? WIDEST : width;
}

size_t paint_terminal_width(void)
{
    const char *columns = getenv("COLUMNS");
    size_t given = columns != NULL ? strtoul(columns, NULL, 10) : 0;
    if (given)
        return within(given);
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
        return within(size.ws_col);
    return USUAL;
}
