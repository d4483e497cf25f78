// SPDX-License-Identifier: Apache-2.0
#include "paint.h"

#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "common/utf8.h"

enum { NARROWEST = 60, WIDEST = 400, USUAL = 100 };

static const char *const CODES[PAINT_COLOURS] = {"", "1", "2", "1;31", "33", "36", "34"};

static bool continues(char byte)
{
    return nsp__utf8_continues((uint8_t)byte);
}

// The C library knows how wide characters are, in a locale whose characters are Unicode's.
static locale_t use_unicode(void)
{
    static locale_t unicode;
    if (unicode == (locale_t)0)
        unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return unicode != (locale_t)0 ? uselocale(unicode) : (locale_t)0;
}

// The width of the character at the beginning of the text; *size: its bytes.
static size_t first_width(slice value, size_t *size)
{
    mbstate_t state = {0};
    wchar_t character;
    *size = mbrtowc(&character, value.text, value.length, &state);
    if (*size - 1 >= value.length) { // 0, or an error
        *size = 1;
        return !continues(value.text[0]);
    }
    const int width = wcwidth(character);
    return width >= 0 ? (size_t)width : 1;
}

static slice fitting(slice value, size_t columns, size_t *width)
{
    const locale_t before = use_unicode();
    size_t at = 0, size;
    *width = 0;
    while (at < value.length) {
        const size_t more = first_width((slice){value.text + at, value.length - at}, &size);
        if (more > columns - *width)
            break;
        *width += more;
        at += size;
    }
    if (before != (locale_t)0)
        uselocale(before);
    return (slice){value.text, at};
}

slice paint_head(slice value, size_t columns)
{
    size_t width;
    return fitting(value, columns, &width);
}

size_t paint_width(slice value)
{
    size_t width;
    fitting(value, SIZE_MAX, &width);
    return width;
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
        width = paint_add(p, colour, paint_head(value, columns - 1));
        paint_add(p, PAINT_DIM, nsp__slice_of("\u2026"));
        paint_spaces(p, columns - 1 - width); // half of a wide character
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

// Which part a cell of the whole line is of; NULL: of none.
static const paint_part *part_of(const paint_part *parts, size_t count, size_t cell, size_t columns)
{
    const double begin = (double)cell / (double)columns, end = (double)(cell + 1) / (double)columns;
    for (size_t i = 0; i < count; i++) {
        const double from = parts[i].from > begin ? parts[i].from : begin,
                     to = parts[i].to < end ? parts[i].to : end;
        const double middle = (parts[i].from + parts[i].to) / 2;
        const bool sliver = (parts[i].to - parts[i].from) * (double)columns < 1.0 / 8;
        if (to - from >= (end - begin) / 2 || (!sliver && middle >= begin && middle < end))
            return &parts[i];
    }
    return NULL;
}

void paint_bar_in_parts(paint *p, paint_colour colour, double from, double to, size_t columns,
                        const paint_part *parts, size_t count)
{
    text plain = {0};
    paint cells = {.out = &plain};
    paint_bar(&cells, PAINT_PLAIN, from, to, columns);
    // Each column is one character of it.
    size_t cell = 0;
    for (size_t at = 0; at < plain.length; cell++) {
        size_t next = at + 1;
        while (next < plain.length && ((unsigned char)plain.data[next] & 0xc0) == 0x80)
            next++;
        const paint_part *part = plain.data[at] != ' ' ? part_of(parts, count, cell, columns) : NULL;
        if (part != NULL)
            paint_add(p, part->colour, nsp__slice_of(part->mark));
        else
            paint_add(p, colour, (slice){plain.data + at, next - at});
        at = next;
    }
    text_free(&plain);
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
