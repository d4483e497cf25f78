// SPDX-License-Identifier: Apache-2.0
//
// The clock for an application's own latencies. It is nanospan's, so a reading that a span has taken serves
// for both. NSP_DISABLE compiles that clock out, but not the latencies, for which the processor's counter is
// then read here.
#ifndef EXAMPLES_CLOCK_H
#define EXAMPLES_CLOCK_H

#include <nanospan/nanospan.h>
#include <time.h>

static inline nsp_ticks clock_now(void)
{
#if !defined(NSP_DISABLE)
    return nsp_now();
#elif defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    nsp_ticks now;
    __asm__ __volatile__("mrs %0, cntvct_el0" : "=r"(now));
    return now;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (nsp_ticks)now.tv_sec * 1000000000u + (nsp_ticks)now.tv_nsec;
#endif
}

#endif
