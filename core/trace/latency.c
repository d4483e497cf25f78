// SPDX-License-Identifier: Apache-2.0
#include "trace/latency.h"

#include "shm/slot.h"

// The index of the name's place, or of the first that is free, which becomes that; or else the number of
// places. It is taken in one step, since a signal handler may be looking for one too. 0 is no name, and has no place.
static uint32_t find(nsp__latencies *latencies, nsp_name name)
{
    for (uint32_t i = 0; i < NSP__LATENCY_PLACES && name != 0; i++) {
        uint32_t *there = &latencies->places[i].name, now = __atomic_load_n(there, __ATOMIC_RELAXED);
        if (now == 0 &&
            __atomic_compare_exchange_n(there, &now, name, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            return i;
        if (now == name) // the handler's, if the exchange has failed
            return i;
    }
    return NSP__LATENCY_PLACES;
}

nsp__latency_place *nsp__latency_take(nsp__producer *producer, nsp_name name)
{
    nsp__latencies *latencies = nsp__slot_latencies(producer->home.slot);
    const uint32_t index = find(latencies, name);
    if (index == NSP__LATENCY_PLACES) {
        nsp__count(&latencies->unmeasured);
        return NULL;
    }
    producer->latencies[index + 1] = &latencies->places[index];
    __atomic_signal_fence(__ATOMIC_SEQ_CST); // the pointer comes first, for a handler that finds the number
    producer->latency_of[name & (NSP_NAME_MAX - 1)] = (uint8_t)(index + 1);
    return &latencies->places[index];
}
