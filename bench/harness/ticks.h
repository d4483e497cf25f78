// SPDX-License-Identifier: Apache-2.0
//
// The clock of the harness: the counter, fenced on both sides. Only the harness uses fences, never the
// measured code.
#ifndef NSP_BENCH_TICKS_H
#define NSP_BENCH_TICKS_H

#include <nanospan/clock.h>

// Reads the counter after everything before has finished, and before anything after it has begun.
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

// Prevents the compiler from optimising a value, and all of memory, away.
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

// The nanoseconds of one tick, measured against CLOCK_MONOTONIC_RAW in the first call (50 ms).
double ticks_ns(void);

// Times `count` calls of run(1), each by itself between fences, in ticks (UINT32_MAX: that many or more).
void ticks_each(void (*run)(size_t), uint32_t *ticks, size_t count);

// Spins for about this many nanoseconds.
void ticks_spin(double ns);

#endif
