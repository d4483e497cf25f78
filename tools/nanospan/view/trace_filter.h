// SPDX-License-Identifier: Apache-2.0
//
// Which traces the options choose.
#ifndef NANOSPAN_VIEW_TRACE_FILTER_H
#define NANOSPAN_VIEW_TRACE_FILTER_H

#include "support/trace_store.h"
#include "view_options.h"

// The traces that pass the filters; the caller frees the array.
const trace **trace_filter(const view_options *o, const trace_store *store, size_t *count);

// Explains why no trace of `store`, nor of `other` unless that is NULL, has passed: a root name, a service or an attribute
// that none of them has.
void trace_filter_complain(const view_options *o, const trace_store *store, const trace_store *other);

#endif
