// SPDX-License-Identifier: Apache-2.0
//
// The thread's stack of open spans, apart from what begin and end do with its top.
#ifndef NSP_TRACE_STACK_H
#define NSP_TRACE_STACK_H

#include "trace/thread_state.h"

// Removes from the top of the stack the spans that are no longer open. They were entered and have been ended
// elsewhere, and their frames may hold other spans by now. True if a span that begins now need not be inert:
// if there was such a span, or if nothing is open or what is on top records, since a signal handler may have
// changed that meanwhile. False if the session has ended.
bool nsp__drop_ended(nsp__producer *producer);

// The top without such spans, and without ended entries. With the producer busy. The top may also be one that
// was read before: whatever a signal handler has taken off since is not open, and is left out.
static inline nsp__entry *nsp__stack_drop_ended(nsp__producer *producer, nsp__entry *top)
{
    for (; top > &producer->stack[0]; top--) {
        const nsp_span *span = (const nsp_span *)top->current;
        bool ended = nsp__has_frame(span) && !nsp__span_open(span);
        if (!ended && top->current != NSP__ENDED)
            break;
    }
    return top;
}

// True if the span that this entry stands for was begun here, and not entered: it lies in the entry's own frame, or in
// one of those that keep it from the hot path (speculation.h).
static inline bool nsp__entry_begun(const nsp__producer *producer, const nsp__entry *entry)
{
    const nsp__frame *frame = nsp__frame_of((const nsp_span *)entry->current);
    return frame == entry->frame || frame == producer->ruled_frame ||
           (entry[-1].current == NSP__SUSPENDED && frame == entry[-1].frame);
}

// The entry where this span was begun on the stack that has this top; NULL if there is none.
static inline nsp__entry *nsp__stack_find_begun(nsp__producer *producer, nsp__entry *top,
                                                const nsp_span *span)
{
    for (nsp__entry *entry = top; entry > &producer->stack[0]; entry--)
        if (entry->current == (uintptr_t)span && nsp__entry_begun(producer, entry))
            return entry;
    return NULL;
}

// Makes all entries that stand for this span, from the top down, stand for another handle. False if there is
// none.
static inline bool nsp__stack_rename(nsp__producer *producer, nsp__entry *top, const nsp_span *span,
                                     uintptr_t current)
{
    bool found = false;
    for (nsp__entry *entry = top; entry > &producer->stack[0]; entry--)
        if (entry->current == (uintptr_t)span) {
            entry->current = current;
            found = true;
        }
    return found;
}

// The new top, without the ended entries above it.
static inline nsp__entry *nsp__stack_trim(nsp__entry *top)
{
    while (top->current == NSP__ENDED)
        top--;
    return top;
}

#endif
