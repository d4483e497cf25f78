// SPDX-License-Identifier: Apache-2.0
//
// The options of `nanospan view`.
#ifndef NANOSPAN_VIEW_VIEW_OPTIONS_H
#define NANOSPAN_VIEW_VIEW_OPTIONS_H

#include "support/attribute_filter.h"
#include "support/options.h"
#include "waterfall.h"

// What the traces are compared with.
typedef enum comparison_kind { COMPARE_NOTHING, COMPARE_FILES, COMPARE_SLOWEST, COMPARE_AT } comparison_kind;

// Names on the command line.
typedef struct name_list {
    const char **names; // owned
    size_t count, capacity;
} name_list;

typedef struct view_options {
    name_list files;
    name_list others; // to compare with
    comparison_kind compare;
    moment compare_at;
    const char *service;
    const char *root;
    attribute_filter where;
    const char *trace; // the first hexadecimal digits of an id
    uint64_t min_duration;
    uint64_t limit;   // traces shown; 0: all
    bool limited;     // --limit was given: without it, a page and a file for Perfetto have all
    const char *page; // NULL: none
    const char *perfetto;
    bool errors;
    bool by_start;
    bool summary;
    enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } colour;
    view_style style;
} view_options;

// Ends the program if the command line is wrong.
void view_options_read(view_options *o, int argc, char **argv);
void view_options_free(view_options *o);

// Whether standard output gets colours.
bool view_options_coloured(const view_options *o);

#endif
