// SPDX-License-Identifier: Apache-2.0
//
// The recorded half of the hot path: begin.
#include "base/hot.h"
#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/misuse.h"
#include "trace/span_context.h"
#include "trace/speculation.h"
#include "trace/stack.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// Calls that are not tail calls would make the hot functions save and restore registers. So everything
// uncommon is NOINLINE and called last.
#define NOINLINE __attribute__((noinline, cold))

static NOINLINE nsp_span *too_deep(nsp__producer *producer, nsp__entry *top)
{
    nsp__count(&producer->slot->counters.attempted);
    nsp__count(&producer->slot->counters.dropped_too_deep);
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__UNSAMPLED_CHILD;
}

static NOINLINE nsp_span *push_uncommon(nsp__producer *producer, nsp__entry *top, uintptr_t parent,
                                        uint64_t id)
{
    nsp__entry *entry = top + 1;
    nsp__inherit_uncommon(entry->frame, nsp__frame_of((nsp_span *)parent));
    return nsp__push(producer, entry, entry->frame, id);
}

// For when the processor's counter may not be read here: reads the clock, and repeats the call with that
// time.
static NOINLINE nsp_span *begin_child_by_clock(nsp__thread *thread, nsp_name name)
{
    return nsp__begin_child(thread, name, nsp_now());
}

// The span on top did not record when the caller looked: it was entered here, and may have been ended since,
// on another thread or by a signal handler. Or the session is over.
static NOINLINE nsp_span *begin_under_ended(nsp__producer *producer, nsp_name name, nsp_ticks start)
{
    return nsp__drop_ended(producer) ? nsp_span_begin_at(name, start) : (nsp_span *)NSP__UNSAMPLED_CHILD;
}

// With the thread busy: the span on top, if it recorded, is no longer open. It was entered here and ended on
// another thread, and its frame may hold another span; or a signal handler has changed the stack since the
// caller looked at it; or the session is over. Name and start are where the caller got them, or it would have
// to move them.
static NOINLINE nsp_span *begin_under_changed(nsp__producer *producer, nsp_name name, nsp_ticks start,
                                              nsp__entry *top)
{
    nsp__entry *rest = nsp__session_over(producer)
                           ? nsp__stack_trim(top)
                           : nsp__stack_settle(producer, nsp__stack_drop_ended(producer, top));
    bool same = rest == top && (rest->current & NSP__RECORDING) != 0;
    nsp__busy_end(producer, rest);
    return same ? (nsp_span *)NSP__UNSAMPLED_CHILD : nsp_span_begin_at(name, start);
}

NSP__HOT nsp_span *nsp__begin_child(nsp__thread *thread, nsp_name name, nsp_ticks start)
{
    nsp__producer *producer = nsp__producer_of(thread);
    if (start == 0) {
        if (NSP__UNLIKELY(!producer->hot.reads_counter))
            return begin_child_by_clock(thread, name);
        start = nsp__counter_read();
    }
    nsp__entry *top = thread->top;
    nsp__entry *entry = top + 1;
    nsp__frame *frame = entry->frame;
    // First of all, so that no signal handler ends the span on top after it was looked at.
    nsp__busy_begin(producer);
    uintptr_t current = top->current;
    if (NSP__UNLIKELY((current & NSP__RECORDING) == 0))
        return begin_under_changed(producer, name, start, top);
    const nsp__frame *parent = nsp__frame_of((nsp_span *)current);
    if (NSP__UNLIKELY(!nsp__frame_holds(parent, current)))
        return begin_under_changed(producer, name, start, top);
    if (NSP__UNLIKELY(frame == NULL))
        return too_deep(producer, top);
    nsp__frame_open(frame, name, start);
    uint64_t id = nsp__record_child_of(producer, producer->slot, &frame->record, &parent->record);
    if (NSP__UNLIKELY(nsp__record_inherits_uncommon(&frame->record)))
        return push_uncommon(producer, top, current, id);
    return nsp__push(producer, entry, frame, id);
}

static inline bool under_pressure(nsp__producer *producer, const nsp__slot *slot)
{
    // Looks at the consumer's line only when the ring seems full.
    uint64_t tail = nsp__slot_tail(slot);
    if (NSP__LIKELY(tail + producer->headroom <= producer->ring.limit))
        return false;
    const bool is = nsp__ring_fill(&producer->ring) > producer->watermark;
    producer->home.ring.limit = producer->ring.limit; // no span is open, so the pen is at home
    return is;
}

nsp_span *nsp__begin_undrawn(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                             uint32_t name_class)
{
    nsp__busy_begin(producer);
    nsp__sampler_settle(producer, name_class);
    nsp__busy_end(producer, top);
    return nsp_span_begin_at(name, start);
}

static inline nsp_span *refused(nsp__producer *producer, nsp__entry *top, uint32_t name_class)
{
    nsp__count(&producer->slot->counters.roots_refused);
    producer->hot.unsampled_class = name_class;
    top->current = NSP__UNSAMPLED_ROOT;
    nsp__busy_end(producer, top);
    return (nsp_span *)NSP__UNSAMPLED_ROOT;
}

// Among others that the sampler leaves out.
static NOINLINE nsp_span *refuse_hit(nsp__producer *producer, nsp_name name, nsp_ticks start,
                                     uint32_t name_class)
{
    nsp__entry *top = producer->hot.top;
    if (producer->thresholds[name_class] == NSP__THRESHOLD_RULED)
        return nsp__ruled_begin_pressed(producer, top, name, nsp__ticks_or_now(start), name_class);
    if (producer->thresholds[name_class] == NSP__THRESHOLD_UNDRAWN)
        return nsp__begin_undrawn(producer, top, name, start, name_class);
    nsp__busy_begin(producer);
    nsp__sampler_draw(producer, name_class);
    return refused(producer, top, name_class);
}

// Whole traces are refused before single spans are lost.
static NOINLINE nsp_span *refuse_root(nsp__producer *producer, nsp_name name, nsp_ticks start,
                                      uint32_t name_class)
{
    if (producer->thresholds[name_class] != 0)
        return refuse_hit(producer, name, start, name_class);
    nsp__entry *top = producer->hot.top;
    nsp__busy_begin(producer);
    return refused(producer, top, name_class);
}

// A root that the sampler records, among others that it leaves out.
NSP__HOT nsp_span *nsp__begin_hit(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                                  uint32_t name_class)
{
    nsp__slot *slot = producer->slot;
    nsp__frame *frame = top[1].frame;
    nsp__busy_begin(producer);
    nsp__sampler_draw(producer, name_class);
    nsp__frame_open(frame, name, start);
    nsp__cpu_begin(producer, frame);
    nsp__sampler_trace_id(producer, producer->thresholds[name_class], true, frame->record.trace_id);
    return nsp__push(producer, top + 1, frame, nsp__record_root(producer, slot, &frame->record, name_class));
}

static NOINLINE nsp_span *begin_root_by_clock(nsp__thread *thread, nsp_name name, uint32_t name_class)
{
    return nsp__begin_root(thread, name, nsp_now(), name_class);
}

// A root whose skip count is used up.
NSP__HOT nsp_span *nsp__begin_root(nsp__thread *thread, nsp_name name, nsp_ticks start, uint32_t name_class)
{
    nsp__producer *producer = nsp__producer_of(thread);
    nsp__slot *slot = producer->slot;
    if (under_pressure(producer, slot))
        return refuse_root(producer, name, start, name_class);
    if (start == 0) {
        if (NSP__UNLIKELY(!producer->hot.reads_counter))
            return begin_root_by_clock(thread, name, name_class);
        start = nsp__counter_read();
    }
    nsp__entry *top = thread->top;
    if (NSP__UNLIKELY(producer->thresholds[name_class] != 0))
        return nsp__ruled_begin(producer, top, name, start, name_class);
    nsp__busy_begin(producer);
    // Name and start are stored first: with fewer values alive, no register has to be saved.
    nsp__frame *frame = top[1].frame;
    nsp__frame_open(frame, name, start);
    nsp__cpu_begin(producer, frame);
    nsp__sampler_trace_id_any(producer, frame->record.trace_id);
    return nsp__push(producer, top + 1, frame, nsp__record_root(producer, slot, &frame->record, name_class));
}

// The first span of a thread that is not attached: attaches it.
static NOINLINE nsp_span *begin_unattached(nsp_name name, nsp_ticks start)
{
    nsp_status status;
    nsp__producer *producer = nsp__producer_attach(NULL, &status);
    if (producer != NULL)
        return nsp_span_begin_at(name, start);
    if (status != NSP_ERR_NOT_INITIALISED)
        nsp__count_unattached(offsetof(nsp__control, unattached_attempted));
    return NULL;
}

// For a thread that is not attached, a policy that has changed, an inert span that is current, and a signal
// handler that interrupted nanospan on this thread.
nsp_span *nsp__begin_special(nsp__thread *thread, nsp_name name, nsp_ticks start)
{
    nsp__producer *producer = nsp__producer_of(thread);
    nsp__entry *top = thread->top;
    // Most often an inert span with a context of its own is current, and open. In a session that has ended, and
    // in the child of a fork, its frame is zero.
    const nsp_span *current = (const nsp_span *)__atomic_load_n(&top->current, __ATOMIC_RELAXED);
    if (nsp__has_frame(current) && !nsp_span_recording(current) && nsp__span_open(current))
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    if (thread == &nsp__nobody)
        return begin_unattached(name, start);
    if (top->current == NSP__BUSY) {
        if (nsp__parents_state())
            return NULL;
        nsp__count_nested(&producer->home.slot->counters.dropped_in_signal);
        return (nsp_span *)NSP__UNSAMPLED_CHILD;
    }
    if (nsp__parents_state())
        return NULL;
    if (top->current == NSP__SUSPENDED)
        return nsp__begin_under_suspended(producer, name, start);
    if (top->current != NSP__NOTHING) // under an inert span, unless it was ended elsewhere
        return begin_under_ended(producer, name, start);
    nsp__sampler_fetch(producer, name);
    nsp__busy_begin(producer);
    producer->outliers = false; // nothing is open
    // If the thread's session has ended, there may be a new one. The thread is detached while it is still
    // busy, so if a signal handler then attaches it to the new one, that is not undone.
    if (!nsp__sampler_refresh(producer))
        nsp__thread_v4 = &nsp__nobody;
    nsp__busy_end(producer, top);
    return nsp_span_begin_at(name, start);
}
