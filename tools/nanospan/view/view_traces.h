// SPDX-License-Identifier: Apache-2.0
//
// The traces as trees, in the order that the options ask for.
#ifndef NANOSPAN_VIEW_VIEW_TRACES_H
#define NANOSPAN_VIEW_VIEW_TRACES_H

#include "support/paint.h"
#include "view_files.h"
#include "view_options.h"

// Puts them into the order that the options ask for.
void view_traces_sort(const view_options *o, const trace **chosen, size_t count);

// Sorts the chosen traces and prints them, one after the other. Returns false after printing an error, or with errno if
// the output failed.
bool view_traces(const view_options *o, view_files *files, paint *p, const trace **chosen, size_t count);

#endif
