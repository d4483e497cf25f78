// SPDX-License-Identifier: Apache-2.0
//
// The inside of `nanospan top`: top.c reads its options and prints where there is no screen, table.c and details.c turn
// figures into lines, json.c into JSON, and screen.c shows the lines on a terminal and reads keys. terminal.c finds out whether it can.
#ifndef NANOSPAN_TOP_H
#define NANOSPAN_TOP_H

#include "support/figures.h"
#include "support/text.h"

typedef enum top_style { TOP_PLAIN, TOP_BOLD, TOP_HEAD, TOP_DIM, TOP_WARN, TOP_BAD } top_style;

typedef enum top_sort {
    TOP_BY_SPANS,
    TOP_BY_DROPS,
    TOP_BY_RING,
    TOP_BY_LAG,
    TOP_BY_ANSWER,
    TOP_BY_SERVICE,
    TOP_BY_PID,
    TOP_SORTS
} top_sort;

extern const char *const top_sort_names[TOP_SORTS];

enum { TOP_FILTER_MAX = 64 };

// What is shown, and how.
typedef struct top_view {
    top_sort sort;
    bool reverse;
    bool threads;                // a row for each of them
    char filter[TOP_FILTER_MAX]; // only engines and threads with this text in a name or a process id; "": all
    size_t width;                // columns
} top_view;

typedef struct top_line {
    text text; // on a screen cut at its edge
    top_style style;
    const figures_engine *engine; // the row is this engine's; NULL: it is no engine's
} top_line;

typedef struct top_lines {
    top_line *lines;
    size_t count, capacity;
} top_lines;

// Each adds lines. Engines are sorted and filtered.
void top_summary(top_lines *to, const figures *all, const top_view *view);
void top_table(top_lines *to, const figures *all,
               const top_view *view); // the first line is the heads of columns
void top_details(top_lines *to, const figures_engine *engine, const top_view *view);
void top_add(top_lines *to, top_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
void top_clear(top_lines *lines);

// Adds one line of JSON, with its end.
void top_json(text *out, const figures *all);

typedef struct top_options {
    top_view view;
    uint64_t interval_ns;
    const char *shm_dir; // NULL: the environment's
    bool once, json, colours;
} top_options;

// False after a message: the terminal is not known, or text cannot be placed on it.
bool top_terminal_suits(void);

// Shows the engines until the user or a signal ends it. Returns the exit code.
int top_screen(const top_options *options);

#endif
