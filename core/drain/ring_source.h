// SPDX-License-Identifier: Apache-2.0
//
// A ring as its drainer knows it. What the slot says about the ring's size and place is taken from here, never from
// the slot, because another process may write there. Positions, counts and the slot's state are the only things
// that a drainer exchanges with the slot.
#ifndef NSP_DRAIN_RING_SOURCE_H
#define NSP_DRAIN_RING_SOURCE_H

#include "shm/speculation.h"

typedef struct nsp__ring_source {
    nsp__slot *slot;
    const uint8_t *bytes;
    uint64_t ring_bytes; // a power of two; another record_bytes can be read after it
    uint32_t record_bytes;
    const nsp__latencies *latencies; // NULL: the session has none
    // The buffer of speculative spans, and what the slot says of it; NULL: the thread has none. Its records are as large
    // as those of the ring.
    const nsp__speculation *speculation;
    const uint8_t *buffer;
    uint64_t buffer_bytes; // as ring_bytes
    uint32_t index;
    // Up to here the drainer has emptied the ring. It says so in the slot, and never asks there, because what
    // stands there could make it take records twice.
    uint64_t consumed;
    bool available; // the other members are valid
} nsp__ring_source;

#endif
