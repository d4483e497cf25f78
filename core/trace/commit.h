// SPDX-License-Identifier: Apache-2.0
//
// The steps that begin, end and next consist of. While nanospan works on a thread's state, `top` points to an
// entry that is busy, so that a signal handler on the same thread keeps out. That needs compiler fences only.
#ifndef NSP_TRACE_COMMIT_H
#define NSP_TRACE_COMMIT_H

#include "base/testpoint.h"
#include "base/tsan.h"
#include "shm/path.h"
#include "trace/thread_state.h"
#include "trace/sampler.h"

static inline void nsp__busy_begin(nsp__producer *producer)
{
    __atomic_store_n(&producer->hot.top, &producer->busy, __ATOMIC_RELAXED); // nsp__trace_moving reads it
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// The same where it must be certain what was on top: returns it, and no signal handler comes in between and
// ends what is there. Whatever the caller looked at before may have changed.
static inline nsp__entry *nsp__busy_take_top(nsp__producer *producer)
{
#if defined(__x86_64__) && !defined(NSP__TSAN)
    // Not locked, as only this thread writes here: it is enough that a handler cannot divide an instruction.
    nsp__entry *top;
    __asm__ __volatile__("movq %1, %0\n"
                         "1: cmpxchgq %2, %1\n"
                         "jne 1b"
                         : "=&a"(top), "+m"(producer->hot.top)
                         : "r"(&producer->busy)
                         : "cc");
#else
    nsp__entry *top = __atomic_exchange_n(&producer->hot.top, &producer->busy, __ATOMIC_RELAXED);
#endif
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return top;
}

static inline void nsp__busy_end(nsp__producer *producer, nsp__entry *top)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(&producer->hot.top, top, __ATOMIC_RELEASE); // B1: releases what was done meanwhile to B2
}

static inline nsp_ticks nsp__ticks_or_now(nsp_ticks ticks)
{
    return ticks != 0 ? ticks : nsp_now();
}

// Counts a span that begins, with the thread busy, and returns its id. A thread's ids are odd numbers that
// start at a random one and advance in steps of a random size. None is zero, none repeats within 2^63 spans,
// and the ids of two threads collide as rarely as random ones do.
static inline uint64_t nsp__attempt(nsp__producer *producer, nsp__slot *slot)
{
    uint64_t *counter = &slot->counters.attempted;
    uint64_t attempted = __atomic_load_n(counter, __ATOMIC_RELAXED) + 1;
    __atomic_store_n(counter, attempted, __ATOMIC_RELEASE); // C1: to C2
    return producer->id_base + attempted * producer->id_step;
}

// ---- frames ----

// Opens a frame for a new span: everything except the identity and the tag.
static inline void nsp__frame_open(nsp__frame *frame, nsp_name name, nsp_ticks start)
{
    __builtin_memcpy(&frame->cursor, &frame->initial, sizeof frame->initial);
    frame->record.name = name;
    frame->record.start = start;
}

// The handle of a span with this id; for a span that does not record, any number will do. Seven bits of it
// distinguish the spans that use a frame one after another.
static inline uintptr_t nsp__frame_handle(const nsp__frame *frame, uint64_t id, uintptr_t recording)
{
    if (recording != 0)
        return (uintptr_t)frame | (uint8_t)id; // ids are odd
    uintptr_t tag = (uint8_t)(id << 1);
    return (uintptr_t)frame | (tag != 0 ? tag : 2); // 0 means that the frame is closed
}

// Four words of 32 bits that are written at once: a tag, then zeroes up to the end of the position.
typedef uint32_t nsp__quad __attribute__((vector_size(16), aligned(8), may_alias));

// x86 keeps stores in order, and a pair of words is one store there. Elsewhere, and under ThreadSanitizer,
// the order has to be requested.
#if defined(__x86_64__) && !defined(NSP__TSAN)
#define NSP__STORES_IN_ORDER 1
#else
#define NSP__STORES_IN_ORDER 0
#endif

// Gives the frame its tag. From here on, a reader after a crash counts the span as open; and whoever sees it
// open also sees it counted as attempted (stats.c).
static inline void nsp__frame_publish(nsp__frame *frame, uintptr_t handle)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("begin: no tag yet");
#if NSP__STORES_IN_ORDER
    *(nsp__quad *)(void *)&frame->tag = (nsp__quad){(uint32_t)handle, 0, 0, 0};
#else
    __atomic_store_n(&frame->reserved, 0, __ATOMIC_RELAXED);
    // F1: each releases the count of attempts to F2, since a reader may see one without the other.
    __atomic_store_n(&frame->position, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&frame->tag, (uint32_t)handle, __ATOMIC_RELEASE); // F1
#endif
}

// The same for the span of a path (path.h).
static inline void nsp__frame_publish_path(nsp__frame *frame, uintptr_t handle)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("begin: no tag yet");
#if NSP__STORES_IN_ORDER
    *(nsp__quad *)(void *)&frame->tag = (nsp__quad){(uint32_t)handle, NSP__FRAME_PATH, 0, 0};
#else
    __atomic_store_n(&frame->reserved, NSP__FRAME_PATH, __ATOMIC_RELAXED);
    __atomic_store_n(&frame->position, 0, __ATOMIC_RELEASE);           // F1
    __atomic_store_n(&frame->tag, (uint32_t)handle, __ATOMIC_RELEASE); // F1
#endif
}

// True if the frame still holds this span. To be checked before a parent is read, because it may have been
// ended elsewhere, and its frame reused since.
static inline bool nsp__frame_holds(const nsp__frame *frame, uintptr_t handle)
{
#ifdef NSP__TSAN
    return __atomic_load_n(&frame->tag, __ATOMIC_RELAXED) == (uint32_t)handle;
#else
    return frame->tag == (uint32_t)handle; // for an atomic load the compiler would need one more instruction
#endif
}

// True if the frame holds this span, and it is an ordinary one (special 0), or a path (NSP__FRAME_PATH): one look says
// both.
static inline bool nsp__frame_holds_as(const nsp__frame *frame, uintptr_t handle, uint32_t special)
{
#ifdef NSP__TSAN
    return nsp__frame_holds(frame, handle) && __atomic_load_n(&frame->reserved, __ATOMIC_RELAXED) == special;
#else
    uint64_t both;
    __builtin_memcpy(&both, &frame->tag, sizeof both);
    return both == ((uint64_t)special << 32 | (uint32_t)handle);
#endif
}

static inline void nsp__frame_close(nsp__frame *frame)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
#if NSP__STORES_IN_ORDER
    *(nsp__pair *)(void *)&frame->tag = (nsp__pair){0, 0};
#else
    // The position comes last: a reader that finds 0 there together with the old tag counts the span as open
    // for the last time. Its counters are released after this (nsp__count), and the reader has read them
    // before.
    __atomic_store_n(&frame->tag, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&frame->position, 0, __ATOMIC_RELEASE); // F1
#endif
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

// ---- identity ----

// The last word of a record's fixed part (flags, kind, status, threshold). It is moved as a whole, so that a
// load of the word is served by the single store that wrote it.
static inline uint64_t nsp__record_traits(const nsp__record *record)
{
    uint64_t traits;
    __builtin_memcpy(&traits, &record->flags, sizeof traits);
    return traits;
}

static inline void nsp__record_set_traits(nsp__record *record, uint64_t traits)
{
#ifdef NSP__TSAN
    // Whoever reads the statistics looks at the threshold (nsp__stats_open), perhaps of a frame that is just reused.
    __atomic_store_n((uint64_t *)(void *)&record->flags, traits, __ATOMIC_RELAXED);
#else
    __builtin_memcpy(&record->flags, &traits, sizeof traits);
#endif
}

// A mask of these flags and the threshold.
#define NSP__TRAITS(flags) (UINT64_C(0xffffffff00000000) | (flags))

// Of the traits of a record whose identity was just inherited: its parent has a tracestate, or it is a path. Then
// nsp__inherit_uncommon completes the child.
#define NSP__TRAITS_UNCOMMON (NSP__RECORD_TRACESTATE | (uint64_t)NSP__KIND_PATH << 8)

static inline bool nsp__record_inherits_uncommon(const nsp__record *record)
{
    return ((uint32_t)nsp__record_traits(record) & (uint32_t)NSP__TRAITS_UNCOMMON) != 0;
}

// path.c
void nsp__inherit_uncommon(nsp__frame *frame, const nsp__frame *parent);

static inline uint64_t nsp__record_child_of(nsp__producer *producer, nsp__slot *slot, nsp__record *record,
                                            const nsp__record *parent)
{
    const uint64_t inherited =
        NSP__TRAITS(NSP__RECORD_SAMPLED | NSP__RECORD_RANDOM | NSP__RECORD_KEPT | NSP__TRAITS_UNCOMMON);
    uint64_t id = nsp__attempt(producer, slot);
    *(nsp__pair *)record->trace_id = *(const nsp__pair *)parent->trace_id;
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){id, parent->span_id};
    record->local_root_id = parent->local_root_id;
    nsp__record_set_traits(record, nsp__record_traits(parent) & inherited);
    return id;
}

// The record already has its trace id.
static inline uint64_t nsp__record_root(nsp__producer *producer, nsp__slot *slot, nsp__record *record,
                                        uint32_t name_class)
{
    uint64_t id = nsp__attempt(producer, slot);
    *(nsp__pair *)(void *)&record->span_id = (nsp__pair){id, 0};
    record->local_root_id = id;
    nsp__record_set_traits(record, producer->root_traits[name_class]);
    return id;
}

// Gives the frame its tag and makes the span current.
static inline __attribute__((always_inline)) nsp_span *nsp__push(nsp__producer *producer, nsp__entry *entry,
                                                                 nsp__frame *frame, uint64_t id)
{
    uintptr_t handle = nsp__frame_handle(frame, id, NSP__RECORDING);
    nsp__frame_publish(frame, handle);
    entry->current = handle;
    nsp__busy_end(producer, entry);
    return (nsp_span *)handle;
}

// ---- commit ----

// Fetches the lines of the ring that will be written a few records later, even if they lie on the next page,
// so that by then they have arrived from memory or from the processor that drained them. Beyond the ring's
// end this fetches nothing useful, but causes no fault.
enum { NSP__PREFETCH_AHEAD = 512, NSP__LINE = 64 };

// Always inlined, because compilers drop calls of a function that only prefetches.
static inline __attribute__((always_inline)) void nsp__prefetch_write(const char *line)
{
#if defined(__x86_64__)
    // Compilers turn the builtin into a fetch for reading, unless they are told that the processor has this
    // instruction. Processors that do not have it ignore it.
    __asm__ __volatile__("prefetchw %0" : : "m"(*line));
#else
    __builtin_prefetch(line, 1);
#endif
}

static inline __attribute__((always_inline)) void nsp__ring_prefetch(const char *place)
{
    const char *next = place + NSP__PREFETCH_AHEAD;
    nsp__prefetch_write(next);
    nsp__prefetch_write(next + NSP__LINE);
}

// Reads the consumer's position again, and notes it for when the pen is put away. That of the buffer, which the thread
// moves itself, is noted there already.
static inline bool nsp__pen_look(nsp__producer *producer, uint64_t reached)
{
    const bool room = nsp__ring_look(&producer->ring, reached);
    if (NSP__LIKELY(producer->slot == producer->home.slot))
        producer->home.ring.limit = producer->ring.limit;
    return room;
}

// As nsp__ring_reserve, where the pen writes.
static inline bool nsp__pen_reserve(nsp__producer *producer, uint64_t tail, uint64_t size)
{
    return NSP__LIKELY(tail + size <= producer->ring.limit) || nsp__pen_look(producer, tail + size);
}

// Writes the span's record, of which the frame has so many bytes, at the tail. The record will have `more`; those belong
// where the result is.
static inline __attribute__((always_inline)) char *nsp__record_put_part(const nsp__ring *ring, uint64_t tail,
                                                                        const nsp__frame *frame,
                                                                        uint64_t kept, uint64_t more,
                                                                        nsp_ticks end)
{
    // Each load must be served by a single store: a load that is wider than the store would wait for the
    // memory. Ids and items were written in pairs.
    const char *from = (const char *)&frame->record;
    char *to = (char *)nsp__ring_place(ring, tail);
    const uint64_t *head = (const uint64_t *)(const void *)from;
    nsp__ring_prefetch(to);
#define PAIR(at) (*(nsp__pair *)(void *)(to + (at)))
    PAIR(0) = (nsp__pair){(kept | (uint64_t)frame->record.name << 32) + more, head[1]};
    PAIR(16) = (nsp__pair){end, head[3]};
    PAIR(32) = *(const nsp__pair *)(const void *)(from + 32);
    PAIR(48) = *(const nsp__pair *)(const void *)(from + 48);
    *(uint64_t *)(void *)(to + 64) = head[8];
    NSP__TESTPOINT("commit: half copied");
    for (uint64_t at = sizeof(nsp__record); at < kept; at += sizeof(nsp__pair)) {
        // Keeps one counter for both sides, because what the compiler would make of it takes longer to set
        // up.
        __asm__("" : "+r"(at));
        // From the frame on, so that no register is needed for where the record begins.
        PAIR(at) =
            *(const nsp__pair *)(const void *)((const char *)frame + (at + offsetof(nsp__frame, record)));
    }
#undef PAIR
    return to + kept;
}

// The same for a record that is followed by a pair, whatever that is: two pairs are copied at once, the last of which
// may lie behind the record.
static inline __attribute__((always_inline)) char *nsp__record_put_long(const nsp__ring *ring, uint64_t tail,
                                                                        const nsp__frame *frame,
                                                                        uint64_t kept, uint64_t more,
                                                                        nsp_ticks end)
{
    char *to =
        nsp__record_put_part(ring, tail, frame, sizeof(nsp__record), kept - sizeof(nsp__record) + more, end) -
        sizeof(nsp__record);
    for (uint64_t at = sizeof(nsp__record); at < kept; at += 2 * sizeof(nsp__pair)) {
        __asm__("" : "+r"(at)); // as above
        const char *from = (const char *)frame + (at + offsetof(nsp__frame, record));
        nsp__pair first = *(const nsp__pair *)(const void *)from;
        nsp__pair second = *(const nsp__pair *)(const void *)(from + sizeof first);
        *(nsp__pair *)(void *)(to + at) = first;
        *(nsp__pair *)(void *)(to + at + sizeof first) = second;
    }
    return to + kept;
}

// The same for a record of which the frame has everything.
static inline __attribute__((always_inline)) void nsp__record_put(const nsp__ring *ring, uint64_t tail,
                                                                  const nsp__frame *frame, uint64_t bytes,
                                                                  nsp_ticks end)
{
    (void)nsp__record_put_part(ring, tail, frame, bytes, 0, end);
}

// Writes the span's record into the ring; the frame keeps its content. False if the ring seems full: then
// nsp__commit_after_all looks whether it is. end_of_record: becomes the position at which the record ends. The caller
// closes the frame, or turns it into another span, and only then counts the outcome (nsp__count_commit), so
// that no reader of the counters sees a span twice.
static inline bool nsp__commit_to(nsp__producer *producer, nsp__slot *slot, nsp__frame *frame, nsp_ticks end,
                                  uint64_t *end_of_record)
{
    nsp__ring *ring = &producer->ring;
    uint64_t bytes = nsp__frame_bytes(frame);
    uint64_t tail = nsp__slot_tail(slot);
    uint64_t reached = *end_of_record = tail + bytes;
    if (NSP__UNLIKELY(reached > ring->limit))
        return false;
    // The position at which the record will end is noted before the record is published. From it a reader
    // after a crash can tell whether the record of this frame was published.
    __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("commit: position noted");
    nsp__record_put(ring, tail, frame, bytes, end);
    nsp__slot_publish(slot, reached);
    NSP__TESTPOINT("commit: published");
    return true;
}

static inline bool nsp__commit(nsp__producer *producer, nsp__slot *slot, nsp__frame *frame, nsp_ticks end)
{
    uint64_t end_of_record;
    return nsp__commit_to(producer, slot, frame, end, &end_of_record);
}

// A pair as half words, so that one of them can be put in directly.
typedef uint16_t nsp__eight __attribute__((vector_size(16)));

// The item that says on which CPU the span in this frame began (trace/cpu.h).
static inline __attribute__((always_inline)) nsp__pair nsp__cpu_item(const nsp__producer *producer,
                                                                     const nsp__frame *frame)
{
    nsp__eight number = (nsp__eight)(nsp__pair){producer->cpu_tag, 0};
    number[4] = frame->cpu;
#if defined(__x86_64__)
    __asm__("" : "+x"(number)); // before the stores, which a load behind them may have to wait for
#endif
    return (nsp__pair)number;
}

// The same for a record that has an item more than its frame: that one.
static inline __attribute__((always_inline)) bool nsp__commit_with_cpu(nsp__producer *producer,
                                                                       nsp__slot *slot, nsp__frame *frame,
                                                                       nsp_ticks end)
{
    const nsp__ring *ring = &producer->ring;
    const uint64_t kept = nsp__frame_bytes(frame), more = NSP__ITEM_BYTES(8);
    const uint64_t tail = nsp__slot_tail(slot), reached = tail + kept + more;
    if (NSP__UNLIKELY(reached > ring->limit))
        return false;
    __atomic_store_n(&frame->position, reached, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    NSP__TESTPOINT("commit: position noted");
    const nsp__pair item = nsp__cpu_item(producer, frame);
    *(nsp__pair *)(void *)nsp__record_put_part(ring, tail, frame, kept, more, end) = item;
    nsp__slot_publish(slot, reached);
    NSP__TESTPOINT("commit: published");
    return true;
}

static inline void nsp__count_commit(nsp__slot *slot, bool committed)
{
    nsp__count(committed ? &slot->counters.committed : &slot->counters.dropped_ring_full);
}

// After nsp__commit has failed: makes room if it can, and tries again. False, and noted if the trace is speculative, if
// the ring is full.
bool nsp__commit_after_all(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
    __attribute__((noinline, cold));
void nsp__commit_after_all_and_close(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
    __attribute__((noinline, cold));

// path.c: the same for the span of a path.
void nsp__path_commit_and_close(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
    __attribute__((noinline));

static inline bool nsp__frame_is_path(const nsp__frame *frame)
{
    return (__atomic_load_n(&frame->reserved, __ATOMIC_RELAXED) & NSP__FRAME_PATH) != 0;
}

// All of these steps, for a span that ends.
static inline void nsp__commit_and_close(nsp__producer *producer, nsp__frame *frame, nsp_ticks end)
{
    if (NSP__UNLIKELY(nsp__frame_is_path(frame))) {
        nsp__path_commit_and_close(producer, frame, end);
        return;
    }
    nsp__slot *slot = producer->slot;
    if (NSP__UNLIKELY(!nsp__commit(producer, slot, frame, end))) {
        nsp__commit_after_all_and_close(producer, frame, end);
        return;
    }
    nsp__frame_close(frame);
    nsp__count_commit(slot, true);
}

#endif
