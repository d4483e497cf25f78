// SPDX-License-Identifier: Apache-2.0
#include "trace/end_slow.h"

#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/detached.h"
#include "trace/misuse.h"
#include "trace/speculation.h"
#include "trace/span_context.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// A bit in the tag of a detached frame that one thread is about to commit. The tag then fits no handle of
// this frame any more, but still says "recording", so that a reader after a crash counts the span as open.
#define TAG_ENDING NSP__FRAME_ALIGN

// ---- end and next ----

// Takes a span off the stack; entry: where it was begun, or NULL.
static nsp__entry *rest_without(nsp__entry *top, const nsp__entry *entry)
{
    if (entry == top)
        return top - 1;
    nsp__misused(); // spans above it are still open; they stay
    return top;
}

// As end_on_stack, on a stack that may have speculative spans.
static __attribute__((noinline, cold)) void end_on_stack_by_rule(nsp__producer *producer, nsp_span *span,
                                                                 nsp_ticks end)
{
    nsp__frame *frame = nsp__frame_of(span);
    if (nsp__is_busy(producer)) { // in a handler that has interrupted nanospan: the pen must stay where it is
        nsp__misused();
        return;
    }
    nsp__entry *top = nsp__stack_settle_ruled(producer, nsp__busy_take_top(producer));
    nsp__entry *entry = nsp__stack_find_begun(producer, top, span);
    if (entry == NULL) {
        nsp__misused();
        nsp__busy_end(producer, top);
        return;
    }
    nsp__entry *rest = rest_without(top, entry);
    if (!nsp__span_open(span)) {
        // The session has just ended.
    } else if (frame == producer->ruled_frame) {
        nsp__ruled_end(producer, top, entry, nsp__ticks_or_now(end));
    } else if (nsp_span_recording(span)) {
        nsp__pen_turn(producer, frame);
        nsp__cpu_end(producer, frame, false);
        nsp__commit_and_close(producer, frame, end);
    } else {
        nsp__frame_close(frame);
    }
    entry->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_settle_ruled(producer, rest));
}

// As end_on_stack, on any other stack.
static __attribute__((noinline)) void end_on_stack_usual(nsp__producer *producer, nsp_span *span,
                                                         nsp_ticks end)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__entry *top = nsp__busy_take_top(producer);
    nsp__entry *entry = nsp__stack_find_begun(producer, top, span);
    if (entry == NULL) {
        // It is on another thread's stack, or a signal handler has just ended it, or we are in one ourselves.
        nsp__misused();
        nsp__busy_end(producer, top);
        return;
    }
    nsp__entry *rest = top - 1;
    if (entry != top) {
        nsp__misused(); // spans above it are still open; they stay
        rest = top;
    }
    if (nsp_span_recording(span)) {
        nsp__cpu_end(producer, frame, false);
        nsp__commit_and_close(producer, frame, end);
    } else {
        nsp__frame_close(frame);
    }
    entry->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_trim(rest));
}

// Ends a span of the thread's stack, recording or not. A signal handler that interrupts nanospan finds
// nothing there that it may end; and if it makes `outliers` true, it leaves no ruled root behind.
static void end_on_stack(nsp__producer *producer, nsp_span *span, nsp_ticks end)
{
    if (NSP__UNLIKELY(producer->outliers))
        end_on_stack_by_rule(producer, span, end);
    else
        end_on_stack_usual(producer, span, end);
}

// Uses some attached thread's copy of the pool, because the session's own may be changing, if one ends and
// another begins.
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

// If two threads end a detached span at once, or a signal handler ends one whose end it interrupts, only one
// of them may use the place or give it back. False: this one comes too late.
static bool claim_detached(const nsp_span *span)
{
    uint32_t tag = (uint32_t)(uintptr_t)span;
    return __atomic_compare_exchange_n(&nsp__frame_of(span)->tag, &tag, tag ^ TAG_ENDING, false,
                                       __ATOMIC_ACQUIRE, // F2: acquires F1
                                       __ATOMIC_RELAXED);
}

// Counts a detached span that ends without coming into a ring: its thread cannot be attached, or is a signal handler.
// ruled: it is a ruled root.
static void count_lost(nsp__producer *producer, bool recording, bool speculative)
{
    if (speculative) {
        nsp__ruled_apart_lost_anywhere(producer);
    } else if (recording) {
        if (producer == NULL)
            nsp__count_unattached(offsetof(nsp__control, unattached_dropped));
        else
            nsp__count_nested(&producer->home.slot->counters.dropped_end_in_signal);
    }
}

// Ends a detached span, recording or not. producer: NULL if the thread cannot be attached. by_rule: constant; there may
// be speculative spans on the stack, and this may be a ruled root.
static inline __attribute__((always_inline)) void end_detached(nsp__producer *producer, nsp_span *span,
                                                               nsp_ticks end, bool by_rule)
{
    nsp__frame *frame = nsp__frame_of(span);
    bool recording = nsp_span_recording(span);
    if (!claim_detached(span)) {
        nsp__misused();
        return;
    }
    NSP__TESTPOINT("detached: claimed for its end");
    const bool ruled = by_rule && frame->detached == NSP__DETACHED_RULED;
    const bool speculative = ruled && recording && nsp__frame_speculative(frame);
    if (producer == NULL) {
        if (ruled)
            frame->detached = 1;
        nsp__frame_close(frame);
        count_lost(NULL, recording, speculative);
        release_unattached(frame);
        return;
    }
    if (nsp__is_busy(producer)) {
        if (ruled)
            frame->detached = 1;
        nsp__frame_close(frame);
        count_lost(producer, recording, speculative);
    } else {
        nsp__entry *top = nsp__busy_take_top(producer);
        if (by_rule)
            nsp__pen_to_ring_if_not(producer);
        __atomic_store_n(&frame->ring, producer->home.slot->index, __ATOMIC_RELAXED);
        frame->record.detached = 1;
        if (ruled) {
            nsp__ruled_end_apart(producer, frame, nsp__ticks_or_now(end), recording);
        } else if (recording) {
            nsp__cpu_end(producer, frame, true);
            nsp__commit_and_close(producer, frame, end);
        } else {
            nsp__frame_close(frame);
        }
        nsp__stack_rename(producer, top, span, NSP__ENDED); // if it was entered and not left
        nsp__busy_end(producer, by_rule ? nsp__stack_settle_ruled(producer, top) : nsp__stack_trim(top));
    }
    NSP__TESTPOINT("detached: its place is not free yet");
    nsp__detached_release(producer, frame);
}

static __attribute__((noinline, cold)) void end_detached_ruled(nsp__producer *producer, nsp_span *span,
                                                               nsp_ticks end)
{
    end_detached(producer, span, end, true);
}

static void end_detached_usual(nsp__producer *producer, nsp_span *span, nsp_ticks end)
{
    if (producer != NULL && NSP__UNLIKELY(producer->outliers))
        end_detached_ruled(producer, span, end);
    else
        end_detached(producer, span, end, false);
}

// True if the frame belongs to the current session. Ending a span of an earlier session is not a mistake.
static bool of_this_session(const nsp__frame *frame)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    uint32_t count = control != NULL ? __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE) : 0; // S4
    for (uint32_t i = 0; i < count && i < NSP__THREADS_MAX; i++) {
        const nsp__producer *producer = nsp__producer_at(i);
        if (producer == NULL)
            continue;
        uintptr_t slot = (uintptr_t)producer->home.slot;
        if ((uintptr_t)frame - slot < (uintptr_t)producer->home.ring.bytes - slot ||
            nsp__detached_owned(producer, frame))
            return true;
    }
    return false;
}

// Ends a span that is not open: either it was ended before, or its session is over, which is not a mistake.
// In the second case its entry on the stack is removed, so that the thread moves on to the next session once
// nothing of the old one is left.
static void end_closed(nsp_span *span)
{
    nsp__producer *producer = nsp__producer_self();
    bool removed = false;
    if (producer != NULL && !nsp__is_busy(producer) && nsp__session_over(producer)) {
        nsp__entry *top = nsp__busy_take_top(producer);
        removed = nsp__stack_rename(producer, top, span, NSP__ENDED);
        nsp__busy_end(producer, nsp__stack_settle(producer, top));
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
    nsp_status status; // a thread of an earlier session is attached to this one
    const uint16_t detached = nsp__frame_of(span)->detached;
    if (NSP__LIKELY(detached == 1)) {
        end_detached_usual(nsp__producer_attach(NULL, &status), span, end);
    } else if (detached != 0) {
        end_detached_ruled(nsp__producer_attach(NULL, &status), span, end);
    } else if (producer == NULL) {
        nsp__misused();
    } else {
        end_on_stack(producer, span, end);
    }
}

// The frame becomes the sibling in place: same trace and parent, and the tracestate item, always the first,
// stays.
static nsp_span *become_sibling(nsp__producer *producer, nsp__entry *top, nsp_span *span, nsp_name name,
                                nsp_ticks at)
{
    nsp__frame *frame = nsp__frame_of(span);
    nsp__record *record = &frame->record;
    bool local_root = record->local_root_id == record->span_id;
    __atomic_store_n(&frame->ring, producer->home.slot->index, __ATOMIC_RELAXED);
    record->detached = frame->detached != 0;
    nsp__cpu_end(producer, frame, record->detached != 0);
    nsp__commit_and_close(producer, frame, at);
    const uint32_t items_at = nsp__frame_items_at(frame);
    uint64_t id = nsp__attempt(producer, producer->slot);
    uint32_t kept = 0;
    if (record->flags & NSP__RECORD_TRACESTATE) {
        uint64_t *tag = (uint64_t *)(void *)(record + 1),
                 *before = (uint64_t *)(void *)((char *)record + items_at);
        memmove(tag, before,
                NSP__ITEM_BYTES(*before >> 32 & 0xffff)); // the sibling of a path is an ordinary span
        *tag = (*tag & ~(NSP__ITEM_MARK_BITS << 56)) | nsp__item_mark(id); // it is the sibling's now
        kept = NSP__ITEM_BYTES(*tag >> 32 & 0xffff);
    }
    nsp__frame_open(frame, name, at);
    if (frame->cpu != NSP__CPU_UNKNOWN)
        nsp__cpu_begin(producer, frame);
    frame->cursor += kept;
    record->span_id = id;
    if (local_root)
        record->local_root_id = record->span_id;
    record->flags &= (uint8_t)~NSP__RECORD_DROPS;
    record->detached = 0;
    record->kind = NSP_KIND_INTERNAL;
    record->status = NSP_SPAN_STATUS_UNSET;
    uintptr_t handle = nsp__frame_handle(frame, id, NSP__RECORDING);
    nsp__frame_publish(frame, handle);
    nsp__stack_rename(producer, top, span, handle);
    return (nsp_span *)handle;
}

// After nsp_shutdown: gives up the span's place. A root of this stack goes on in the new session, if there is
// one.
static nsp_span *next_after_session(nsp__producer *producer, nsp_span *span, nsp_name name, nsp_ticks at)
{
    bool of_this_stack = nsp__stack_find_begun(producer, producer->hot.top, span) != NULL;
    end_closed(span);
    return of_this_stack && producer->hot.top->current == NSP__NOTHING ? nsp_span_begin_at(name, at)
                                                                       : (nsp_span *)NSP__UNSAMPLED_CHILD;
}

static nsp_span *next_of_closed(nsp__producer *producer, nsp_span *span, nsp_name name, nsp_ticks at)
{
    if (nsp__session_over(producer))
        return next_after_session(producer, span, name, at);
    nsp__misused();
    return (nsp_span *)NSP__UNSAMPLED_CHILD;
}

// The context of a local root's parent, in another process.
static const nsp_context *parent_context(const nsp__frame *frame, nsp_context *out)
{
    nsp__identity_context(frame, out);
    memcpy(out->span_id, &frame->record.parent_id, sizeof out->span_id);
    out->remote = true;
    out->local_root = 0;
    return out;
}

nsp_span *nsp__next_elsewhere(nsp_span *span, nsp_name name, nsp_ticks at)
{
    if (nsp__parents_state())
        return NULL;
    nsp_status status;
    nsp__frame *frame = nsp__frame_of(span);
    bool open = nsp__span_open(span);
    bool detached = open && frame->detached;
    nsp__producer *producer = detached ? nsp__producer_attach(NULL, &status) : nsp__producer_self();
    if (producer == NULL || nsp__is_busy(producer)) {
        nsp__end_elsewhere(span, at);
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    if (!open || (!detached && nsp__stack_find_begun(producer, producer->hot.top, span) == NULL))
        return next_of_closed(producer, span, name, at);
    bool ruled = frame == producer->ruled_frame || frame->detached == NSP__DETACHED_RULED;
    if (frame->record.parent_id == 0 || ruled) {
        // The sibling of a root is a root: a new trace, with a decision of its own. That of a ruled root is one too,
        // although its parent is the same.
        nsp_context around;
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.new_root = frame->record.parent_id == 0;
        options.start = at;
        if (!options.new_root)
            options.parent = parent_context(frame, &around);
        nsp__end_elsewhere(span, at);
        if (detached)
            return nsp_span_begin_detached(name, &options);
        return options.new_root && producer->hot.top->current == NSP__NOTHING
                   ? nsp_span_begin_at(name, at)
                   : nsp_span_begin_with(name, &options);
    }
    nsp__entry *top = nsp__stack_settle(producer, nsp__busy_take_top(producer));
    nsp__entry *entry = detached ? top : nsp__stack_find_begun(producer, top, span);
    bool ours = entry != NULL && (detached ? claim_detached(span) : nsp__span_open(span));
    if (!ours) { // a signal handler has just ended it, or a shutdown the session
        nsp__busy_end(producer, top);
        return next_of_closed(producer, span, name, at);
    }
    if (entry != top)
        nsp__misused(); // spans above it are still open; they stay
    if (NSP__UNLIKELY(producer->outliers))
        nsp__pen_turn(producer, frame);
    nsp_span *sibling = become_sibling(producer, top, span, name, at);
    nsp__busy_end(producer, nsp__stack_settle(producer, top));
    return sibling;
}

// ---- spans that do not record ----

static void end_unsampled_root(nsp__producer *producer)
{
    nsp__entry *bottom = &producer->stack[0];
    if (bottom->current != NSP__UNSAMPLED_ROOT)
        nsp__misused(); // it was begun on another thread, or ended before
    else
        bottom->current = NSP__NOTHING;
}

static __attribute__((noinline)) void end_inert_detached(nsp_span *span, nsp_ticks end)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (nsp__frame_of(span)->detached == NSP__DETACHED_RULED)
        end_detached_ruled(producer, span, end);
    else
        end_detached_usual(producer, span, 0);
}

// Where the span may be a ruled root of which only the duration is wanted, or the thread is not attached.
static __attribute__((noinline, cold)) void end_inert_by_rule(nsp__producer *producer, nsp_span *span,
                                                              nsp_ticks end)
{
    if (producer != NULL && nsp__end_measured(producer, span, end))
        return;
    if (!nsp__span_open(span))
        end_closed(span);
    else if (nsp__frame_of(span)->detached != 0)
        end_inert_detached(span, end);
    else if (producer == NULL)
        nsp__misused();
    else
        end_on_stack(producer, span, end);
}

static inline __attribute__((always_inline)) void end_inert(nsp_span *span, nsp_ticks end)
{
    nsp__producer *producer = nsp__producer_self();
    if (nsp__has_frame(span)) {
        if (NSP__UNLIKELY(producer == NULL || producer->outliers))
            end_inert_by_rule(producer, span, end);
        else if (!nsp__span_open(span))
            end_closed(span);
        else if (NSP__UNLIKELY(nsp__frame_of(span)->detached != 0))
            end_inert_detached(span, end);
        else
            end_on_stack_usual(producer, span, 0);
    } else if ((uintptr_t)span == NSP__UNSAMPLED_ROOT && producer != NULL && !nsp__is_busy(producer)) {
        end_unsampled_root(producer);
    } else {
        nsp__misused();
    }
}

static __attribute__((noinline, cold)) void end_inert_copied(nsp_span *span, nsp_ticks end)
{
    if (!nsp__parents_state_left())
        end_inert(span, end);
}

// Apart, so that the usual case saves no register.
void nsp__end_inert(nsp_span *span, nsp_ticks end)
{
    if (NSP__UNLIKELY(nsp__process_copied()))
        end_inert_copied(span, end);
    else
        end_inert(span, end);
}

nsp_span *nsp__next_inert(nsp_span *span, nsp_name name, nsp_ticks at)
{
    if (nsp__parents_state())
        return NULL;
    if ((uintptr_t)span == NSP__UNSAMPLED_ROOT) {
        nsp__end_inert(span, at);
        return nsp_span_begin_at(name, at);
    }
    nsp__producer *producer = nsp__producer_self();
    if (!nsp__has_frame(span) || !nsp__span_open(span)) {
        if (nsp__has_frame(span) && producer != NULL && !nsp__is_busy(producer) &&
            nsp__session_over(producer))
            return next_after_session(producer, span, name, at);
        nsp__misused();
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    nsp__frame *frame = nsp__frame_of(span);
    bool root = frame->record.parent_id == 0 && (frame->record.flags & NSP__RECORD_PARENT_REMOTE) == 0;
    bool ruled =
        (producer != NULL && frame == producer->ruled_frame) || frame->detached == NSP__DETACHED_RULED;
    if (!root && !ruled)
        return span; // the sibling has the same parent, so the same decision
    nsp_context around;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = root;
    options.start = at;
    if (!root)
        options.parent = parent_context(frame, &around);
    bool detached = frame->detached != 0;
    nsp__end_inert(span, at);
    return detached ? nsp_span_begin_detached(name, &options) : nsp_span_begin_with(name, &options);
}
