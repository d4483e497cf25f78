// SPDX-License-Identifier: Apache-2.0
//
// Ruled roots: how they begin, and how they end if nothing is kept.
#include "trace/speculation.h"

#include "base/hot.h"
#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/end_slow.h"
#include "trace/head_decision.h"
#include "trace/latency.h"
#include "trace/misuse.h"
#include "trace/ruled_class.h"
#include "trace/sampler.h"
#include "trace/span_context.h"
#include "trace/speculation_history.h"
#include "trace/speculation_keep.h"

// As in end_fast.c.
#define NOINLINE __attribute__((noinline, cold))

// ---- begin ----

// The last word of a root's fixed part.
static const uint64_t speculative_root = (uint64_t)NSP__THRESHOLD_CODE_SPECULATIVE << 32 |
                                         NSP__RECORD_RANDOM | NSP__RECORD_KEPT | NSP__RECORD_ROOT;
static const uint64_t measured_root = (uint64_t)NSP__THRESHOLD_CODE_NONE << 32 | NSP__RECORD_RANDOM;

bool nsp__ruled_head(nsp__producer *producer, uint32_t name_class)
{
    nsp__ruled_class *class = &producer->ruled_classes[name_class];
    if (class->left > 0) {
        class->left--;
        nsp__count(&producer->home.slot->counters.roots_skipped);
        return false;
    }
    nsp__ruled_class_draw(producer, name_class);
    return true;
}

// ---- the trace id ----
//
// As long as nobody has seen the id of a trace that is taken back, the next one can have it: there is nothing to tell
// them apart. So a root begins with what it finds in its frame, and a new id is drawn where an old one was used.

static void trace_id_draw(nsp__producer *producer)
{
    nsp__record *record = &producer->ruled_frame->record;
    producer->ruled_threshold = producer->ruled_class->threshold;
    if (producer->ruled_threshold >= NSP__THRESHOLD_NEVER) // any id is left out
        nsp__sampler_trace_id_any(producer, record->trace_id);
    else
        nsp__sampler_trace_id(producer, producer->ruled_threshold, false, record->trace_id);
}

// Makes this the class of the next root.
static void class_choose(nsp__producer *producer, const nsp__ruled_class *class)
{
    const bool known = producer->ruled_class != NULL && producer->ruled_threshold == class->threshold;
    producer->ruled_class = class;
    if (!known)
        trace_id_draw(producer);
}

void nsp__ruled_forget(nsp__producer *producer)
{
    const bool used = (producer->ruled_marks & NSP__TRACE_ID_USED) != 0 ||
                      __atomic_load_n(&producer->ruled_seen, __ATOMIC_RELAXED) != 0;
    producer->ruled_marks = 0;
    __atomic_store_n(&producer->ruled_seen, 0, __ATOMIC_RELAXED);
    if (used)
        trace_id_draw(producer);
}

// ---- begin, in the order of how rare it is ----

// Begins a ruled root that the head samples.
static NOINLINE nsp_span *begin_sampled(nsp__producer *producer, nsp__entry *top, uint32_t name_class)
{
    nsp__frame *frame = producer->ruled_frame;
    nsp__cpu_begin(producer, frame);
    producer->ruled_class = &producer->ruled_classes[name_class];
    producer->ruled_marks = NSP__TRACE_ID_USED;
    nsp__ruled_class_draw(producer, name_class);
    nsp__sampler_trace_id(producer, producer->ruled_classes[name_class].threshold, true,
                          frame->record.trace_id);
    uint64_t id = nsp__record_root(producer, producer->home.slot, &frame->record, name_class);
    return nsp__push(producer, top + 1, frame, id);
}

// The class is not that of the ruled root before; perhaps it has no rule. With the producer busy.
static __attribute__((noinline)) nsp_span *begin_in_other_class(nsp__producer *producer, nsp__entry *top,
                                                                nsp_name name, nsp_ticks start,
                                                                uint32_t name_class)
{
    const uint64_t threshold = producer->thresholds[name_class];
    if (threshold == NSP__THRESHOLD_RULED) {
        class_choose(producer, &producer->ruled_classes[name_class]);
        producer->outliers = true; // a handler may have met other rules since the caller found the class
    }
    nsp__busy_end(producer, top);
    if (threshold == NSP__THRESHOLD_RULED)
        return nsp__ruled_begin(producer, top, name, start, name_class);
    return threshold == NSP__THRESHOLD_UNDRAWN ? nsp__begin_undrawn(producer, top, name, start, name_class)
                                               : nsp__begin_hit(producer, top, name, start, name_class);
}

// Begins one of which only the duration is wanted.
static inline __attribute__((always_inline)) nsp_span *begin_measured(nsp__producer *producer,
                                                                      nsp__entry *entry, nsp__frame *frame)
{
    nsp__record *record = &frame->record;
    uint64_t id = nsp__span_id_draw(producer);
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){id, 0};
    record->local_root_id = id;
    nsp__record_set_traits(record, measured_root);
    uintptr_t handle = nsp__frame_handle(frame, ++producer->unrecorded, 0);
    nsp__frame_publish(frame, handle);
    entry->current = handle;
    nsp__busy_end(producer, entry);
    return (nsp_span *)handle;
}

// The frame is open, and the head leaves the root out.
static inline __attribute__((always_inline)) nsp_span *begin_left_out(nsp__producer *producer,
                                                                      const nsp__ruled_class *class,
                                                                      nsp__entry *entry, nsp__frame *frame)
{
    producer->ruled_marks = 0;
    if (!class->speculates)
        return begin_measured(producer, entry, frame);
    nsp__cpu_begin(producer, frame);
    uint64_t id = nsp__attempt(producer, producer->speculative.slot);
    nsp__record *record = &frame->record;
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){id, 0};
    record->local_root_id = id;
    nsp__record_set_traits(record, speculative_root);
    nsp__pen_to_buffer(producer);
    return nsp__push(producer, entry, frame, id);
}

NSP__HOT nsp_span *nsp__ruled_begin(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                                    size_t wide_class)
{
    // As wide as the register in which the caller has it.
    const uint32_t name_class = (uint32_t)wide_class;
    nsp__ruled_class *class = &producer->ruled_classes[wide_class];
    nsp__busy_begin(producer); // first, so that no handler meets other rules after the class was looked at
    if (NSP__UNLIKELY(class != producer->ruled_class))
        return begin_in_other_class(producer, top, name, start, name_class);
    nsp__frame *frame = producer->ruled_frame;
    nsp__frame_open(frame, name, start);
    if (NSP__UNLIKELY(--class->left < 0))
        return begin_sampled(producer, top, name_class);
    nsp__count(&producer->home.slot->counters.roots_skipped);
    return begin_left_out(producer, class, top + 1, frame);
}

nsp_span *nsp__ruled_begin_pressed(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                                   uint32_t name_class)
{
    nsp__ruled_class *class = &producer->ruled_classes[name_class];
    if (class->left > 0)
        return nsp__ruled_begin(producer, top, name, start, name_class);
    nsp__busy_begin(producer);
    class_choose(producer, class);
    nsp__frame_open(producer->ruled_frame, name, start);
    nsp__ruled_class_draw(producer, name_class);
    nsp__count(&producer->home.slot->counters.roots_refused);
    return begin_left_out(producer, class, top + 1, producer->ruled_frame);
}

// ---- begin, apart from the common case ----

void nsp__ruled_speculate(nsp__frame *frame, uint64_t id)
{
    nsp__record *record = &frame->record;
    record->span_id = record->local_root_id = id;
    if ((record->flags & NSP__RECORD_TRACESTATE) != 0) {
        uint64_t *tag = (uint64_t *)(void *)(record + 1);
        *tag = (*tag & ~(NSP__ITEM_MARK_BITS << 56)) | nsp__item_mark(id | NSP__RECORDING);
    }
    const uint64_t flags = record->flags | NSP__RECORD_KEPT | (record->parent_id == 0 ? NSP__RECORD_ROOT : 0);
    nsp__record_set_traits(record, (uint64_t)NSP__THRESHOLD_CODE_SPECULATIVE << 32 | flags);
}

bool nsp__ruled_begin_apart(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                            const nsp_context *context, uintptr_t *handle)
{
    if (nsp__ruled_root_open(producer) || top[1].frame == NULL)
        return false;
    const uint32_t name_class = nsp__sampler_settled_class(producer, name);
    if (producer->thresholds[name_class] != NSP__THRESHOLD_RULED)
        return false;
    nsp__ruled_class *class = &producer->ruled_classes[name_class];
    nsp__frame *frame = producer->ruled_frame;
    nsp__frame_open(frame, name, nsp__ticks_or_now(start));
    nsp__cpu_begin(producer, frame);
    producer->ruled_class = class; // and the id that is drawn where the root ends is one of this class
    producer->ruled_marks = NSP__TRACE_ID_USED;
    if (nsp__head_decide(producer, frame, name, context)) {
        *handle = nsp__frame_handle(frame, frame->record.span_id, NSP__RECORDING);
    } else if (class->speculates) {
        nsp__ruled_speculate(frame, nsp__attempt(producer, producer->speculative.slot));
        *handle = nsp__frame_handle(frame, frame->record.span_id, NSP__RECORDING);
        nsp__pen_to_buffer(producer);
    } else {
        *handle = nsp__frame_handle(frame, ++producer->unrecorded, 0);
    }
    nsp__frame_publish(frame, *handle);
    top[1].current = *handle;
    nsp__busy_end(producer, top + 1);
    return true;
}

bool nsp__ruled_name(nsp__producer *producer, nsp_name name)
{
    return producer->thresholds[nsp__sampler_settled_class(producer, name)] == NSP__THRESHOLD_RULED;
}

// ---- end ----

// What lies in the frame and in the buffer goes, and with it the whole trace. In the order in which a reader after a
// crash finds either an open root or none.
static inline __attribute__((always_inline)) void take_back(nsp__producer *producer, nsp__frame *frame)
{
    nsp__speculation *speculation = producer->speculation;
    nsp__frame_close(frame);
    NSP__TESTPOINT("speculation: root closed");
    nsp__slot_publish(&speculation->slot, __atomic_load_n(&speculation->history_end, __ATOMIC_RELAXED));
    nsp__speculation_settle(speculation);
}

void nsp__speculation_take_back(nsp__producer *producer, nsp__frame *frame)
{
    take_back(producer, frame);
}

// As settle_after_handler in end_fast.c.
static NOINLINE void ended_already(nsp__producer *producer, nsp__entry *top, nsp_span *span, nsp_ticks end)
{
    nsp__busy_end(producer, nsp__session_over(producer)
                                ? top
                                : nsp__stack_settle_ruled(producer, nsp__stack_drop_ended(producer, top)));
    nsp__end_elsewhere(span, end);
}

static NOINLINE void end_slowly(nsp__producer *producer, nsp__entry *top, nsp_ticks end)
{
    nsp__ruled_end(producer, top, top, end);
    top->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_settle_ruled(producer, top));
}

static inline __attribute__((always_inline)) void pop_root(nsp__producer *producer, nsp__entry *top)
{
    nsp__pen_to_ring(producer);
    do
        top--;
    while (NSP__UNLIKELY(top->current == NSP__ENDED));
    nsp__busy_end(producer, top);
}

// What not every trace that becomes history needs: to note that a piece of the buffer begins, and a trace id for a rate
// that samples some.
static __attribute__((noinline)) void end_in_new_piece(nsp__producer *producer, nsp__entry *top,
                                                       uint64_t from, uint64_t to)
{
    if (nsp__history_in_new_piece(producer, from, to))
        nsp__history_note_pieces(producer, from, to);
    trace_id_draw(producer);
    pop_root(producer, top);
}

// It may have to be kept; or it becomes history if it need not be.
static __attribute__((noinline)) NSP__HOT void end_with_look(nsp__producer *producer, nsp__entry *top,
                                                             nsp_ticks end)
{
    const nsp__ruled_class *rule = producer->ruled_class;
    nsp__frame *frame = producer->ruled_frame;
    nsp__speculation *speculation = producer->speculation;
    const uint64_t ticks = end - frame->record.start;
    nsp__latency_place *place = nsp__latency_place_of(producer, frame->record.name);
    const uint64_t bytes = nsp__frame_bytes(frame), tail = nsp__slot_tail(&speculation->slot);
    const uint64_t reached = tail + bytes;
    if (NSP__UNLIKELY(rule->slower != 0 || ticks >= rule->bound ||
                      ticks >= __atomic_load_n(rule->slowest, __ATOMIC_RELAXED) ||
                      (producer->ruled_marks | nsp__ruled_seen(producer)) != 0 || place == NULL ||
                      reached > producer->speculative.ring.limit)) {
        end_slowly(producer, top, end);
        return;
    }
    const uint64_t before = nsp__history_end(producer);
    nsp__latency_note(place, ticks);
    nsp__record_put(&producer->speculative.ring, tail, frame, bytes, end);
    nsp__frame_close(frame);
    nsp__history_publish(speculation, reached);
    if (NSP__UNLIKELY(nsp__history_in_new_piece(producer, before, reached) ||
                      rule->threshold < NSP__THRESHOLD_NEVER)) {
        end_in_new_piece(producer, top, before, reached);
        return;
    }
    nsp__sampler_trace_id_any(producer, frame->record.trace_id);
    pop_root(producer, top);
}

NSP__HOT void nsp__end_current(nsp_span *span, nsp_ticks end, nsp__thread *thread)
{
    nsp__producer *producer = nsp__producer_of(thread);
    nsp__frame *frame = nsp__frame_of(span);
    if (NSP__UNLIKELY(frame != producer->ruled_frame)) {
        nsp__end_elsewhere(span, end);
        return;
    }
    nsp__entry *top = thread->top;
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(!nsp__frame_holds(frame, (uintptr_t)span))) {
        ended_already(producer, top, span, end);
        return;
    }
    const nsp__ruled_class *rule = producer->ruled_class;
    const uint64_t ticks = end - frame->record.start;
    nsp__latency_place *place = nsp__latency_place_of(producer, frame->record.name);
    // The decision, as tests/gates/decision.sh counts it.
    if (NSP__UNLIKELY(ticks >= rule->slower || ticks >= __atomic_load_n(rule->slowest, __ATOMIC_RELAXED) ||
                      (producer->ruled_marks | nsp__ruled_seen(producer)) != 0 || place == NULL)) {
        end_with_look(producer, top, end);
        return;
    }
    nsp__latency_note(place, ticks);
    take_back(producer, frame);
    pop_root(producer, top);
}

bool nsp__end_measured(nsp__producer *producer, nsp_span *span, nsp_ticks end)
{
    nsp__entry *top = producer->hot.top;
    nsp__frame *frame = nsp__frame_of(span);
    if (top->current != (uintptr_t)span || frame != producer->ruled_frame)
        return false;
    end = nsp__ticks_or_now(end);
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(!nsp__frame_holds(frame, (uintptr_t)span))) {
        nsp__busy_end(producer, top);
        return false;
    }
    const uint64_t ticks = end - frame->record.start;
    nsp__latency_place *place = nsp__latency_place_of(producer, frame->record.name);
    if (NSP__LIKELY((producer->ruled_marks | nsp__ruled_seen(producer)) == 0 && place != NULL &&
                    (int64_t)ticks >= 0)) {
        // Begun at the bottom.
        nsp__latency_note(place, ticks);
        nsp__frame_close(frame);
        nsp__busy_end(producer, nsp__stack_trim(top - 1));
        return true;
    }
    nsp__ruled_end(producer, top, top, end);
    top->current = NSP__ENDED;
    nsp__busy_end(producer, nsp__stack_settle_ruled(producer, top));
    return true;
}
