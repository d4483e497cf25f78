// SPDX-License-Identifier: Apache-2.0
//
// Copies of what lies in shared memory, where it may be overwritten meanwhile.
#ifndef NSP_BASE_WORDS_H
#define NSP_BASE_WORDS_H

#include <stddef.h>
#include <stdint.h>

// Copies word by word, both sides aligned. Whoever reads what was just overwritten finds that out afterwards.
static inline void nsp__words_copy(void *to, const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes / 8; i++)
        __atomic_store_n((uint64_t *)to + i, __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED),
                         __ATOMIC_RELAXED);
}

#endif
