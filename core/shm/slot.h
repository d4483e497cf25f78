// SPDX-License-Identifier: Apache-2.0
//
// A thread's slot in shared memory: its identity, ring positions and counters, followed by the frames of open
// spans and the ring. Fields are grouped by writer, and the groups are 128 bytes apart because adjacent lines
// are fetched in pairs.
#ifndef NSP_SHM_SLOT_H
#define NSP_SHM_SLOT_H

#include <nanospan/span.h>

#include "base/tsan.h"
#include "shm/latencies.h"

// Slot states and who makes the transition:
//
//   FREE --attach--> ACTIVE --thread exit--> CLOSED --drainer, ring empty--> DRAINED
//                      ^                       |                               |
//                      +------- attach --------+----------- attach ------------+
//
// attach is a compare-and-swap by the new thread; the ring of a CLOSED slot continues where it was.
enum { NSP__SLOT_FREE = 0, NSP__SLOT_ACTIVE = 1, NSP__SLOT_CLOSED = 2, NSP__SLOT_DRAINED = 3 };

// Counters of one thread slot, never reset. Written by the slot's thread (relaxed stores), read by anybody.
typedef struct nsp__slot_counters {
    uint64_t attempted; // without those in dropped_in_signal
    uint64_t committed; // records published in the ring
    uint64_t dropped_ring_full;
    uint64_t dropped_too_deep;
    uint64_t dropped_detached_full;
    uint64_t dropped_in_signal;     // begun while it interrupted nanospan (atomic: handlers nest)
    uint64_t dropped_end_in_signal; // detached, ended then; already in attempted
    uint64_t roots_refused;
    uint64_t roots_skipped; // drawn as skips, minus those still in skips.left
    uint64_t leaked;
    uint64_t misused;
    uint64_t values_cut; // values that this thread set (atomic)
} nsp__slot_counters;

typedef struct nsp__slot {
    // Set at attach, under the state's transition.
    uint32_t state;
    uint32_t tid;
    uint32_t index;
    uint32_t frame_count;
    uint32_t frame_stride; // bytes from frame to frame
    uint32_t record_bytes; // of the largest record
    uint64_t ring_bytes; // a power of two; another record_bytes are mapped after it, so that no record wraps
    uint64_t frames_offset, ring_offset; // from the slot's start
    char name[32];

    // Written by the thread: how far the ring is filled. Release R1 in ring.h, acquired at R2 in the drainer.
    uint64_t published __attribute__((aligned(128)));

    // Written by the drainer: how far the ring is emptied. Release R3 in the drainer, acquired at R4 in
    // ring.h.
    uint64_t consumed __attribute__((aligned(128)));
    uint64_t drained; // records taken out
    // Of those, the ones for which the drainer has no batch, until it has counted them as discarded. For a reader
    // after a crash.
    uint64_t discarding;

    nsp__slot_counters counters __attribute__((aligned(128)));

    nsp__skips skips __attribute__((aligned(128)));
} nsp__slot;

// Behind the slot, at the same offset in each: the histograms of its local roots. Frames and ring come after them.
enum {
    NSP__SLOT_LATENCIES = (sizeof(nsp__slot) + 127) & ~(size_t)127,
    NSP__SLOT_BYTES = NSP__SLOT_LATENCIES + sizeof(nsp__latencies)
};

static inline nsp__latencies *nsp__slot_latencies(nsp__slot *slot)
{
    return (nsp__latencies *)(void *)((char *)slot + NSP__SLOT_LATENCIES);
}

// One writer. Readers want a recent value, and must also see the stores before it (nsp__frame_close). A
// single instruction where possible, so that the count of a signal handler that comes in between is not
// overwritten.
static inline void nsp__count(uint64_t *counter)
{
#if defined(__x86_64__) && !defined(NSP__TSAN)
    __asm__ __volatile__("addq $1, %0" : "+m"(*counter));
#else
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE); // C1: to C2
#endif
}

// The same for several at once.
static inline void nsp__count_more(uint64_t *counter, uint64_t amount)
{
#if defined(__x86_64__) && !defined(NSP__TSAN)
    __asm__ __volatile__("addq %1, %0" : "+m"(*counter) : "er"(amount));
#else
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + amount,
                     __ATOMIC_RELEASE); // C1: to C2
#endif
}

// For counters that nested signal handlers may write.
static inline void nsp__count_nested(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELEASE); // C1: to C2
}

#endif
