// SPDX-License-Identifier: Apache-2.0
//
// A table of traces by root name: their number, durations, and the distribution of the durations. Below it, how many of
// them were kept at their end, and why, and how long the slowest were off the CPU.
#ifndef NANOSPAN_VIEW_SUMMARY_H
#define NANOSPAN_VIEW_SUMMARY_H

#include "support/paint.h"
#include "support/trace_store.h"

// `traces`: those that passed the filters, which it sorts.
void view_summary(paint *p, const trace_store *store, const trace **traces, size_t count);

#endif
