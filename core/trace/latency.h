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

// Single instructions where possible, so that what a signal handler counts in between is not overwritten.
static inline __attribute__((always_inline)) void nsp__latency_note(nsp__latency_place *place, uint64_t ticks)
{
    uint32_t *count = &place->counts[nsp__latency_biased_step(ticks) - NSP__LATENCY_BIAS];
#if defined(__x86_64__) && !defined(NSP__TSAN)
    __asm__ __volatile__("addl $1, %0" : "+m"(*count));
    __asm__ __volatile__("addq %1, %0" : "+m"(place->ticks) : "r"(ticks));
#else
    __atomic_store_n(count, __atomic_load_n(count, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&place->ticks, __atomic_load_n(&place->ticks, __ATOMIC_RELAXED) + ticks,
                     __ATOMIC_RELAXED);
#endif
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
