// SPDX-License-Identifier: Apache-2.0
//
// What table.c and details.c make their lines of.
#ifndef NANOSPAN_TOP_LINES_H
#define NANOSPAN_TOP_LINES_H

#include "top.h"

enum { TOP_CELL = 32 };

// An empty line at the end, which the caller fills.
top_line *top_new(top_lines *to, top_style style);

// Four or five columns: 0, 7.5, 123, 12.3k, 4.56M.
void top_number(char out[TOP_CELL], double value);

// 870ns, 12us, 3.4ms, 2.1s, 7min; "-" below a nanosecond.
void top_time(char out[TOP_CELL], double ns);

// A name that somebody else has chosen, so that it is safe on a terminal. Cut to fit.
void top_plain(char *out, size_t size, const char *name);

#endif
