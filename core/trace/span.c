// SPDX-License-Identifier: Apache-2.0
//
// Begin, end, next of the thread's stack: the recorded half of the hot path.
#include "trace/commit.h"
#include "trace/stack.h"

// Calls that are not tail calls would make the hot functions save and restore registers: what is uncommon is NOINLINE and
// called last.
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, cold))

// Takes the tag, makes the span current.
ALWAYS_INLINE nsp_span *push(nsp__producer *producer, nsp__entry *entry, nsp__frame *frame, uint64_t stamp)
{
    uintptr_t handle = nsp__frame_publish(frame, stamp, NSP__RECORDING);
    entry->current = handle;
    nsp__busy_end(producer, entry);
    return (nsp_span *)handle;
}

static NOINLINE nsp_span *too_deep(nsp__producer *producer, nsp__entry *top)
{
    nsp__count(&producer->slot->counters.attempted);
    nsp__count(&producer->slot->counters.dropped_too_deep);
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__MUTED_CHILD;
}

static NOINLINE nsp_span *push_with_tracestate(nsp__producer *producer, nsp__entry *top, uintptr_t parent,
                                               uint64_t stamp)
{
    nsp__entry *entry = top + 1;
    nsp__tracestate_inherit(entry->frame, nsp__frame_of((nsp_span *)parent));
    return push(producer, entry, entry->frame, stamp);
}

// Without a counter that may be read here: the clock is asked, and the call made again with what it said.
static NOINLINE nsp_span *begin_child_by_clock(nsp__thread *thread, nsp_name name)
{
    return nsp__begin_child(thread, name, nsp__clock_fallback());
}

nsp_span *nsp__begin_child(nsp__thread *thread, nsp_name name, nsp_ticks start)
{
    nsp__producer *producer = (nsp__producer *)thread;
    if (start == 0) {
        if (NSP__UNLIKELY(!nsp__clock_is_counter))
            return begin_child_by_clock(thread, name);
        start = nsp__counter_read();
    }
    nsp__entry *top = thread->top;
    nsp__entry *entry = top + 1;
    nsp__frame *frame = entry->frame;
    uintptr_t current = top->current;
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(frame == NULL))
        return too_deep(producer, top);
    uint64_t stamp = nsp__attempt(producer);
    const nsp__frame *parent = nsp__frame_of((nsp_span *)current);
    nsp__frame_open(frame, name, start);
    nsp__record_child_of(producer, &frame->record, &parent->record);
    if (NSP__UNLIKELY((frame->record.flags & NSP__RECORD_TRACESTATE) != 0))
        return push_with_tracestate(producer, top, current, stamp);
    return push(producer, entry, frame, stamp);
}

static inline bool under_pressure(nsp__producer *producer)
{
    // Looks at the consumer's line only when the ring seems full.
    return NSP__UNLIKELY(nsp__ring_tail(&producer->ring) + producer->headroom > producer->ring.limit) &&
           nsp__ring_fill(&producer->ring) > producer->watermark;
}

// Whole traces are refused before single spans are lost.
static NOINLINE nsp_span *refuse_root(nsp__producer *producer, nsp__entry *top, uint32_t name_class)
{
    nsp__count(&producer->slot->counters.roots_refused);
    producer->hot.muted_class = name_class;
    top->current = NSP__MUTED_ROOT;
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__MUTED_ROOT;
}

// The frame is open, with the trace id in it.
ALWAYS_INLINE nsp_span *push_root(nsp__producer *producer, nsp__entry *entry, uint32_t name_class)
{
    nsp__frame *frame = entry->frame;
    nsp__record_root(producer, &frame->record, name_class);
    return push(producer, entry, frame, nsp__attempt(producer));
}

// A hit among roots that are left out.
static NOINLINE nsp_span *begin_hit(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                                    uint32_t name_class)
{
    nsp__busy_begin(producer);
    nsp__sampler_draw(producer, name_class);
    if (under_pressure(producer))
        return refuse_root(producer, top, name_class);
    nsp__frame *frame = top[1].frame;
    nsp__frame_open(frame, name, start);
    nsp__sampler_trace_id(producer, producer->thresholds[name_class], true, frame->record.trace_id);
    return push_root(producer, top + 1, name_class);
}

static NOINLINE nsp_span *begin_root_by_clock(nsp__thread *thread, nsp_name name, uint32_t name_class)
{
    return nsp__begin_root(thread, name, nsp__clock_fallback(), name_class);
}

// A root whose skip count is used up.
nsp_span *nsp__begin_root(nsp__thread *thread, nsp_name name, nsp_ticks start, uint32_t name_class)
{
    nsp__producer *producer = (nsp__producer *)thread;
    if (start == 0) {
        if (NSP__UNLIKELY(!nsp__clock_is_counter))
            return begin_root_by_clock(thread, name, name_class);
        start = nsp__counter_read();
    }
    nsp__entry *top = thread->top;
    if (NSP__UNLIKELY(producer->thresholds[name_class] != 0))
        return begin_hit(producer, top, name, start, name_class);
    nsp__busy_begin(producer);
    if (under_pressure(producer))
        return refuse_root(producer, top, name_class);
    // Name and start are put away first: with fewer values to keep, no register has to be saved.
    nsp__frame *frame = top[1].frame;
    nsp__frame_open(frame, name, start);
    nsp__sampler_trace_id_any(producer, frame->record.trace_id);
    return push_root(producer, top + 1, name_class);
}

// A policy that changed, an inert span that is current, or a signal handler that interrupted nanospan on this thread.
nsp_span *nsp__begin_special(nsp__thread *thread, nsp_name name, nsp_ticks start)
{
    nsp__producer *producer = (nsp__producer *)thread;
    nsp__entry *top = thread->top;
    if (top->current == NSP__BUSY) {
        nsp__count_nested(&producer->slot->counters.dropped_in_signal);
        return (nsp_span *)NSP__MUTED_CHILD;
    }
    if (top->current != 0)
        return (nsp_span *)NSP__MUTED_CHILD; // under an inert span
    nsp__busy_begin(producer);
    bool session = nsp__sampler_refresh(producer);
    nsp__busy_end(producer, top);
    if (!session)
        nsp__thread_v1 = NULL; // of a session that has ended; there may be a new one
    return nsp_span_begin_at(name, start);
}

// ---- end ----

// Takes ended entries off the top.
ALWAYS_INLINE nsp__entry *pop(nsp__entry *entry)
{
    do
        entry--;
    while (NSP__UNLIKELY(entry->current == NSP__HOLE));
    return entry;
}

static NOINLINE void end_by_clock(nsp_span *span)
{
    nsp__end(span, nsp__clock_fallback());
}

// True if the span is the innermost of this thread, in its own frame: what the hot path handles.
ALWAYS_INLINE bool innermost(const nsp__producer *producer, const nsp_span *span)
{
    const nsp__entry *top = producer->hot.top;
    return NSP__LIKELY(top->current == (uintptr_t)span && top->frame == nsp__frame_of(span));
}

void nsp__end(nsp_span *span, nsp_ticks end)
{
    nsp__producer *producer = nsp__producer_self();
    if (end == 0) {
        if (NSP__UNLIKELY(!nsp__clock_is_counter)) {
            end_by_clock(span);
            return;
        }
        end = nsp__counter_read();
    }
    if (NSP__UNLIKELY(producer == NULL) || !innermost(producer, span)) {
        nsp__end_elsewhere(span, end);
        return;
    }
    nsp__entry *top = producer->hot.top;
    nsp__busy_begin(producer);
    nsp__frame_close(top->frame, nsp__commit(producer, top->frame, end));
    nsp__busy_end(producer, pop(top));
}

// ---- next ----

static NOINLINE nsp_span *next_by_clock(nsp_span *span, nsp_name name)
{
    return nsp__next(span, name, nsp__clock_fallback());
}

nsp_span *nsp__next(nsp_span *span, nsp_name name, nsp_ticks at)
{
    const uint64_t kept = NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT;
    const uint64_t uncommon = NSP__RECORD_TRACESTATE | NSP__RECORD_PARENT_REMOTE;
    nsp__producer *producer = nsp__producer_self();
    if (at == 0) {
        if (NSP__UNLIKELY(!nsp__clock_is_counter))
            return next_by_clock(span, name);
        at = nsp__counter_read();
    }
    if (NSP__UNLIKELY(producer == NULL) || !innermost(producer, span))
        return nsp__next_elsewhere(span, name, at);
    nsp__entry *top = producer->hot.top;
    nsp__frame *frame = top->frame;
    uint64_t traits = nsp__record_traits(&frame->record);
    if (NSP__UNLIKELY(frame->record.parent_id == 0 || (traits & uncommon) != 0))
        return nsp__next_elsewhere(span, name, at);
    // The sibling has the same trace, parent and flags: most of the frame stays as it is.
    nsp__busy_begin(producer);
    nsp__frame_close(frame, nsp__commit(producer, frame, at));
    uint64_t stamp = nsp__attempt(producer);
    nsp__frame_open(frame, name, at);
    frame->record.span_id = nsp__span_id_draw(producer);
    nsp__record_set_traits(&frame->record, traits & kept, (uint32_t)(traits >> 32));
    return push(producer, top, frame, stamp);
}
