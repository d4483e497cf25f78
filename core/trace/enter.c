// SPDX-License-Identifier: Apache-2.0
//
// Entering and leaving: makes a span current on a thread on which it did not begin.
#include "base/fork.h"
#include "trace/commit.h"
#include "trace/misuse.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// The innermost entry where this handle was entered; NULL if there is none.
static nsp__entry *find_entered(nsp__producer *producer, uintptr_t current)
{
    for (nsp__entry *entry = producer->hot.top; entry > &producer->stack[0]; entry--)
        if (entry->current == current && entry->frame != nsp__frame_of((nsp_span *)current))
            return entry;
    return NULL;
}

static uintptr_t entered_as(const nsp_span *span)
{
    return nsp__has_frame(span) ? (uintptr_t)span : NSP__ENTERED_INERT;
}

// True for what may be entered: an inert handle, or a detached span that is open. A span of a stack may not,
// because the stack may be another thread's.
static bool can_be_entered(const nsp_span *span)
{
    return !nsp__has_frame(span) ||
           (!nsp__process_copied() && nsp__span_open(span) && nsp__frame_of(span)->detached);
}

void nsp_span_enter(nsp_span *span)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (producer == NULL || nsp__is_busy(producer))
        return;
    if (!can_be_entered(span)) {
        nsp__misused();
        return;
    }
    nsp__entry *entry = producer->hot.top + 1;
    if (entry->frame == NULL) {
        producer->enters_too_deep++;
        return;
    }
    nsp__busy_begin(producer); // a handler's spans would take the same entry
    entry->current = entered_as(span);
    nsp__busy_end(producer, entry);
}

void nsp_span_leave(nsp_span *span)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || nsp__is_busy(producer))
        return;
    if (producer->enters_too_deep != 0) {
        producer->enters_too_deep--;
        return;
    }
    nsp__entry *top = producer->hot.top;
    nsp__entry *entry = find_entered(producer, entered_as(span));
    if (entry == NULL) {
        // A span that was ended while it was entered has lost its entry, which is fine. One that is open was
        // never entered.
        if (!nsp__parents_state() && nsp__has_frame(span) && nsp__span_open(span))
            nsp__misused();
        return;
    }
    if (entry != top)
        nsp__misused();
    nsp__busy_begin(producer);
    entry->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_trim(top));
}
