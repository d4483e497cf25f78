// SPDX-License-Identifier: Apache-2.0
//
// The recorded half of the hot path: end and next.
#include "base/hot.h"
#include "trace/commit.h"
#include "trace/cpu.h"
#include "trace/end_slow.h"
#include "trace/misuse.h"
#include "trace/path.h"
#include "trace/speculation.h"
#include "trace/stack.h"

// Calls that are not tail calls would make the hot functions save and restore registers. So everything
// uncommon is NOINLINE and called last.
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline, cold))

// ---- end ----

// Takes ended entries off the top.
ALWAYS_INLINE nsp__entry *pop(nsp__entry *entry)
{
    do
        entry--;
    while (NSP__UNLIKELY(entry->current == NSP__ENDED));
    return entry;
}

static NOINLINE void end_by_clock(nsp_span *span, nsp__thread *thread)
{
    nsp__end_on(span, nsp_now(), thread);
}

// True if the span is the innermost of this thread.
ALWAYS_INLINE bool is_current(const nsp__entry *top, const nsp_span *span)
{
    return NSP__LIKELY(__atomic_load_n(&top->current, __ATOMIC_RELAXED) == (uintptr_t)span);
}

// And it is in its own frame: what the hot path handles.
ALWAYS_INLINE bool innermost(const nsp__entry *top, const nsp_span *span)
{
    return NSP__LIKELY(is_current(top, span) && top->frame == nsp__frame_of(span));
}

static NOINLINE void end_after_all(nsp__producer *producer, nsp__entry *top, nsp_ticks end)
{
    nsp__commit_after_all_and_close(producer, top->frame, end);
    nsp__busy_end(producer, pop(top));
}

// The ring is full.
static NOINLINE void end_dropped(nsp__producer *producer, nsp__entry *top)
{
    nsp__frame_close(top->frame);
    nsp__count_commit(producer->slot, false);
    nsp__busy_end(producer, pop(top));
}

// True if the pen cannot write up to this position, whatever is tried.
ALWAYS_INLINE bool surely_full(const nsp__producer *producer, const nsp__slot *slot, uint64_t reached)
{
    return slot == producer->home.slot && reached - __atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE) > // R4
                                              nsp__ring_capacity(&producer->ring);
}

// A signal handler has ended the span, after this thread looked at the stack and before handlers were kept
// out. The stack is as the handler left it: without the span, and without those below it that the handler has
// ended too, unless another one has taken its place. Or the session is over.
static NOINLINE void settle_after_handler(nsp__producer *producer, nsp__entry *top)
{
    nsp__busy_end(producer, nsp__session_over(producer)
                                ? pop(top)
                                : nsp__stack_settle(producer, nsp__stack_drop_ended(producer, top)));
}

// Either a handler has ended the span, or the session is over and its frames are zero. In the second case
// there is nothing to count.
static NOINLINE void ended_already(nsp__producer *producer, nsp__entry *top)
{
    settle_after_handler(producer, top);
    if (!nsp__session_over(producer))
        nsp__misused();
}

// The span on top is not an ordinary one that is open in its frame.
static NOINLINE void end_uncommon(nsp__producer *producer, nsp__entry *top, nsp_span *span, nsp_ticks end)
{
    if (nsp__frame_holds(top->frame, (uintptr_t)span))
        nsp__path_end_busy(producer, top, end);
    else
        ended_already(producer, top);
}

// The rest of it for a span under which nothing is open, with the producer busy: a local root, as a rule. This one has
// moved to another CPU, or it is not known where it is, or it is no local root, or the ring seems full.
static __attribute__((noinline)) void end_elsewhere(nsp__producer *producer, nsp__frame *frame, nsp_ticks end,
                                                    nsp__slot *slot, nsp__entry *top)
{
    (void)slot; // but it is where end_outermost has it
    nsp__cpu_end(producer, frame, false);
    nsp__commit_and_close(producer, frame, end);
    nsp__busy_end(producer, pop(top));
}

// This one ends on the CPU on which it began.
static __attribute__((noinline)) NSP__HOT void end_outermost(nsp__producer *producer, nsp__frame *frame,
                                                             nsp_ticks end, nsp__slot *slot, nsp__entry *top)
{
    if (NSP__UNLIKELY(frame->cpu != nsp__cpu_now(producer) ||
                      !nsp__commit_with_cpu(producer, slot, frame, end))) {
        end_elsewhere(producer, frame, end, slot, top);
        return;
    }
    nsp__frame_close(frame);
    nsp__count_commit(slot, true);
    nsp__busy_end(producer, pop(top));
}

NSP__HOT void nsp__end_on(nsp_span *span, nsp_ticks end, nsp__thread *thread)
{
    // For a thread that is not attached this is not a producer, and only its stack is looked at.
    nsp__producer *producer = nsp__producer_of(thread);
    if (end == 0) {
        if (NSP__UNLIKELY(!producer->hot.reads_counter)) {
            end_by_clock(span, thread);
            return;
        }
        end = nsp__counter_read();
    }
    nsp__entry *top = producer->hot.top;
    if (!is_current(top, span)) {
        nsp__end_elsewhere(span, end);
        return;
    }
    nsp__frame *frame = nsp__frame_of(span);
    if (NSP__UNLIKELY(top->frame != frame)) {
        nsp__end_current(span, end, thread);
        return;
    }
    nsp__slot *slot = producer->slot;
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(!nsp__frame_holds_as(frame, (uintptr_t)span, 0))) {
        end_uncommon(producer, top, span, end);
        return;
    }
    // One look says that what is below neither has ended nor is the stack's bottom, so that only a local root pays for
    // what is written at its end.
    nsp__entry *below = top - 1;
    if (below->current <= NSP__NOTHING && (frame->cpu != NSP__CPU_UNKNOWN || below->current == NSP__ENDED)) {
        end_outermost(producer, frame, end, slot, top);
        return;
    }
    uint64_t reached;
    if (NSP__UNLIKELY(!nsp__commit_to(producer, slot, frame, end, &reached))) {
        if (surely_full(producer, slot, reached))
            end_dropped(producer, top);
        else
            end_after_all(producer, top, end);
        return;
    }
    nsp__frame_close(frame);
    nsp__count_commit(slot, true);
    nsp__busy_end(producer, below);
}

// ---- next ----

static NOINLINE nsp_span *next_by_clock(nsp_span *span, nsp_name name, nsp__thread *thread)
{
    return nsp__next_on(span, name, nsp_now(), thread);
}

// The sibling has the same trace, parent and flags: most of the frame stays as it is. Its new tag is what
// closes the old span.
ALWAYS_INLINE nsp_span *reopen(nsp__producer *producer, nsp__slot *slot, nsp__entry *top, nsp__frame *frame,
                               nsp_name name, nsp_ticks at)
{
    const uint64_t kept = NSP__TRAITS(NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT);
    uint64_t id = nsp__attempt(producer, slot);
    nsp__frame_open(frame, name, at);
    frame->record.span_id = id;
    nsp__record_set_traits(&frame->record, nsp__record_traits(&frame->record) & kept);
    return nsp__push(producer, top, frame, id);
}

static NOINLINE nsp_span *next_full(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks at)
{
    nsp__commit_after_all_and_close(producer, top->frame, at);
    return reopen(producer, producer->slot, top, top->frame, name, at);
}

static NOINLINE nsp_span *next_after_handler(nsp__producer *producer, nsp__entry *top, nsp_span *span,
                                             nsp_name name, nsp_ticks at)
{
    if (nsp__frame_holds(top->frame, (uintptr_t)span)) // the span of a path
        nsp__busy_end(producer, top);
    else
        settle_after_handler(producer, top);
    return nsp__next_elsewhere(span, name, at);
}

NSP__HOT nsp_span *nsp__next_on(nsp_span *span, nsp_name name, nsp_ticks at, nsp__thread *thread)
{
    const uint8_t uncommon = NSP__RECORD_TRACESTATE | NSP__RECORD_PARENT_REMOTE | NSP__RECORD_ROOT;
    const uint8_t always = NSP__RECORD_KEPT; // except in a session that has ended, whose pages are zero
    nsp__producer *producer = nsp__producer_of(thread); // as in nsp__end_on
    if (at == 0) {
        if (NSP__UNLIKELY(!producer->hot.reads_counter))
            return next_by_clock(span, name, thread);
        at = nsp__counter_read();
    }
    nsp__entry *top = producer->hot.top;
    nsp__frame *frame = nsp__frame_of(span);
    if (!innermost(top, span) || NSP__UNLIKELY((frame->record.flags & (uncommon | always)) != always))
        return nsp__next_elsewhere(span, name, at);
    nsp__slot *slot = producer->slot;
    nsp__busy_begin(producer);
    if (NSP__UNLIKELY(!nsp__frame_holds_as(frame, (uintptr_t)span, 0)))
        return next_after_handler(producer, top, span, name, at);
    if (NSP__UNLIKELY(!nsp__commit(producer, slot, frame, at)))
        return next_full(producer, top, name, at);
    // The published position already says that the span is no longer open.
    nsp__count_commit(slot, true);
    return reopen(producer, slot, top, frame, name, at);
}
