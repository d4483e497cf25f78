// SPDX-License-Identifier: Apache-2.0
//
// An exact set of 64-bit ids for a busy receiver: open addressing in huge pages, at most half full. Ids are
// added in batches whose cache lines are prefetched. Single-threaded.
#ifndef NSP_BENCH_ID_SET_H
#define NSP_BENCH_ID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct id_set {
    uint64_t *slots; // 0: empty
    size_t size;     // a power of two
    size_t count;    // distinct ids
} id_set;

// Maps and touches room for the expected number of ids. False: no memory.
bool id_set_make(id_set *out, uint64_t expected);

// Adds ids; zeros are ignored. False: no memory to grow.
bool id_set_add(id_set *set, const uint64_t *ids, size_t count);

#endif
