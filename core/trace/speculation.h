// SPDX-License-Identifier: Apache-2.0
//
// Local roots that an outlier rule looks at where they end, in short: ruled roots. What the head leaves out of them is
// recorded speculatively, if the rule may keep it: into a buffer of the thread's own (shm/speculation.h), and the end
// of the root takes it back or copies it into the ring. What the head samples is recorded as always, and what can
// never be kept does not record; of both only the duration is taken.
//
// Nothing of this is known to the hot path:
//
//   - The producer's `slot` and `ring` are its pen. While a span of a speculative trace is on top of the stack they lead
//     to the buffer, otherwise to the ring. So children begin and end by the same code.
//   - A ruled root lies in a frame of its own, `ruled_frame`, and not in that of its depth. So the hot path does not take
//     it for the innermost span, and its end comes here. There is one at most on a thread; a root that begins inside it
//     is decided by the head alone.
//   - If another trace's span becomes current on top of a speculative one, the pen goes back to the ring. NSP__SUSPENDED
//     then stands between the two, and a span that was begun there lies in the frame of that entry, so that its end
//     comes here too and turns the pen round at once. A signal handler thus leaves the pen as it has found it.
//
// A record of a speculative trace has the threshold's code NSP__THRESHOLD_CODE_SPECULATIVE, which children and siblings
// inherit, and not the flag SAMPLED. Its spans are counted as speculated, and as attempted only if they are kept.
//
// A detached local root is speculative in its place of the pool, where `detached` is 2, and is decided from its own
// record by whichever thread ends it. What would be its children does not record; the root counts it.
#ifndef NSP_TRACE_SPECULATION_H
#define NSP_TRACE_SPECULATION_H

#include "context/threshold.h"
#include "trace/stack.h"
#include "trace/thread_state.h"

// `detached` of a detached local root that a rule looks at.
enum { NSP__DETACHED_RULED = 2 };

// In `reserved` of such a frame: how many children were left out, and that nsp_trace_keep was called for it.
#define NSP__APART_ASKED UINT32_C(0x80000000)

static inline bool nsp__frame_speculative(const nsp__frame *frame)
{
    return frame->record.threshold == NSP__THRESHOLD_CODE_SPECULATIVE;
}

// ---- the pen ----

static inline bool nsp__pen_is_home(const nsp__producer *producer)
{
    return producer->slot == producer->home.slot;
}

static inline __attribute__((always_inline)) void nsp__pen_to_buffer(nsp__producer *producer)
{
    producer->pen = producer->speculative;
}

static inline __attribute__((always_inline)) void nsp__pen_to_ring(nsp__producer *producer)
{
    producer->pen = producer->home;
}

static inline void nsp__pen_to_ring_if_not(nsp__producer *producer)
{
    if (!nsp__pen_is_home(producer))
        nsp__pen_to_ring(producer);
}

// Turns the pen to where this open span's record belongs.
static inline void nsp__pen_turn(nsp__producer *producer, const nsp__frame *frame)
{
    bool home = !nsp__frame_speculative(frame) || frame->detached != 0;
    if (home == nsp__pen_is_home(producer))
        return;
    if (home)
        nsp__pen_to_ring(producer);
    else
        nsp__pen_to_buffer(producer);
}

// Nothing is open any more.
static inline __attribute__((always_inline)) void nsp__speculation_settle(nsp__speculation *speculation)
{
    __atomic_store_n(&speculation->settled,
                     __atomic_load_n(&speculation->slot.counters.attempted, __ATOMIC_RELAXED),
                     __ATOMIC_RELEASE); // C1
}

// ---- the stack ----

static inline bool nsp__ruled_root_open(const nsp__producer *producer)
{
    return __atomic_load_n(&producer->ruled_frame->tag, __ATOMIC_RELAXED) != 0;
}

nsp__entry *nsp__stack_settle_ruled(nsp__producer *producer, nsp__entry *top);

// The top without ended entries, and without NSP__SUSPENDED where what is under it may go on; turns the pen to where
// that top belongs. With the producer busy.
static inline nsp__entry *nsp__stack_settle(nsp__producer *producer, nsp__entry *top)
{
    top = nsp__stack_trim(top);
    return NSP__UNLIKELY(producer->outliers) ? nsp__stack_settle_ruled(producer, top) : top;
}

// Where `outliers` is true: makes room above this top for a span of another trace, or of none. Returns the top on which
// it is to be pushed: NULL if the stack is too deep, and then nothing has changed. With the producer busy and settled.
nsp__entry *nsp__stack_suspend(nsp__producer *producer, nsp__entry *top);

// The frame for a span that is begun on this top.
static inline nsp__frame *nsp__stack_frame_above(const nsp__entry *top)
{
    return top->current == NSP__SUSPENDED ? top->frame : top[1].frame;
}

// A span begins while NSP__SUSPENDED is current.
nsp_span *nsp__begin_under_suspended(nsp__producer *producer, nsp_name name, nsp_ticks start);

// ---- ruled roots ----

// Begins a root of a class whose threshold is not 0, on this top, which is the bottom. Most of these are ruled, so that
// is looked at first.
nsp_span *nsp__ruled_begin(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                           size_t name_class);

// begin_fast.c: a root that the sampler records, among others that it leaves out; and the first one of its class since
// the policy changed, which draws the class, and decides again.
nsp_span *nsp__begin_hit(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                         uint32_t name_class);
nsp_span *nsp__begin_undrawn(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                             uint32_t name_class);

// The same where the threshold is NSP__THRESHOLD_RULED, under pressure: the head samples none, but what is speculated
// costs the ring nothing.
nsp_span *nsp__ruled_begin_pressed(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                                   uint32_t name_class);

// For a local root that begins by nsp_span_begin_with, with the producer busy, on a settled top: begins it if a rule
// looks at it. False if there is none. handle: becomes the handle. context: as of nsp__head_decide.
bool nsp__ruled_begin_apart(nsp__producer *producer, nsp__entry *top, nsp_name name, nsp_ticks start,
                            const nsp_context *context, uintptr_t *handle);

// What the head says of the next root of a ruled class, and counts what it leaves out. With the producer busy.
bool nsp__ruled_head(nsp__producer *producer, uint32_t name_class);

// After nsp__head_decide has said that the local root in this frame does not record: makes it speculative. id: a new
// span id.
void nsp__ruled_speculate(nsp__frame *frame, uint64_t id);

// Ends the ruled root at this entry of the stack with this top, with the producer busy: decides about its trace, and
// closes what of it is still open above. The entry stays.
void nsp__ruled_end(nsp__producer *producer, nsp__entry *top, const nsp__entry *entry, nsp_ticks end);

// The same for a root that nobody ends: what was speculated is taken back.
void nsp__ruled_abandon(nsp__producer *producer, nsp__entry *top, const nsp__entry *entry, nsp_ticks end);

// The end of the span on top, which is not in the frame of its depth. The thread is attached.
void nsp__end_current(nsp_span *span, nsp_ticks end, nsp__thread *thread);

// If this is the ruled root, which does not record, and it is on top, ends it and returns true.
bool nsp__end_measured(nsp__producer *producer, nsp_span *span, nsp_ticks end);

// ---- detached ruled roots ----

// True if a rule looks at local roots of this name. With the producer busy.
bool nsp__ruled_name(nsp__producer *producer, nsp_name name);

// Ends the detached ruled root in this frame, which is claimed, with the producer busy and the pen at the ring: decides,
// and closes the frame. recording: its handle says so.
void nsp__ruled_end_apart(nsp__producer *producer, nsp__frame *frame, nsp_ticks end, bool recording);

// Counts one that is taken back. anywhere: the caller's state; NULL: it counts in any thread's.
void nsp__ruled_apart_lost(nsp__producer *producer);

// Counts one that has been decided about, in `counter`, with its phases if it is a path: those begin to count here.
static inline void nsp__ruled_apart_count(nsp__speculation *speculation, uint64_t *counter, uint64_t phases)
{
    if (phases != 0)
        __atomic_fetch_add(&speculation->apart_begun, phases, __ATOMIC_RELEASE); // C1: to C2
    __atomic_fetch_add(counter, 1 + phases, __ATOMIC_RELEASE);                   // C1: to C2
}
void nsp__ruled_apart_lost_anywhere(nsp__producer *producer);

// Counts a span under a speculative one that does not record. With the producer busy; top: settled.
void nsp__ruled_left_out(nsp__producer *producer, const nsp__entry *top);

// ---- what is noted about a trace ----

static inline uint64_t nsp__ruled_seen(const nsp__producer *producer)
{
    return __atomic_load_n(&producer->ruled_seen, __ATOMIC_RELAXED);
}

// Somebody is about to see the identity of the span in this frame: the next ruled root has another trace id.
void nsp__ruled_note_seen(const nsp__frame *frame);

// At the end of a ruled root, but not on the hot path: forgets what was noted about its trace, and its id if that was
// used. With the frame closed.
void nsp__ruled_forget(nsp__producer *producer);

// The span's status has become ERROR, or is that no more.
void nsp__ruled_note_error(const nsp__record *record, bool is_error);

#endif
