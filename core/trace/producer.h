// SPDX-License-Identifier: Apache-2.0
//
// A thread that records: its process-local state behind the inline part, and the table of all of them.
#ifndef NSP_TRACE_PRODUCER_H
#define NSP_TRACE_PRODUCER_H

#include <nanospan/span.h>
#include <nanospan/thread.h>
#include <urcu/wfstack.h>

#include "base/fork.h"
#include "base/random.h"
#include "shm/control.h"
#include "shm/ring.h"
#include "shm/session.h"

// A detached span's place in the pool, process-local (the shared half is its frame). It belongs to the thread slot that
// began the last span in it, and comes back over that thread's wait-free stack when the span ends.
typedef struct nsp__detached_node {
    struct cds_wfs_node link;
    struct nsp__producer *owner;
} nsp__detached_node;

enum { NSP__DETACHED_SPARES = 2 };

// There are two pools: what records lies in the session, where a reader finds it after a crash; of what does not, nothing
// but the identity is kept, in private memory, so that no number of unsampled spans takes the recorded ones' room.
typedef struct nsp__detached_pool {
    uint8_t *frames;
    nsp__detached_node *nodes;
    uint32_t count;
    uint32_t stride; // bytes from frame to frame
    uint32_t *left;  // places that were never taken, at the end; beyond count: none
} nsp__detached_pool;

// What a thread has of a pool: its free places (detached.c), pushed by any thread, and taken as a whole by any.
typedef struct nsp__detached_places {
    nsp__detached_pool pool; // the one of the session that the thread is attached to
    struct __cds_wfs_stack free_list;
    struct cds_wfs_node *spares[NSP__DETACHED_SPARES]; // chains; filled by this thread, taken by any
    uint32_t next_other;                               // whose places are looked at next
} nsp__detached_places;

// Process-local state of one thread slot. Written by the thread only, except its free detached places. Lives as long as the process;
// the next thread in the slot takes it over.
typedef struct nsp__producer {
    nsp__thread hot; // first: nsp__thread_v1 points here
    nsp__ring ring;
    nsp__slot *slot;
    const nsp__control *control;
    uint64_t random;           // state of the generator
    uint64_t id_base, id_step; // of its span ids (nsp__attempt)
    uint64_t watermark;        // bytes in the ring above which new traces are refused
    uint64_t headroom;         // the ring's other bytes
    uint32_t parent_policy;
    nsp__entry busy; // what `top` points to while nanospan is at work

    // The sampler, copied from the policy of hot.generation.
    uint64_t thresholds[NSP__CLASSES];
    uint64_t root_traits[NSP__CLASSES]; // the last word of a sampled root's fixed part
    double inverse_logs[NSP__CLASSES];

    // The context of the unsampled root that is current, drawn when first asked for.
    struct {
        uint64_t trace_id[2];
        uint64_t span_id;
    } unsampled_root;

    uint64_t unrecorded;      // spans begun that have a frame but do not record
    uint32_t enters_too_deep; // entered spans that found no room on the stack, so that their leaves pair up

    nsp__detached_places recorded, unsampled; // of the two pools of detached spans

    // [0] the bottom, then one for each frame, then one without frame. On pages of their own, which the child of a fork finds
    // zeroed, while it has a copy of what is above: there `top` leads to an entry that says "nothing open", as of a root,
    // and the generation, which reads 0 as well, sends that root to nsp__begin_special. So the hot path needs no check.
    nsp__entry stack[];
} nsp__producer;

// Not in the same places of two pages: the processor would take a load from one for a store to the other.
_Static_assert(offsetof(nsp__producer, stack) % 4096 >= 256 &&
                   offsetof(nsp__producer, stack) % 4096 <= 4096 - 256,
               "a thread's state and its stack must not be a multiple of 4 KiB apart");

// Marks an unsampled context as drawn, in hot.unsampled_class.
#define NSP__UNSAMPLED_DRAWN 0x80000000u

// What the trace layer works on; set by lifecycle before nsp__active, kept (retired) after shutdown.
typedef struct nsp__trace {
    nsp__session *session;
    nsp__control *control;
    nsp__detached_pool pool, unsampled_pool;
    uint64_t watermark_permille; // of a ring's bytes
    uint64_t ring_bytes;
    uint32_t record_bytes, open_spans, threads;
    uint32_t value_limit;
    uint32_t attributes, events, links; // limits of a span
    uint32_t event_attributes, link_attributes;
    // What attaching threads met; they do not log, whoever drains does.
    struct {
        uint32_t private_rings, no_slot, no_memory;
    } trouble;
    uint32_t slots_claimed;                     // slots that were made or are being made; process-local
    uint32_t attaching;                         // threads that are just being attached
    bool disabled;                              // tracing was turned off by configuration; set by lifecycle
    uint32_t epoch;                             // number of this session within the process
    nsp__producer *producers[NSP__THREADS_MAX]; // by slot index (release T1, acquire T2)
} nsp__trace;

extern nsp__trace nsp__trace_state;

static inline nsp__producer *nsp__producer_at(uint32_t index)
{
    return __atomic_load_n(&nsp__trace_state.producers[index], __ATOMIC_ACQUIRE); // T2
}

// What threads that are not attached have for a state: a stack with nothing but a sentinel at its bottom.
extern nsp__thread nsp__nobody;

// Turns tracing off for this thread; true.
bool nsp__parents_state_left(void);

// True in the child of a fork in which the library's handler has not run: what belongs to the parent cannot be reached. This
// thread then finds tracing turned off, until that handler runs.
static inline bool nsp__parents_state(void)
{
    return NSP__UNLIKELY(nsp__process_copied()) && nsp__parents_state_left();
}

// NULL if the thread is not attached.
static inline nsp__producer *nsp__producer_self(void)
{
    nsp__thread *thread = nsp__thread_v1;
    return thread != &nsp__nobody ? (nsp__producer *)thread : NULL;
}

static inline nsp__frame *nsp__frame_at(nsp__slot *slot, uint32_t depth)
{
    return (nsp__frame *)(void *)((char *)slot + slot->frames_offset + (uint64_t)depth * slot->frame_stride);
}

static inline nsp__frame *nsp__detached_frame(const nsp__detached_pool *pool, uint32_t index)
{
    return (nsp__frame *)(void *)(pool->frames + (uint64_t)index * pool->stride);
}

// ---- thread.c, slots.c ----

// True while tracing runs. nsp__trace_activate sets it, for threads that are not attached too (A1, A2).
extern bool nsp__active;
void nsp__trace_activate(bool active);

// The span of a thread that is not attached: attaches it.
nsp_span *nsp__begin_unattached(nsp_name name, nsp_ticks start);

// Starts on a session: no producers yet. Called with tracing inactive.
void nsp__trace_begin(nsp__session *session, const nsp_config *config);
// Tracing was made inactive: waits for the threads that are attaching at this moment (milliseconds at most).
// False if one of them takes longer (it may have been stopped by a debugger): its session must then stay.
bool nsp__trace_quiesce(uint32_t milliseconds);
// True if some thread is in the middle of beginning or ending a span: its counters do not add up then.
bool nsp__trace_moving(void);
// Ends it: retires all slots. Threads notice at their next root.
void nsp__trace_end(void);
// In the child of a fork: forgets everything of the parent's.
void nsp__trace_abandon(void);

// Attaches the calling thread, or returns its state. NULL with *status if that cannot be.
nsp__producer *nsp__producer_attach(const nsp_thread_options *options, nsp_status *status);

// Called when a thread without state begins a span while tracing is active but this process has no session yet (the
// child of a fork). Set by lifecycle; returns true if there is a session now.
extern bool (*nsp__session_wanted)(void);

// The last word of a sampled root's record: flags and the code of the threshold.
static inline uint64_t nsp__record_root_traits(uint32_t threshold_code)
{
    return (uint64_t)threshold_code << 32 | NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT |
           NSP__RECORD_ROOT;
}

// An id for a span that does not record; never 0.
static inline uint64_t nsp__span_id_draw(nsp__producer *producer)
{
    uint64_t id = nsp__random_next(&producer->random);
    return NSP__LIKELY(id != 0) ? id : 1;
}

#endif
