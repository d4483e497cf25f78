// SPDX-License-Identifier: Apache-2.0
//
// A thread that records spans: its process-local state, of which inline code sees only the first part.
#ifndef NSP_TRACE_THREAD_STATE_H
#define NSP_TRACE_THREAD_STATE_H

#include <nanospan/span.h>
#include <urcu/wfstack.h>

#include "base/random.h"
#include "shm/control.h"
#include "shm/latencies.h"
#include "shm/ring.h"
#include "shm/speculation.h"

// A detached span's place in the pool, process-local (the shared half is its frame). It belongs to the thread
// slot that began the last span in it, and comes back over that thread's wait-free stack when the span ends.
typedef struct nsp__detached_node {
    struct cds_wfs_node link;
    struct nsp__producer *owner;
} nsp__detached_node;

enum { NSP__DETACHED_SPARES = 2 };

// There are two pools. Spans that record lie in the session, where a reader finds them after a crash. Of the
// others only the identity is kept, in private memory, so that unsampled spans never take the room of
// recorded ones, however many they are.
typedef struct nsp__detached_pool {
    uint8_t *frames;
    nsp__detached_node *nodes;
    uint32_t count;
    uint32_t stride; // bytes from frame to frame
    uint32_t *left;  // places that were never taken, at the end; beyond count: none
} nsp__detached_pool;

// Places of the pool that were ever taken, counted from the front. The others hold no span.
static inline uint32_t nsp__detached_taken(const nsp__detached_pool *pool)
{
    if (pool->frames == NULL || pool->left == NULL)
        return 0;
    uint32_t left = __atomic_load_n(pool->left, __ATOMIC_RELAXED);
    return left <= pool->count ? pool->count - left : pool->count;
}

// A thread's free places of a pool (detached.c). Any thread may push one, and any thread may take all of them
// at once.
typedef struct nsp__detached_places {
    nsp__detached_pool pool; // the one of the session that the thread is attached to
    // On lines of their own: other threads write them.
    struct __cds_wfs_stack free_list __attribute__((aligned(128)));
    struct cds_wfs_node *spares[NSP__DETACHED_SPARES]; // chains; filled by this thread, taken by any
    uint32_t next_other;                               // whose places are looked at next
} nsp__detached_places;

// Where spans are recorded: what begin counts in, and end writes to. Copied as a whole, and so short.
typedef union nsp__pen {
    nsp__ring ring;
    struct {
        uint64_t unnamed[3];
        nsp__slot *slot;
    };
} nsp__pen;

_Static_assert(offsetof(nsp__pen, slot) == offsetof(nsp__ring, slot) && sizeof(nsp__pen) == 32,
               "the slot of a pen is that of its ring");

// What a root of a class with an outlier rule needs of the policy; of the classes that were used since it was met.
typedef struct nsp__ruled_class {
    uint64_t threshold; // of the class's rate; thresholds[] says NSP__THRESHOLD_RULED in its place
    int64_t left;       // roots that the head still leaves out. Process-local: no class with a rule has skips
    // ticks: a root of so many may be slow; 2^63: that is no condition. 0 with history, so that the end of every root
    // comes to where history is dealt with.
    uint64_t slower;
    const uint64_t
        *slowest; // ticks: a root of so many is among the slowest; UINT64_MAX: no condition, or not yet known
    uint64_t bound; // what `slower` would be without history
    uint64_t history_ns;
    bool speculates;     // its unsampled roots record; otherwise their duration is all that is wanted
    uint32_t generation; // of the policy that has this rule
    uint64_t identity;   // of the rule, whatever its number
    uint64_t interval;   // ticks from one kept trace to the next at the rule's limit; 0: there is no limit
    uint64_t second;     // ticks
    uint64_t slower_ns;  // what `slower` was made from
    uint32_t rule, conditions;
} __attribute__((aligned(128))) nsp__ruled_class; // so that its address is a shift away from its number

enum { NSP__HISTORY_PIECES = 128 };

// What has been noted about the trace of the ruled root, besides its spans. Bits 0 to 31 count its spans with the status
// ERROR.
#define NSP__TRACE_ERROR UINT64_C(1)
#define NSP__TRACE_ERRORS UINT64_C(0xffffffff)
#define NSP__TRACE_ASKED (UINT64_C(1) << 32)    // nsp_trace_keep
#define NSP__TRACE_OUTGROWN (UINT64_C(1) << 33) // a span found no room in the buffer
#define NSP__TRACE_ID_USED (UINT64_C(1) << 34)  // the next trace cannot have the id of this one
#define NSP__TRACE_PATH (UINT64_C(1) << 35)     // its root is a path

// Process-local state of one thread slot. Only the thread writes it, except for its free detached places. It
// lives as long as the process; the next thread in the slot takes it over.
typedef struct nsp__producer {
    nsp__thread hot; // first: nsp__thread_v4 points here
    const nsp__control *control;
    uint64_t random;   // state of the generator
    uint64_t headroom; // bytes that the ring has above the watermark
    // The pen in force: `home`, or `speculative` while a span of a speculative trace is on top of the stack. On one
    // line: of a pair of words that reaches over two, a processor would not pass on a word to the next load.
    union {
        nsp__pen pen;
        nsp__ring ring;
        struct {
            uint64_t unnamed[3];
            nsp__slot *slot;
        };
    };
    uint64_t id_base, id_step; // of its span ids (nsp__attempt)
    uint64_t watermark;        // bytes in the ring above which new traces are refused
    uint32_t parent_policy;
    bool outliers;       // the policy has outlier rules, or a ruled root is open
    uint16_t path_room;  // bytes that a path's body may have; 0: the clock is not read in line
    const uint32_t *cpu; // the number of the CPU that the thread runs on lies there (trace/cpu.h)
    uint64_t cpu_tag;    // of the attribute that says it: its item but for the number
    nsp__entry busy;     // what `top` points to while nanospan is at work

    // The sampler: of each class that was used since the policy of hot.generation was met, what was copied from
    // that policy.
    uint64_t drawn;                     // those classes, as bits
    uint64_t thresholds[NSP__CLASSES];  // of the others NSP__THRESHOLD_UNDRAWN
    uint64_t root_traits[NSP__CLASSES]; // the last word of a sampled root's fixed part
    double inverse_logs[NSP__CLASSES];

    // The root that a rule looks at where it ends (speculation.h). There is one at most, in a frame of its own.
    nsp__frame *ruled_frame;
    // In ruled_classes, the class of the root that is open, or was last; if the policy has changed since, in
    // ruled_class_before. If not NULL, the frame holds, while no root is open, a trace id that nobody has seen yet, drawn
    // from those that the head leaves out at the rate of ruled_threshold.
    const nsp__ruled_class *ruled_class;
    uint64_t ruled_threshold;
    uint64_t ruled_marks; // NSP__TRACE_...
    uint64_t
        ruled_seen; // not 0: somebody has asked for the identity of a span of its trace. Written by any thread
    nsp__speculation *speculation; // of which speculative.slot is a part
    void *discard;                 // where nsp_thread_warm records (warm.c)
    // Aligned, as they are copied in pairs of words.
    nsp__pen home __attribute__((aligned(16))); // of the thread's own slot
    nsp__pen speculative;                       // slot NULL: there is no buffer
    nsp__ruled_class ruled_classes[NSP__CLASSES], ruled_class_before;
    uint64_t history_shift;
    uint64_t history_own; // from here on it is this thread's; the rest is of others that had the slot

    // The context of the unsampled root that is current, drawn when first asked for.
    struct {
        uint64_t trace_id[2];
        uint64_t span_id;
    } unsampled_root;

    // The places of names whose roots were measured (latency.h): [0] stands for the names that have none.
    nsp__latency_place *latencies[NSP__LATENCY_PLACES + 1];
    uint8_t latency_of[NSP_NAME_MAX]; // by name: which of them

    // History (speculation_history.h) is given up, and looked through, in pieces of the buffer of 2^history_shift bytes. Of
    // each that it reaches into: where the first trace begins that lies there or behind it.
    uint64_t history_pieces[NSP__HISTORY_PIECES];

    uint64_t unrecorded;      // spans begun that have a frame but do not record
    uint32_t enters_too_deep; // entered spans that found no room on the stack, so that their leaves pair up

    nsp__detached_places recorded, unsampled; // of the two pools of detached spans

    // From here on, pages of their own, which the child of a fork finds zeroed, while it has a copy of the
    // members above. In the child, `top` therefore leads to an entry that is 0, which is no handle and nothing
    // that stands for one, and so sends the next span to nsp__begin_special. So the hot path needs no check.

    // [0] is the bottom; then follow one entry for each frame, and one without a frame. Behind them lie the
    // classes of names where there are no rules (nsp__no_classes).
    nsp__entry stack[];
} nsp__producer;

// They must not lie at the same offset in two pages, because the processor would then take a load from one
// for a load of what was just stored to the other.
_Static_assert(offsetof(nsp__producer, pen) % 64 == 0, "a pen does not reach over two lines");
_Static_assert(offsetof(nsp__producer, stack) % 4096 >= 256 &&
                   offsetof(nsp__producer, stack) % 4096 <= 4096 - 256,
               "a thread's state and its stack must not be a multiple of 4 KiB apart");

// Where there are no rules, every name has class 0. Such a table lies behind the stack, so that a root touches
// no page for its class.
static inline uint8_t *nsp__no_classes(nsp__producer *producer)
{
    return (uint8_t *)&producer->stack[producer->home.slot->frame_count + 2];
}

// Stands for the threshold of a class that was not used since the policy changed. Its roots have no skips, so that
// the next one comes to nsp__begin_root. It is no threshold: those go up to NSP__THRESHOLD_NEVER.
#define NSP__THRESHOLD_UNDRAWN UINT64_MAX
// Stands for the threshold of a class with an outlier rule. Its roots have no skips either.
#define NSP__THRESHOLD_RULED (UINT64_MAX - 1)

_Static_assert(NSP__THRESHOLD_RULED < NSP__THRESHOLD_UNDRAWN, "one look finds both");
_Static_assert(NSP__CLASSES <= 64, "a class is a bit of nsp__producer.drawn");

// Marks an unsampled context as drawn, in hot.unsampled_class.
#define NSP__UNSAMPLED_DRAWN 0x80000000u

// The state shared by all threads that are not attached: a stack with nothing but a sentinel at its bottom.
// Aligned like a producer, of which it takes the place (nsp__producer_of).
extern nsp__thread nsp__nobody __attribute__((aligned(128)));

// The state of which this is the inline part. For the state of threads that are not attached, there is only
// that part.
static inline nsp__producer *nsp__producer_of(nsp__thread *thread)
{
    return (nsp__producer *)(void *)thread;
}

// NULL if the thread is not attached.
static inline nsp__producer *nsp__producer_self(void)
{
    nsp__thread *thread = nsp__thread_v4;
    return thread != &nsp__nobody ? nsp__producer_of(thread) : NULL;
}

static inline nsp__frame *nsp__frame_at(nsp__slot *slot, uint32_t depth)
{
    return (nsp__frame *)(void *)((char *)slot + slot->frames_offset + (uint64_t)depth * slot->frame_stride);
}

static inline nsp__frame *nsp__detached_frame(const nsp__detached_pool *pool, uint32_t index)
{
    return (nsp__frame *)(void *)(pool->frames + (uint64_t)index * pool->stride);
}

// True while nanospan works on the thread's state, which a signal handler may have interrupted.
static inline bool nsp__is_busy(const nsp__producer *producer)
{
    return producer->hot.top == &producer->busy;
}

// True in the child of a fork, before the library's handler has run there: this is the parent's state, without its
// stack, and its slot must not be touched.
static inline bool nsp__wiped(const nsp__producer *producer)
{
    return producer->stack[0].current == 0;
}

// True if nsp_shutdown has ended the session that the thread is attached to. Its frames are gone then (they
// read zero), and only the entries of the stack are left. Also where nsp__wiped is true.
static inline bool nsp__session_over(const nsp__producer *producer)
{
    return nsp__wiped(producer) || __atomic_load_n(&producer->hot.skips->generation, __ATOMIC_RELAXED) == 0;
}

// The last word of a sampled root's record: flags and the code of the threshold.
static inline uint64_t nsp__record_root_traits(uint32_t threshold_code)
{
    return (uint64_t)threshold_code << 32 | NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT |
           NSP__RECORD_ROOT | NSP__RECORD_DECIDED;
}

// The threshold of a class that is drawn.
static inline uint64_t nsp__class_threshold(const nsp__producer *producer, uint32_t name_class)
{
    uint64_t threshold = producer->thresholds[name_class];
    return NSP__LIKELY(threshold != NSP__THRESHOLD_RULED) ? threshold
                                                          : producer->ruled_classes[name_class].threshold;
}

// An id for a span that does not record; never 0.
static inline uint64_t nsp__span_id_draw(nsp__producer *producer)
{
    uint64_t id = nsp__random_next(&producer->random);
    return NSP__LIKELY(id != 0) ? id : 1;
}

// ---- handles ----

// True if the handle is one of a frame (recording or not) rather than NULL or a sentinel.
static inline bool nsp__has_frame(const nsp_span *span)
{
    return (uintptr_t)span >= NSP__FRAME_ALIGN;
}

// True if this span is open, and so in its frame.
static inline bool nsp__span_open(const nsp_span *span)
{
    return __atomic_load_n(&nsp__frame_of(span)->tag, __ATOMIC_RELAXED) == (uint32_t)(uintptr_t)span;
}

#endif
