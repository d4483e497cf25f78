// SPDX-License-Identifier: Apache-2.0
//
// The system's clocks in nanoseconds, for deadlines and pauses. Spans are timed with clock/clock.h.
#ifndef NSP_COMMON_TIME_H
#define NSP_COMMON_TIME_H

#include <stdint.h>
#include <time.h>

#define NSP__MILLISECOND 1000000ull
#define NSP__SECOND 1000000000ull

static inline uint64_t nsp__clock_ns(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * NSP__SECOND + (uint64_t)now.tv_nsec;
}

static inline uint64_t nsp__monotonic_ns(void)
{
    return nsp__clock_ns(CLOCK_MONOTONIC);
}

static inline struct timespec nsp__timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / NSP__SECOND), .tv_nsec = (long)(ns % NSP__SECOND)};
}

static inline uint64_t nsp__earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t nsp__later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

// Saturates, so that "no deadline" (UINT64_MAX) stays unchanged.
static inline uint64_t nsp__after(uint64_t start, uint64_t duration)
{
    return start > UINT64_MAX - duration ? UINT64_MAX : start + duration;
}

#endif
