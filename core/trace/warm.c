// SPDX-License-Identifier: Apache-2.0
//
// Keeps a waiting thread's tracing warm. What a span costs after a while is address translation and cache
// misses, of code as much as of data. So the hot functions themselves are executed, not copies of them, on a
// producer of their own whose slot, frames and ring are private memory: what they count, publish and draw is
// seen by nobody. The thread's own state is only fetched, never changed. So it does not matter what it looks
// like meanwhile, and a signal handler records its spans as if nothing was interrupted.
#include "trace/warm.h"

#include <nanospan/thread.h>

#include "context/threshold.h"
#include "trace/commit.h"
#include "trace/trace_state.h"

enum { DEPTH = 2, ATTRIBUTES = 8, RECORD_BYTES = NSP__FRAME_ALIGN - offsetof(nsp__frame, record) };

typedef struct nsp__discard {
    nsp__slot slot;
    struct {
        nsp__frame frame; // whose record continues in the items
        uint64_t items[(RECORD_BYTES - sizeof(nsp__record)) / 8];
    } frames[DEPTH] __attribute__((aligned(256)));
    uint64_t ring[RECORD_BYTES / 8]; // a single place: a mask of 0 leads every record there
    bool recording;                  // the policy records some roots
    // A producer follows, with a stack for DEPTH frames.
} __attribute__((aligned(256))) nsp__discard;

_Static_assert(NSP__FRAME_ALIGN == 256, "frames are aligned as handles need it");
_Static_assert(sizeof(((nsp__discard *)NULL)->frames[0]) == NSP__FRAME_ALIGN, "all frames are");

size_t nsp__warm_bytes(void)
{
    return sizeof(nsp__discard) + sizeof(nsp__producer) + (DEPTH + 2) * sizeof(nsp__entry);
}

static nsp__producer *discarding(nsp__discard *discard)
{
    return (nsp__producer *)(void *)(discard + 1);
}

void nsp__warm_prepare(nsp__producer *producer)
{
    nsp__discard *discard = producer->discard;
    nsp__producer *own = discarding(discard);
    for (int i = 0; i < DEPTH; i++) {
        nsp__frame *frame = &discard->frames[i].frame;
        frame->tag = 0;
        frame->initial = NSP__CURSOR(ATTRIBUTES, sizeof(nsp__record));
        frame->limit = frame->value_limit = RECORD_BYTES;
        own->stack[i + 1].frame = frame;
    }
    own->ring.slot = own->home.slot = &discard->slot;
    own->ring.bytes = (uint8_t *)discard->ring;
    own->ring.limit = UINT64_MAX;
    own->busy.current = NSP__BUSY;
    own->random = 1;
    own->id_base = 1; // all ids are odd
    own->id_step = 2;
    own->hot.top = &own->stack[0];
    own->stack[0].current = NSP__NOTHING;
    own->hot.reads_counter = producer->hot.reads_counter;
    own->cpu = producer->cpu;
    own->cpu_tag = producer->cpu_tag;
    own->hot.generation = NSP__GENERATION_NONE;
    discard->recording = false;
}

// ---- the thread's own state ----

static inline __attribute__((always_inline)) void fetch(const void *from, size_t bytes)
{
    for (const char *line = from, *end = line + bytes; line < end; line += NSP__LINE)
        nsp__prefetch_write(line);
}

// What the next span will use, in the state in which a span leaves it.
static inline void fetch_state(const nsp__producer *producer, const nsp__entry *top)
{
    const nsp__slot *slot = producer->home.slot;
    const nsp__frame *frame = top[1].frame;
    fetch(producer, offsetof(nsp__producer, thresholds) + sizeof producer->thresholds[0]);
    fetch(producer->root_traits, 1);
    fetch(producer->hot.classes, 2 * NSP__LINE); // of the first names
    fetch(producer->hot.skips, 1);
    fetch(&slot->published, 1);
    fetch(&slot->counters, 1);
    fetch(nsp__ring_place(&producer->home.ring, nsp__slot_tail(slot)), NSP__PREFETCH_AHEAD + 2 * NSP__LINE);
    if (frame != NULL)
        fetch(frame, NSP__FRAME_ALIGN);
    if (!producer->outliers)
        return;
    const nsp__speculation *speculation = producer->speculation;
    fetch(&producer->ruled_frame,
          offsetof(nsp__producer, ruled_classes) - offsetof(nsp__producer, ruled_frame));
    fetch(producer->ruled_classes, sizeof producer->ruled_classes[0]);
    fetch(producer->ruled_frame, NSP__FRAME_ALIGN);
    fetch(&speculation->slot.published, 1);
    fetch(&speculation->slot.counters, 1);
    fetch(&speculation->settled, 1);
    if (producer->speculative.slot != NULL)
        fetch(producer->speculative.ring.bytes, NSP__PREFETCH_AHEAD);
}

// ---- the discarded spans ----

// Takes over the policy in force: that of the class of roots with the highest rate. If the policy is just being
// changed, it is taken over next time.
static __attribute__((noinline, cold)) void take_policy(const nsp__producer *from, nsp__producer *own,
                                                        nsp__discard *discard)
{
    uint64_t threshold;
    double inverse_log;
    uint32_t generation = nsp__sampler_least(from, &threshold, &inverse_log);
    if (generation == 0)
        return;
    own->thresholds[0] = threshold;
    own->root_traits[0] = nsp__record_root_traits(nsp__threshold_encode(threshold));
    own->inverse_logs[0] = inverse_log;
    discard->recording = threshold < NSP__THRESHOLD_NEVER;
    own->hot.generation = generation;
}

// A root and its child with three attributes. The clock is read twice.
static inline void record_and_discard(nsp__producer *own)
{
    const nsp_ticks any = 1;
    bool counter = own->hot.reads_counter;
    nsp_span *root = nsp__begin_root(&own->hot, 0, counter ? 0 : nsp_now(), 0);
    nsp_span *child = nsp__begin_child(&own->hot, 0, any);
    nsp__attr_set_text(child, 0, "BTCUSDT", sizeof "BTCUSDT" - 1);
    nsp__set_f64(child, 0, 0);
    nsp__set_i64(child, 0, 0);
    nsp__end_on(child, any, &own->hot);
    nsp__end_on(root, counter ? 0 : nsp_now(), &own->hot);
}

void nsp_thread_warm(void)
{
    nsp__thread *thread = nsp__thread_v4;
    nsp__entry *top = thread->top;
    uintptr_t current = __atomic_load_n(&top->current, __ATOMIC_RELAXED);
    // Without a session, that was all that spans use. 0: in the child of a fork.
    if (current == NSP__OFF || current == NSP__UNATTACHED || current == NSP__BUSY || current == 0)
        return;
    nsp__producer *producer = nsp__producer_of(thread);
    uint32_t generation = __atomic_load_n(&thread->skips->generation, __ATOMIC_RELAXED); // N1
    if (generation == 0) // the session is over
        return;
    fetch_state(producer, top);
    nsp__discard *discard = producer->discard;
    nsp__producer *own = discarding(discard);
    if (own->hot.generation != generation)
        take_policy(producer, own, discard);
    // Otherwise a signal handler has interrupted this function, and calls it too.
    if (discard->recording && own->hot.top == &own->stack[0])
        record_and_discard(own);
}
