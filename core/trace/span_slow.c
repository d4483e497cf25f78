// SPDX-License-Identifier: Apache-2.0
#include "trace/span_slow.h"

#include "base/fork.h"
#include "trace/commit.h"
#include "trace/detached.h"

// In the tag of a detached frame that one thread is about to commit: it no longer fits any handle of this frame, but says
// "recording" as before, so a reader after a crash still takes the span for open.
#define TAG_ENDING NSP__FRAME_ALIGN

void nsp__count_unattached(size_t counter)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control != NULL && !nsp__process_copied())
        nsp__count_nested((uint64_t *)(void *)((char *)control + counter));
}

// True if nsp_shutdown has ended the session that the thread is attached to: its frames are gone (zero), and only the
// places on the stack are left.
static bool session_over(const nsp__producer *producer)
{
    return __atomic_load_n(producer->hot.generation_now, __ATOMIC_RELAXED) == 0;
}

void nsp__misused(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer != NULL && !session_over(producer))
        nsp__count_nested(&producer->slot->counters.misused);
    else
        nsp__count_unattached(offsetof(nsp__control, unattached_misused));
}

static bool busy(const nsp__producer *producer)
{
    return producer->hot.top == &producer->busy;
}

// The entry where a span of this stack was begun; NULL if there is none.
static nsp__entry *find_begun(nsp__producer *producer, const nsp_span *span)
{
    for (nsp__entry *entry = producer->hot.top; entry > &producer->stack[0]; entry--)
        if (entry->current == (uintptr_t)span && entry->frame == nsp__frame_of(span))
            return entry;
    return NULL;
}

// The innermost entry where this handle was entered; NULL if there is none.
static nsp__entry *find_entered(nsp__producer *producer, uintptr_t current)
{
    for (nsp__entry *entry = producer->hot.top; entry > &producer->stack[0]; entry--)
        if (entry->current == current && entry->frame != nsp__frame_of((nsp_span *)current))
            return entry;
    return NULL;
}

// Whatever of the stack stands for a handle stands for another one from now on. False if nothing does.
static bool rename_entries(nsp__producer *producer, nsp__entry *top, const nsp_span *span, uintptr_t current)
{
    bool found = false;
    for (nsp__entry *entry = top; entry > &producer->stack[0]; entry--)
        if (entry->current == (uintptr_t)span) {
            entry->current = current;
            found = true;
        }
    return found;
}

// The top after ended entries were taken off.
static nsp__entry *without_holes(nsp__entry *top)
{
    while (top->current == NSP__ENDED)
        top--;
    return top;
}

bool nsp__drop_ended(nsp__producer *producer)
{
    if (busy(producer) || session_over(producer))
        return false;
    nsp__entry *before = producer->hot.top, *top = before;
    nsp__busy_begin(producer);
    for (; top > &producer->stack[0]; top--) {
        const nsp_span *span = (const nsp_span *)top->current;
        bool ended = nsp__has_frame(span) && top->frame != nsp__frame_of(span) && !nsp__span_open(span);
        if (!ended && top->current != NSP__ENDED)
            break;
    }
    nsp__busy_end(producer, top);
    return top != before;
}

// ---- end and next ----

// Recording or not.
static void end_on_stack(nsp__producer *producer, nsp_span *span, nsp_ticks end)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__entry *top = producer->hot.top;
    nsp__entry *entry = find_begun(producer, span);
    if (entry == NULL) {
        nsp__misused(); // another thread's
        return;
    }
    if (entry != top)
        nsp__misused(); // spans above it are still open; they stay
    nsp__busy_begin(producer);
    if (nsp_span_recording(span))
        nsp__commit_and_close(producer, frame, end);
    else
        nsp__frame_close(frame);
    entry->current = NSP__ENDED;
    nsp__busy_end(producer, without_holes(top));
}

// By way of some attached thread's copy of the pool: the session's own may be changing, if one ends and another begins.
static void release_unattached(nsp__frame *frame)
{
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        const nsp__producer *producer = nsp__producer_at(i);
        if (producer != NULL) {
            nsp__detached_release(producer, frame);
            return;
        }
    }
}

// Recording or not.
static void end_detached(nsp__producer *producer, nsp_span *span, nsp_ticks end)
{
    nsp__frame *frame = nsp__frame_of(span);
    bool recording = nsp_span_recording(span);
    uint32_t tag = (uint32_t)(uintptr_t)span;
    // Two threads that end it at once are a mistake; only one may give the place back.
    if (!__atomic_compare_exchange_n(&frame->tag, &tag, tag ^ TAG_ENDING, false,
                                     __ATOMIC_ACQUIRE, // F2: acquires F1
                                     __ATOMIC_RELAXED)) {
        nsp__misused();
        return;
    }
    NSP__TESTPOINT("detached: claimed for its end");
    if (producer == NULL) {
        nsp__frame_close(frame);
        if (recording)
            nsp__count_unattached(offsetof(nsp__control, unattached_dropped));
        release_unattached(frame);
        return;
    }
    if (busy(producer)) {
        nsp__frame_close(frame);
        if (recording)
            nsp__count_nested(&producer->slot->counters.dropped_end_in_signal);
    } else {
        nsp__entry *top = producer->hot.top;
        nsp__busy_begin(producer);
        __atomic_store_n(&frame->ring, producer->slot->index, __ATOMIC_RELAXED);
        if (recording)
            nsp__commit_and_close(producer, frame, end);
        else
            nsp__frame_close(frame);
        rename_entries(producer, top, span, NSP__ENDED); // if it was entered and not left
        nsp__busy_end(producer, without_holes(top));
    }
    nsp__detached_release(producer, frame);
}

// True if the frame is one of the session that there is now. One of an earlier session may be ended late: no mistake.
static bool of_this_session(const nsp__frame *frame)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    uint32_t count = control != NULL ? __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE) : 0; // S4
    for (uint32_t i = 0; i < count && i < NSP__THREADS_MAX; i++) {
        const nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        uintptr_t slot = (uintptr_t)producer->slot;
        if ((uintptr_t)frame - slot < (uintptr_t)producer->ring.bytes - slot ||
            nsp__detached_owned(producer, frame))
            return true;
    }
    return false;
}

// A span that is not open: ended before, or its session is over, which is no mistake. Then its place on the stack goes,
// so that the thread moves on to the next session once nothing of the old one is left.
static void end_closed(nsp_span *span)
{
    nsp__producer *producer = nsp__producer_self();
    bool removed = false;
    if (producer != NULL && !busy(producer) && session_over(producer)) {
        nsp__entry *top = producer->hot.top;
        nsp__busy_begin(producer);
        removed = rename_entries(producer, top, span, NSP__ENDED);
        nsp__busy_end(producer, without_holes(top));
    }
    if (!removed && of_this_session(nsp__frame_of(span)))
        nsp__misused();
}

void nsp__end_elsewhere(nsp_span *span, nsp_ticks end)
{
    if (nsp__parents_state())
        return;
    if (!nsp__span_open(span)) {
        end_closed(span);
        return;
    }
    nsp__producer *producer = nsp__producer_self();
    if (nsp__frame_of(span)->detached) {
        nsp_status status; // a thread of the session before this one is attached anew
        end_detached(nsp__producer_attach(NULL, &status), span, end);
    } else if (producer == NULL || busy(producer)) {
        nsp__misused();
    } else {
        end_on_stack(producer, span, end);
    }
}

// The frame becomes the sibling in place: same trace and parent, and the tracestate item, always the first, stays.
static nsp_span *reopen(nsp__producer *producer, nsp__entry *top, nsp_span *span, nsp_name name, nsp_ticks at)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__record *record = &frame->record;
    bool local_root = record->local_root_id == record->span_id;
    __atomic_store_n(&frame->ring, producer->slot->index, __ATOMIC_RELAXED);
    nsp__commit_and_close(producer, frame, at);
    uint64_t id = nsp__attempt(producer, producer->slot);
    uint32_t kept = 0;
    if (record->flags & NSP__RECORD_TRACESTATE) {
        uint64_t tag = *(const uint64_t *)(const void *)(record + 1);
        kept = NSP__ITEM_BYTES(tag >> 32 & 0xffff);
    }
    nsp__frame_open(frame, name, at);
    frame->cursor += kept;
    record->span_id = id;
    if (local_root)
        record->local_root_id = record->span_id;
    record->flags &= (uint8_t)~NSP__RECORD_DROPS;
    record->kind = NSP_KIND_INTERNAL;
    record->status = NSP_SPAN_STATUS_UNSET;
    uintptr_t handle = nsp__frame_handle(frame, id, NSP__RECORDING);
    nsp__frame_publish(frame, handle);
    rename_entries(producer, top, span, handle);
    return (nsp_span *)handle;
}

// After nsp_shutdown: the span's place is given up. A root of this stack goes on in the session that there may be now.
static nsp_span *next_after_session(nsp__producer *producer, nsp_span *span, nsp_name name, nsp_ticks at)
{
    bool of_this_stack = find_begun(producer, span) != NULL;
    end_closed(span);
    return of_this_stack && producer->hot.top->current == 0 ? nsp_span_begin_at(name, at)
                                                            : (nsp_span *)NSP__UNSAMPLED_CHILD;
}

nsp_span *nsp__next_elsewhere(nsp_span *span, nsp_name name, nsp_ticks at)
{
    if (nsp__parents_state())
        return NULL;
    nsp_status status;
    nsp__frame *frame = nsp__frame_of(span);
    bool open =
        nsp__span_open(span); // asked once: the session may end at any moment, and its pages become zero
    bool detached = open && frame->detached;
    nsp__producer *producer = detached ? nsp__producer_attach(NULL, &status) : nsp__producer_self();
    if (producer == NULL || busy(producer)) {
        nsp__end_elsewhere(span, at);
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    nsp__entry *top = producer->hot.top;
    if (!open || (!detached && find_begun(producer, span) == NULL)) {
        if (session_over(producer))
            return next_after_session(producer, span, name, at);
        nsp__misused();
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    if (frame->record.parent_id == 0) {
        // A root: a new trace, with a decision of its own.
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.new_root = true;
        options.start = at;
        nsp__end_elsewhere(span, at);
        if (detached)
            return nsp_span_begin_detached(name, &options);
        return producer->hot.top->current == 0 ? nsp_span_begin_at(name, at)
                                               : nsp_span_begin_with(name, &options);
    }
    if (!detached && find_begun(producer, span) != top)
        nsp__misused(); // spans above it are still open; they stay
    nsp__busy_begin(producer);
    nsp_span *sibling = reopen(producer, top, span, name, at);
    nsp__busy_end(producer, top);
    return sibling;
}

// ---- spans that do not record ----

static void end_unsampled_root(nsp__producer *producer)
{
    nsp__entry *bottom = &producer->stack[0];
    if (bottom->current != NSP__UNSAMPLED_ROOT)
        nsp__misused(); // it was begun on another thread, or ended before
    else
        bottom->current = 0;
}

void nsp__end_inert(nsp_span *span)
{
    if (nsp__parents_state())
        return;
    nsp_status status;
    nsp__producer *producer = nsp__producer_self();
    if (nsp__has_frame(span)) {
        if (!nsp__span_open(span))
            end_closed(span);
        else if (nsp__frame_of(span)->detached)
            end_detached(nsp__producer_attach(NULL, &status), span, 0);
        else if (producer == NULL || busy(producer))
            nsp__misused();
        else
            end_on_stack(producer, span, 0);
    } else if ((uintptr_t)span == NSP__UNSAMPLED_ROOT && producer != NULL && !busy(producer)) {
        end_unsampled_root(producer);
    } else {
        nsp__misused();
    }
}

nsp_span *nsp__next_inert(nsp_span *span, nsp_name name, nsp_ticks at)
{
    if (nsp__parents_state())
        return NULL;
    if ((uintptr_t)span == NSP__UNSAMPLED_ROOT) {
        nsp_span_end(span);
        return nsp_span_begin_at(name, at);
    }
    nsp__producer *producer = nsp__producer_self();
    if (!nsp__has_frame(span) || !nsp__span_open(span)) {
        if (nsp__has_frame(span) && producer != NULL && !busy(producer) && session_over(producer))
            return next_after_session(producer, span, name, at);
        nsp__misused();
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    nsp__frame *frame = nsp__frame_of(span);
    if (frame->record.parent_id != 0 || frame->record.flags & NSP__RECORD_PARENT_REMOTE)
        return span; // the sibling has the same parent, so the same decision
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    options.start = at;
    bool detached = frame->detached != 0;
    nsp__end_inert(span);
    return detached ? nsp_span_begin_detached(name, &options) : nsp_span_begin_with(name, &options);
}

// ---- enter, leave, reset ----

static uintptr_t entered_as(const nsp_span *span)
{
    return nsp__has_frame(span) ? (uintptr_t)span : NSP__ENTERED_INERT;
}

// What may be entered: an inert handle, or a detached span that is open. Not a span of a stack, which may be another
// thread's.
static bool can_be_entered(const nsp_span *span)
{
    return !nsp__has_frame(span) ||
           (!nsp__process_copied() && nsp__span_open(span) && nsp__frame_of(span)->detached);
}

void nsp_span_enter(nsp_span *span)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (producer == NULL || busy(producer))
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
    if (producer == NULL || busy(producer))
        return;
    if (producer->enters_too_deep != 0) {
        producer->enters_too_deep--;
        return;
    }
    nsp__entry *top = producer->hot.top;
    nsp__entry *entry = find_entered(producer, entered_as(span));
    if (entry == NULL) {
        // Ended while it was entered, which took its entry away: fine, unless it is open.
        if (!nsp__parents_state() && nsp__has_frame(span) && nsp__span_open(span))
            nsp__misused();
        return;
    }
    if (entry != top)
        nsp__misused();
    nsp__busy_begin(producer);
    entry->current = NSP__ENDED;
    nsp__busy_end(producer, without_holes(top));
}

void nsp_thread_reset(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer == NULL || busy(producer))
        return;
    nsp_ticks now = nsp_now();
    while (producer->hot.top > &producer->stack[0]) {
        nsp__entry *top = producer->hot.top;
        nsp_span *span = (nsp_span *)top->current;
        if (nsp__has_frame(span) && nsp__frame_of(span) == top->frame) {
            nsp__count(&producer->slot->counters.leaked);
            nsp_span_end_at(span, now);
        }
        if (producer->hot.top == top) { // entered, or not to be ended
            nsp__busy_begin(producer);
            top->current = NSP__ENDED;
            nsp__busy_end(producer, without_holes(top));
        }
    }
    nsp__entry *bottom = producer->hot.top;
    nsp__busy_begin(producer);
    if (bottom->current != 0) {
        nsp__count(&producer->slot->counters.leaked);
        bottom->current = 0;
    }
    producer->enters_too_deep = 0;
    nsp__busy_end(producer, bottom);
}
