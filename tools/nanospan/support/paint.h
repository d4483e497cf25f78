// SPDX-License-Identifier: Apache-2.0
//
// Text for a terminal, with optional colours, measured in visible columns.
#ifndef NANOSPAN_SUPPORT_PAINT_H
#define NANOSPAN_SUPPORT_PAINT_H

#include "text.h"

typedef enum paint_colour {
    PAINT_PLAIN,
    PAINT_BOLD,
    PAINT_DIM,
    PAINT_RED,
    PAINT_YELLOW,
    PAINT_CYAN,
    PAINT_BLUE,
    PAINT_COLOURS,
} paint_colour;

typedef struct paint {
    text *out;
    bool coloured;
    size_t width; // columns of the terminal
} paint;

// Adds the text in the colour; returns its width in columns.
size_t paint_add(paint *p, paint_colour colour, slice value);

// The same, but exactly `columns` wide: longer text is cut with an ellipsis, shorter text padded with spaces.
void paint_cell(paint *p, paint_colour colour, slice value, size_t columns);

// The same, but right-aligned and never cut.
void paint_right(paint *p, paint_colour colour, slice value, size_t columns);

void paint_spaces(paint *p, size_t count);

// A bar of `columns` that runs from share `from` to share `to`, both 0 to 1; a sliver is always visible.
void paint_bar(paint *p, paint_colour colour, double from, double to, size_t columns);

// A part of a bar that is drawn in another way, in the shares that the bar has.
typedef struct paint_part {
    double from, to;
    paint_colour colour;
    const char *mark; // one column wide
} paint_part;

// The same bar with these parts, which follow one another. A cell of which a part has at least half is the part's, and
// the one in the middle of a part that is more than a sliver is, too.
void paint_bar_in_parts(paint *p, paint_colour colour, double from, double to, size_t columns,
                        const paint_part *parts, size_t count);

// The width of valid UTF-8 in columns: of most characters it is one, of Chinese ones two, of combining ones none.
size_t paint_width(slice value);

// The longest beginning of the text that is at most so many columns wide.
slice paint_head(slice value, size_t columns);

// The value of COLUMNS, else the terminal's width, else 100; always 60 to 400.
size_t paint_terminal_width(void);

#endif
