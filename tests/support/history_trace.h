// SPDX-License-Identifier: Apache-2.0
//
// For tests of history: an engine that only the test drains, a rule with history, and traces with a number that can be
// told from what lies in the buffer. On top of ruled_trace.h.
#ifndef NSP_TESTS_HISTORY_TRACE_H
#define NSP_TESTS_HISTORY_TRACE_H

#include "shm/speculation.h"
#include "support/ruled_trace.h"

enum { HISTORY_RECORD_MAX = 4096 };

void history_configure(nsp_config *config, size_t outlier_bytes);
void history_begin(size_t outlier_bytes);

// Keeps the roots named "order" that take SLOW_NS, have an error or are asked for, with what was before them.
void history_rule(uint64_t history_ns);

// Where this thread's lies.
const nsp__speculation *history_of_thread(void);

// The text of a span's attribute `filling` is a part of it.
extern const char history_filling[];

// Gives a span the attributes of this part of this trace.
void history_describe(nsp_span *span, uint64_t number, unsigned part);
// Fails unless it has them.
void history_assert_described(const captured_span *span, uint64_t number, unsigned part);
uint64_t history_number(const captured_span *span);

// A root with so many children. The last part is the root's. Times: from the beginning of the test.
void history_trace(uint64_t number, unsigned children, uint64_t from_ns, uint64_t to_ns);

// How many of the captured traces were kept as history.
uint64_t history_kept(void);

#endif
