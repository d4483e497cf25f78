// SPDX-License-Identifier: Apache-2.0
//
// Compares two sets of traces, by the names of their roots and phase by phase: where a difference comes from.
#ifndef NANOSPAN_VIEW_COMPARE_H
#define NANOSPAN_VIEW_COMPARE_H

#include "support/paint.h"
#include "view_files.h"
#include "view_options.h"

// Compares the chosen traces with `others`, or the slowest or later ones of them with the rest, as the options say. The
// second files' names become strings of the first ones' store.
void view_compare(const view_options *o, paint *p, view_files *files, const trace **chosen, size_t count,
                  const view_files *other_files, const trace **others, size_t other_count);

// By the names of roots: of which phases their critical paths consist.
void view_critical_summary(const view_options *o, paint *p, const trace_store *store, const trace **chosen,
                           size_t count);

#endif
