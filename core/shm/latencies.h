// SPDX-License-Identifier: Apache-2.0
//
// How long local roots took, on one thread: histograms by the root's name, in the thread's slot. They are
// log-linear: 32 steps for each doubling, so a step is about 3 % wide, and the first ones are a single tick.
// Written by the slot's thread alone (relaxed stores), read by anybody. Nothing is ever reset.
#ifndef NSP_SHM_LATENCIES_H
#define NSP_SHM_LATENCIES_H

#include <nanospan/base.h>

enum {
    NSP__LATENCY_STEPS = 1024,
    NSP__LATENCY_OCTAVE = 32, // steps for each doubling
    NSP__LATENCY_PLACES = 8   // names that a slot has room for
};

// Longer roots count as being that long: 46 s at 3 GHz.
#define NSP__LATENCY_TICKS_MAX ((UINT64_C(1) << 37) - 33)

typedef struct nsp__latency_place {
    uint64_t ticks; // how long all of them took together; whoever reads sees by it that something has come
    uint32_t name;  // 0: the place is free; otherwise it never changes
    uint32_t reserved;
    // The biased step in which the last one counts; 0: there was none. The next one counts it: the place of a count that
    // has to be computed from the clock would keep the processor from all loads that follow, for as long as that takes.
    uint64_t latest;
    uint64_t reserved_too[5];
    uint32_t counts[NSP__LATENCY_STEPS]; // by step; they wrap around
} nsp__latency_place;

typedef struct nsp__latencies {
    nsp__latency_place places[NSP__LATENCY_PLACES]; // those of the names that came first
    uint64_t unmeasured;                            // roots of names that found no place
    // To whole pages, so that frames and ring lie at the offsets within a page that they would have without
    // this.
    uint8_t reserved[9 * 4096 - NSP__LATENCY_PLACES * 4160 - 8];
} nsp__latencies;

_Static_assert(sizeof(nsp__latency_place) == 4160 && sizeof(nsp__latencies) % 4096 == 0, "whole pages");

// The shortest duration that counts in a step, in ticks; of NSP__LATENCY_STEPS, one more than the longest.
static inline uint64_t nsp__latency_step_ticks(uint32_t step)
{
    return ((uint64_t)(NSP__LATENCY_OCTAVE + step % NSP__LATENCY_OCTAVE) << step / NSP__LATENCY_OCTAVE) -
           NSP__LATENCY_OCTAVE;
}

// The step in which a duration counts. A duration below 0 counts as 0, one above the maximum as that.
//
// With 32 ticks more, the bits of a double say it: below the sign stands the exponent, which is the octave,
// and below that the number within the octave. That is fewer instructions than shifting by the leading
// zeroes, has no branch, and is exact, since a double holds these integers.
static inline __attribute__((always_inline)) uint64_t nsp__latency_biased_step(uint64_t ticks)
{
    static const double least = NSP__LATENCY_OCTAVE, most = 0x1p37 - 1;
    double shifted = (double)(int64_t)(ticks + NSP__LATENCY_OCTAVE);
    uint64_t bits;
#if defined(__x86_64__)
    // Compilers make branches of the conditions below, since the results at the ends are constants.
    __asm__("minsd %1, %0" : "+x"(shifted) : "m"(most));
    __asm__("maxsd %1, %0" : "+x"(shifted) : "m"(least));
#else
    shifted = shifted < most ? shifted : most;
    shifted = shifted > least ? shifted : least;
#endif
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    return bits >> 47;
}

// What that is of no ticks: the exponents of doubles begin at -1023.
enum { NSP__LATENCY_BIAS = (1023 + 5) * NSP__LATENCY_OCTAVE };

static inline __attribute__((always_inline)) uint32_t nsp__latency_step(uint64_t ticks)
{
    return (uint32_t)(nsp__latency_biased_step(ticks) - NSP__LATENCY_BIAS);
}

// What a place says of the step of its last duration. NSP__LATENCY_STEPS: there was none.
static inline uint32_t nsp__latency_latest(const nsp__latency_place *place)
{
    const uint64_t step = __atomic_load_n(&place->latest, __ATOMIC_RELAXED) - NSP__LATENCY_BIAS;
    return step < NSP__LATENCY_STEPS ? (uint32_t)step : (uint32_t)NSP__LATENCY_STEPS;
}

// How many durations a place has counted by now, of one step.
static inline uint32_t nsp__latency_count(const nsp__latency_place *place, uint32_t step)
{
    return __atomic_load_n(&place->counts[step], __ATOMIC_RELAXED);
}

#endif
