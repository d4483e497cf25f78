// SPDX-License-Identifier: Apache-2.0
//
// Seeds that differ, and a mixer for numbers that may be similar.
#ifndef NSP_COMMON_SEED_H
#define NSP_COMMON_SEED_H

#include <stdint.h>

// A seed that differs between processes, threads and calls; all 64 bits are random. Never blocks, never
// fails. Signal safe.
uint64_t nsp__random_seed(void);

// Mixes a seed or a hash: the finisher of splitmix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom
// Number Generators", OOPSLA 2014), with the constants of Vigna's public domain version.
static inline uint64_t nsp__random_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

// One step of splitmix64, for sequences that must be the same in each run.
static inline uint64_t nsp__random_splitmix(uint64_t *state)
{
    return nsp__random_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

#endif
