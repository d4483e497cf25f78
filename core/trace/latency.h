// SPDX-License-Identifier: Apache-2.0
//
// Measuring how long local roots take: at the end of each root that a rule concerns, sampled or not.
#ifndef NSP_TRACE_LATENCY_H
#define NSP_TRACE_LATENCY_H

#include "base/tsan.h"
#include "trace/thread_state.h"

// The thread's place for a name, or NULL if it has no more places: takes one if it is the name's first root
// on this slot, and counts a root that finds none. A signal handler may come between.
nsp__latency_place *nsp__latency_take(nsp__producer *producer, nsp_name name);

// With the producer busy.
static inline __attribute__((always_inline)) void nsp__latency_note(nsp__latency_place *place, uint64_t ticks)
{
    const uint64_t before = __atomic_load_n(&place->latest, __ATOMIC_RELAXED);
    __atomic_store_n(&place->latest, nsp__latency_biased_step(ticks), __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); // whoever finds the same as before has not found it counted
    __atomic_store_n(&place->ticks, __atomic_load_n(&place->ticks, __ATOMIC_RELAXED) + ticks,
                     __ATOMIC_RELAXED);
    if (NSP__UNLIKELY(before == 0))
        return;
    uint32_t *count = &place->counts[before - NSP__LATENCY_BIAS];
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELEASE); // LT1: to LT2
}

// The thread's place for a name, if it was taken before.
static inline __attribute__((always_inline)) nsp__latency_place *nsp__latency_place_of(
    const nsp__producer *producer, nsp_name name)
{
    return producer->latencies[producer->latency_of[name & (NSP_NAME_MAX - 1)]];
}

// Counts the duration of a local root, of at least 0 ticks. Only on the producer's thread, with a session.
static inline __attribute__((always_inline)) void nsp__latency_add(nsp__producer *producer, nsp_name name,
                                                                   uint64_t ticks)
{
    nsp__latency_place *place = nsp__latency_place_of(producer, name);
    if (NSP__UNLIKELY(place == NULL) && (place = nsp__latency_take(producer, name)) == NULL)
        return;
    nsp__latency_note(place, ticks);
}

#endif
