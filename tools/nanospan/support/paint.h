// SPDX-License-Identifier: Apache-2.0
//
// Text for a terminal: colours where they are wanted, and widths as people see them.
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

// Adds the text in the colour; returns its columns.
size_t paint_add(paint *p, paint_colour colour, slice value);

// The same, cut to `columns` with an ellipsis where it is longer, and filled up with spaces where it is shorter.
void paint_cell(paint *p, paint_colour colour, slice value, size_t columns);

// The same, set to the right; never cut.
void paint_right(paint *p, paint_colour colour, slice value, size_t columns);

void paint_spaces(paint *p, size_t count);

// A bar of `columns` that runs from share `from` to share `to`, both 0 to 1; at least a sliver is seen.
void paint_bar(paint *p, paint_colour colour, double from, double to, size_t columns);

// Columns of valid UTF-8: its code points, combining marks aside.
size_t paint_width(slice value);

// COLUMNS, or else the terminal's width, or else 100; from 60 to 400.
size_t paint_terminal_width(void);

#endif
