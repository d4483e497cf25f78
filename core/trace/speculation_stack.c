// SPDX-License-Identifier: Apache-2.0
//
// The stack where speculative spans and others lie on top of each other.
#include "trace/commit.h"
#include "trace/speculation.h"
#include "trace/speculation_history.h"
#include "trace/trace_state.h"

static __attribute__((noinline)) bool commit_again(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    return nsp__commit(producer, producer->slot, frame, end);
}

bool nsp__commit_after_all(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    if (nsp__pen_look(producer, nsp__slot_tail(producer->slot) + nsp__frame_bytes(frame)))
        return commit_again(producer, frame, end);
    if (nsp__pen_is_home(producer))
        return false;
    if (nsp__history_make_room(producer, nsp__slot_tail(producer->slot) + nsp__frame_bytes(frame)))
        return commit_again(producer, frame, end);
    producer->ruled_marks |= NSP__TRACE_OUTGROWN;
    return false;
}

void nsp__commit_after_all_and_close(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    nsp__slot *slot = producer->slot;
    const bool committed = nsp__commit_after_all(producer, frame, end);
    nsp__frame_close(frame);
    nsp__count_commit(slot, committed);
}

// True if what stands under NSP__SUSPENDED is a detached span that may have no children.
static bool is_apart(uintptr_t current)
{
    const nsp_span *span = (const nsp_span *)current;
    return nsp__has_frame(span) && nsp__span_open(span) && nsp__frame_of(span)->detached != 0;
}

nsp__entry *nsp__stack_settle_ruled(nsp__producer *producer, nsp__entry *top)
{
    for (;; top--) {
        // What was ended elsewhere goes here, so that nobody meets it without the pen being turned.
        top = nsp__session_over(producer) ? nsp__stack_trim(top) : nsp__stack_drop_ended(producer, top);
        if (top->current != NSP__SUSPENDED || is_apart(top[-1].current))
            break;
    }
    const nsp_span *span = (const nsp_span *)top->current;
    bool records = nsp__has_frame(span) && nsp_span_recording(span) && nsp__span_open(span);
    if (records)
        nsp__pen_turn(producer, nsp__frame_of(span));
    else if (!nsp__pen_is_home(producer))
        nsp__pen_to_ring(producer);
    return top;
}

nsp__entry *nsp__stack_suspend(nsp__producer *producer, nsp__entry *top)
{
    if (nsp__pen_is_home(producer))
        return top;
    // Two more entries: NSP__SUSPENDED, whose frame the new span takes, and that span's.
    if (top[1].frame == NULL || top[2].frame == NULL)
        return NULL;
    top[1].current = NSP__SUSPENDED;
    nsp__pen_to_ring(producer);
    return top + 1;
}

void nsp__ruled_left_out(nsp__producer *producer, const nsp__entry *top)
{
    const nsp_span *span =
        (const nsp_span *)(top->current == NSP__SUSPENDED ? top[-1].current : top->current);
    if (nsp__has_frame(span) && nsp__span_open(span) && nsp__frame_of(span)->detached != 0)
        __atomic_fetch_add(&nsp__frame_of(span)->reserved, 1, __ATOMIC_RELAXED);
    else // begun, and not in the buffer, like one that found no room there
        nsp__count(&producer->speculation->slot.counters.attempted);
}

nsp_span *nsp__begin_under_suspended(nsp__producer *producer, nsp_name name, nsp_ticks start)
{
    nsp__entry *top = nsp__stack_settle_ruled(producer, nsp__busy_take_top(producer));
    const bool inert = top->current == NSP__SUSPENDED;
    if (inert)
        nsp__ruled_left_out(producer, top);
    nsp__busy_end(producer, top);
    return inert ? (nsp_span *)NSP__UNSAMPLED_CHILD : nsp_span_begin_at(name, start);
}
