// SPDX-License-Identifier: Apache-2.0
//
// Whether a trace is kept, where its root ends and more than the hot path's look is needed.
#ifndef NSP_TRACE_OUTLIER_DECISION_H
#define NSP_TRACE_OUTLIER_DECISION_H

#include "trace/thread_state.h"

// Why this rule wants the trace of this root: the value of `nanospan.kept`, "slow", "slowest", "error" or "asked". NULL:
// it does not. marks: NSP__TRACE_...
const char *nsp__outlier_why(const nsp__producer *producer, const nsp__ruled_class *rule, nsp_ticks start,
                             nsp_ticks end, uint64_t marks);

// The trace of this root is published, and was kept for this reason: if that is that it was slow, tells those who watch
// (nsp_outlier_kept).
void nsp__outlier_tell(const nsp__producer *producer, const nsp__frame *frame, nsp_ticks end,
                       const char *why);

// Takes one of the traces that the rule's limit leaves. False: there is none. For all threads together, by the readings
// of the clock at which roots end. Lock-free, with two attempts at most.
bool nsp__outlier_within_limit(const nsp__ruled_class *rule, nsp_ticks end);

// The keys of what is written on a kept root. Before the session's threads begin spans.
void nsp__outlier_keys_prepare(void);
extern nsp_name nsp__outlier_key_kept, nsp__outlier_key_left_out, nsp__outlier_key_history;

#endif
