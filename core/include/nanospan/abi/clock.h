// SPDX-License-Identifier: Apache-2.0
//
// The inline clock read. Included by <nanospan/clock.h>; not for direct inclusion.
#ifndef NANOSPAN_CLOCK_H
#error "include <nanospan/nanospan.h>"
#endif
#ifndef NANOSPAN_ABI_CLOCK_H
#define NANOSPAN_ABI_CLOCK_H

#ifndef NSP_DISABLE

NSP_BEGIN_DECLS

// True where the hot path may read the counter itself. Written once by the library's constructor, or by the
// first nsp_init that is told otherwise, before any span exists; only read afterwards.
extern NSP_API bool nsp__clock_is_counter;

// CLOCK_MONOTONIC in nanoseconds: the hot clock of machines without an invariant counter.
NSP__API uint64_t nsp__clock_fallback(void);

static inline __attribute__((unused, always_inline)) uint64_t nsp__counter_read(void)
{
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t value;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return nsp__clock_fallback();
#endif
}

// Reads the hot clock: not serialising, about 10 ns on a virtual machine. Thread and signal safe.
NSP_INLINE nsp_ticks nsp_now(void)
{
    if (NSP__LIKELY(nsp__clock_is_counter))
        return nsp__counter_read();
    return nsp__clock_fallback();
}

NSP_END_DECLS
#endif
#endif
