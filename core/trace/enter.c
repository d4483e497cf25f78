// SPDX-License-Identifier: Apache-2.0
//
// Entering and leaving: makes a span current on a thread on which it did not begin.
#include "base/fork.h"
#include "trace/commit.h"
#include "trace/misuse.h"
#include "trace/speculation.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// The innermost entry below this top where this handle was entered; NULL if there is none.
static nsp__entry *find_entered(nsp__producer *producer, nsp__entry *top, uintptr_t current)
{
    for (nsp__entry *entry = top; entry > &producer->stack[0]; entry--)
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

// True for a detached local root of which it is decided where it ends: what would be its children does not record.
static bool closed_to_children(const nsp_span *span)
{
    return nsp__has_frame(span) && nsp_span_recording(span) &&
           nsp__frame_of(span)->detached == NSP__DETACHED_RULED &&
           nsp__frame_speculative(nsp__frame_of(span));
}

// Where the span may be speculative, or lie above one that is. Returns the new top.
static nsp__entry *enter_apart(nsp__producer *producer, nsp__entry *top, const nsp_span *span)
{
    const bool closed = closed_to_children(span);
    // An inert span too: its entry may go while another trace's span is still above it, and what ends there on the hot
    // path must not come down to a speculative one.
    nsp__entry *below = closed ? top : nsp__stack_suspend(producer, top);
    if (below == NULL || below[1].frame == NULL || (closed && below[2].frame == NULL)) {
        producer->enters_too_deep++;
        return nsp__stack_settle(producer, top);
    }
    below[1].current = entered_as(span);
    producer->outliers = true;
    if (closed)
        below[2].current = NSP__SUSPENDED;
    if (!nsp__pen_is_home(producer))
        nsp__pen_to_ring(producer);
    return below + (closed ? 2 : 1);
}

void nsp_span_enter(nsp_span *span)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (producer == NULL || nsp__is_busy(producer))
        return;
    // From here on no handler ends the span, or takes the same entry.
    nsp__entry *top = nsp__stack_settle(producer, nsp__busy_take_top(producer)), *entry = top + 1;
    if (!can_be_entered(span)) {
        nsp__misused();
    } else if (NSP__UNLIKELY(producer->outliers || closed_to_children(span))) {
        top = enter_apart(producer, top, span);
    } else if (entry->frame == NULL) {
        producer->enters_too_deep++;
    } else {
        entry->current = entered_as(span);
        top = entry;
    }
    nsp__busy_end(producer, top);
}

// Takes one entry of this span off the stack. Returns the new top.
static nsp__entry *leave(nsp__producer *producer, nsp__entry *top, const nsp_span *span)
{
    if (producer->enters_too_deep != 0) {
        producer->enters_too_deep--;
        return top;
    }
    nsp__entry *entry = find_entered(producer, top, entered_as(span));
    if (entry != NULL && entry == top - 1 && top->current == NSP__SUSPENDED)
        (top--)->current = NSP__ENDED;
    // A span that was ended while it was entered has lost its entry, which is fine. One that is open was
    // never entered.
    if (entry != top &&
        (entry != NULL || (!nsp__parents_state() && nsp__has_frame(span) && nsp__span_open(span))))
        nsp__misused();
    if (entry == NULL)
        return top;
    entry->current = NSP__ENDED;
    return nsp__stack_settle(producer, top);
}

void nsp_span_leave(nsp_span *span)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || nsp__is_busy(producer))
        return;
    nsp__entry *top = nsp__stack_settle(producer, nsp__busy_take_top(producer));
    nsp__busy_end(producer, leave(producer, top, span));
}
