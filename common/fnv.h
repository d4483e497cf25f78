// SPDX-License-Identifier: Apache-2.0
//
// FNV-1a, 64 bits (Fowler, Noll and Vo): for hash tables of short texts and for checksums against accidents,
// not against malice. Its low bits are weak: mix it (common/seed.h) where they choose a bucket.
#ifndef NSP_COMMON_FNV_H
#define NSP_COMMON_FNV_H

#include <stddef.h>
#include <stdint.h>

#define NSP__FNV_START UINT64_C(0xcbf29ce484222325)

// Goes on from `hash`, which is NSP__FNV_START at first.
static inline uint64_t nsp__fnv(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = (const uint8_t *)bytes;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

#endif
