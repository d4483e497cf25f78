// SPDX-License-Identifier: Apache-2.0
//
// The head decision: which spans record, where a trace begins in this process.
#ifndef NSP_TRACE_HEAD_DECISION_H
#define NSP_TRACE_HEAD_DECISION_H

#include "trace/thread_state.h"

// Decides whether the span in this frame records, and writes its identity into the frame: ids, flags,
// threshold and tracestate item. Returns true if the span records; it is then counted as attempted. The
// producer must be busy. context: the explicit parent, in this process or another one; or a decision without
// ids; NULL for a new trace.
bool nsp__head_decide(nsp__producer *producer, nsp__frame *frame, nsp_name name, const nsp_context *context);

#endif
