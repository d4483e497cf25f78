// SPDX-License-Identifier: Apache-2.0
//
// Locks a mutex with a bounded wait. It polls, because ThreadSanitizer does not know pthread_mutex_clocklock
// and pthread_mutex_timedlock would follow steps of the wall clock.
#ifndef NSP_BASE_LOCK_H
#define NSP_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "common/time.h"

// Tries at least once. False if another thread still holds the mutex at the deadline (CLOCK_MONOTONIC, ns).
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
