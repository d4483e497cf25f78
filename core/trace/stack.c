// SPDX-License-Identifier: Apache-2.0
#include "trace/stack.h"

#include <nanospan/thread.h>

#include "trace/commit.h"
#include "trace/speculation.h"

bool nsp__drop_ended(nsp__producer *producer)
{
    if (nsp__is_busy(producer) || nsp__session_over(producer))
        return false;
    nsp__entry *before = nsp__busy_take_top(producer);
    nsp__entry *top = nsp__stack_settle(producer, nsp__stack_drop_ended(producer, before));
    bool inert = top == before && top->current != NSP__NOTHING && (top->current & NSP__RECORDING) == 0;
    nsp__busy_end(producer, top);
    return !inert;
}

// Ends what the top of the stack stands for: a span that was begun here is leaked, an entered one goes on
// elsewhere.
static void reset_top(nsp__producer *producer, nsp_ticks now)
{
    nsp__entry *top = nsp__busy_take_top(producer);
    if (top == &producer->stack[0]) {
        nsp__busy_end(producer, top);
        return;
    }
    const nsp_span *span = (const nsp_span *)top->current;
    nsp__frame *frame = nsp__frame_of(span);
    if (nsp__has_frame(span) && nsp__entry_begun(producer, top) && nsp__span_open(span)) {
        nsp__count(&producer->home.slot->counters.leaked);
        if (producer->outliers && nsp_span_recording(span))
            nsp__pen_turn(producer, frame);
        if (frame == producer->ruled_frame)
            nsp__ruled_abandon(producer, top, top, now);
        else if (nsp_span_recording(span))
            nsp__commit_and_close(producer, frame, now);
        else
            nsp__frame_close(frame);
    }
    top->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_settle(producer, top));
}

void nsp_thread_reset(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || nsp__is_busy(producer))
        return;
    nsp_ticks now = nsp_now();
    while (producer->hot.top > &producer->stack[0])
        reset_top(producer, now);
    nsp__entry *bottom = nsp__busy_take_top(producer);
    if (bottom->current != NSP__NOTHING && !nsp__wiped(producer)) {
        nsp__count(&producer->home.slot->counters.leaked);
        bottom->current = NSP__NOTHING;
    }
    producer->enters_too_deep = 0;
    nsp__busy_end(producer, bottom);
}
