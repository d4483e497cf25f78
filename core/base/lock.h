// SPDX-License-Identifier: Apache-2.0
//
// Taking a mutex with patience of a bounded length. By polling: ThreadSanitizer does not know
// pthread_mutex_clocklock, and pthread_mutex_timedlock would follow the steps of the wall clock.
#ifndef NSP_BASE_LOCK_H
#define NSP_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "common/time.h"

// False: somebody still has it at the deadline (CLOCK_MONOTONIC ns). Tries at least once.
static inline bool nsp__lock_until(pthread_mutex_t *mutex, uint64_t deadline_ns)
{
    while (pthread_mutex_trylock(mutex) != 0) {
        if (nsp__monotonic_ns() >= deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND / 10}, NULL);
    }
    return true;
}

#endif
