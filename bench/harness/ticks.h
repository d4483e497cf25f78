// SPDX-License-Identifier: Apache-2.0
//
// The harness's own clock: the counter, fenced on both sides. Only the harness is fenced, never what it measures.
#ifndef NSP_BENCH_TICKS_H
#define NSP_BENCH_TICKS_H

#include <nanospan/clock.h>

// Everything before has finished, nothing after has begun.
static inline uint64_t ticks_fenced(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("lfence" : : : "memory");
    uint64_t ticks = nsp__counter_read();
    __asm__ __volatile__("lfence" : : : "memory");
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" : : : "memory");
    uint64_t ticks = nsp__counter_read();
    __asm__ __volatile__("isb" : : : "memory");
#else
    uint64_t ticks = nsp__counter_read();
#endif
    return ticks;
}

// Keeps a value, and all of memory, from being optimised away.
static inline void keep(uint64_t value)
{
    __asm__ __volatile__("" : : "r"(value) : "memory");
}

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

// Nanoseconds of one tick, measured against CLOCK_MONOTONIC_RAW at the first call (50 ms).
double ticks_ns(void);

// Spins for about that long.
void ticks_spin(double ns);

#endif
