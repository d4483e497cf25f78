// SPDX-License-Identifier: Apache-2.0
//
// Traces by the name of their root, as a table: how many, how long, how they are spread.
#ifndef NANOSPAN_VIEW_SUMMARY_H
#define NANOSPAN_VIEW_SUMMARY_H

#include "support/paint.h"
#include "support/trace_store.h"

// The traces are those that the filters let through.
void view_summary(paint *p, const trace_store *store, const trace *const *traces, size_t count);

#endif
