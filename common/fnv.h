// SPDX-License-Identifier: Apache-2.0
//
// FNV-1a, 64 bits (Fowler, Noll and Vo): for hash tables of short texts, and for checksums against accidental
// damage, not against attackers. Its low bits are weak: mix it (common/seed.h) before they select a bucket.
#ifndef NSP_COMMON_FNV_H
#define NSP_COMMON_FNV_H

#include <stddef.h>
#include <stdint.h>

#define NSP__FNV_START UINT64_C(0xcbf29ce484222325)

// Continues from `hash`, which must be NSP__FNV_START at first.
static inline uint64_t nsp__fnv(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
