// SPDX-License-Identifier: Apache-2.0
//
// The ring: bytes with one producer (a thread) and one consumer (whoever drains), wait-free on both sides.
//
// Positions count bytes from the beginning and only grow. A record lies at position & (capacity - 1) and
// never wraps, because the mapping continues for one maximum record beyond the capacity. The producer keeps
// its own copy of the consumer's position and reads the shared one only when the ring seems full (an idea
// from P. P. C. Lee's MCRingBuffer, 2010, and from the queues of Aeron and rigtorp). So in steady state it
// reads no cache line that the other side writes.
#ifndef NSP_SHM_RING_H
#define NSP_SHM_RING_H

#include "base/tsan.h"
#include "shm/slot.h"

// The producer's half, local to the process.
typedef struct nsp__ring {
    uint8_t *bytes;
    uint64_t mask;  // the capacity, which is a power of two, less one
    uint64_t limit; // may be filled up to here: the last known slot->consumed plus the capacity
    nsp__slot *slot;
} nsp__ring;

static inline uint64_t nsp__ring_capacity(const nsp__ring *ring)
{
    return ring->mask + 1;
}

// The producer's own position. The producer wrote it itself, so a relaxed load is enough.
static inline uint64_t nsp__slot_tail(const nsp__slot *slot)
{
    uint64_t tail = __atomic_load_n(&slot->published, __ATOMIC_RELAXED);
    NSP__TSAN_ACQUIRE(slot); // the pages may be new ones, if the session has ended
    return tail;
}

static inline uint64_t nsp__ring_tail(const nsp__ring *ring)
{
    return nsp__slot_tail(ring->slot);
}

// True if the ring may be filled up to `reached`. Reads the consumer's position again.
static inline bool nsp__ring_look(nsp__ring *ring, uint64_t reached)
{
    // R4: acquires R3: the consumer is done reading what it released.
    ring->limit = __atomic_load_n(&ring->slot->consumed, __ATOMIC_ACQUIRE) + nsp__ring_capacity(ring);
    return reached <= ring->limit;
}

// True if `size` bytes fit after the tail. Reads the consumer's position if necessary.
static inline bool nsp__ring_reserve(nsp__ring *ring, uint64_t tail, uint64_t size)
{
    return NSP__LIKELY(tail + size <= ring->limit) || nsp__ring_look(ring, tail + size);
}

// The address of the record at the tail. Valid after a successful reserve, until publish.
static inline uint64_t *nsp__ring_place(const nsp__ring *ring, uint64_t tail)
{
    return (uint64_t *)(void *)(ring->bytes + (tail & ring->mask));
}

// Hands everything before this position to the drainer.
static inline void nsp__slot_publish(nsp__slot *slot, uint64_t tail)
{
    // R1: releases the record's bytes to the drainer's R2.
    __atomic_store_n(&slot->published, tail, __ATOMIC_RELEASE);
}

// The same without what is known of the ring.
static inline uint64_t nsp__slot_fill(const nsp__slot *slot)
{
    return nsp__slot_tail(slot) - __atomic_load_n(&slot->consumed, __ATOMIC_ACQUIRE); // R4
}

// Bytes in use. Reads the consumer's position again.
static inline uint64_t nsp__ring_fill(nsp__ring *ring)
{
    uint64_t consumed = __atomic_load_n(&ring->slot->consumed, __ATOMIC_ACQUIRE); // R4
    ring->limit = consumed + nsp__ring_capacity(ring);
    return nsp__ring_tail(ring) - consumed;
}

#endif
