// SPDX-License-Identifier: Apache-2.0
//
// Random numbers for ids and sampling: small and fast, with one 64-bit state per thread. Not for secrets. All
// functions are thread safe as long as no two threads share a state; none of them allocates or locks.
#ifndef NSP_BASE_RANDOM_H
#define NSP_BASE_RANDOM_H

#include <math.h>
#include <nanospan/base.h>

#include "common/seed.h"

// A probability of 1 in the 56-bit fixed point of sampling thresholds.
#define NSP__RANDOM_ONE (UINT64_C(1) << 56)

// wyrand, from Wang Yi's wyhash (public domain). It takes one multiplication and half the instructions of
// splitmix64, which matters because they are part of the cost of a span. Each state occurs once in 2^64
// steps.
static inline uint64_t nsp__random_pair(uint64_t *state, uint64_t *product)
{
    __extension__ typedef unsigned __int128 wide;
    *state += UINT64_C(0xa0761d6478bd642f);
    wide both = (wide)*state * (*state ^ UINT64_C(0xe7037ed1a0b428db));
    // Distinct for most states, but not evenly distributed: for an id's padding only.
    *product = (uint64_t)both;
    return (uint64_t)(both >> 64) ^ (uint64_t)both;
}

static inline uint64_t nsp__random_next(uint64_t *state)
{
    uint64_t product;
    return nsp__random_pair(state, &product);
}

// Exactly uniform in [low, low + width); width is 1 to 2^56. From Lemire, "Fast Random Integer Generation in
// an Interval" (ACM TOMACS 2019): takes the high half of a product and rejects the few products that would
// bias it. At most one call in 256 divides.
static inline uint64_t nsp__random_below_range(uint64_t *state, uint64_t low, uint64_t width)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)nsp__random_next(state) * width;
    if (NSP__UNLIKELY((uint64_t)product < width)) {
        uint64_t biased = (0 - width) % width;
        while ((uint64_t)product < biased)
            product = (wide)nsp__random_next(state) * width;
    }
    return low + (uint64_t)(product >> 64);
}

// 1 / log(1 - p), where 1 - p = threshold / 2^56: the form in which nsp__random_skip needs a sampling
// threshold. 0 for threshold 0 (p = 1), minus infinity from 2^56 up (p = 0).
static inline double nsp__random_inverse_log(uint64_t threshold)
{
    if (threshold == 0)
        return 0;
    if (threshold >= NSP__RANDOM_ONE)
        return -HUGE_VAL;
    // Each half is computed on the side where a double represents it without loss.
    if (threshold < NSP__RANDOM_ONE / 2)
        return 1 / log((double)threshold * 0x1p-56);
    return 1 / log1p(-(double)(NSP__RANDOM_ONE - threshold) * 0x1p-56);
}

// The number of failures before the next success of probability p. Geometric, by inversion: floor(log U /
// log(1 - p)), with U uniform in (0, 1] in steps of 2^-53. p = 1 gives 0, p = 0 gives UINT64_MAX: the product is
// infinite then or, if U is 1, not a number, and neither is below 2^64. About 10 ns.
static inline uint64_t nsp__random_skip(uint64_t *state, double inverse_log)
{
    double uniform = (double)((nsp__random_next(state) >> 11) + 1) * 0x1p-53;
    double skip = log(uniform) * inverse_log;
    return skip < 0x1p64 ? (uint64_t)skip : UINT64_MAX;
}

#endif
