// SPDX-License-Identifier: Apache-2.0
//
// The allocator of gcc 12's address sanitizer has locks that a fork copies in the state they are in. If a
// thread allocates at that moment (one that has just been started, for example), its lock stays held in the
// child for ever. So in tests a fork waits until the other threads sleep, which no thread does while it holds
// such a lock.
#include "support/sanitizer.h"

#include <pthread.h>
#include <time.h>

#include "support/threads.h"

bool sanitizer_forks_wait = true;

#if TEST_UNDER_ASAN

// A thread that never sleeps is waited for until the process has used a second of processor time. Others may
// be waiting for a processor meanwhile.
static void wait_for_others(void)
{
    struct timespec begun, now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
    for (int tries = 0; sanitizer_forks_wait && tries < 20000 && !other_threads_sleep(); tries++) {
        nanosleep(&(struct timespec){0, 1000000}, NULL);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
        if (now.tv_sec > begun.tv_sec && (now.tv_sec > begun.tv_sec + 1 || now.tv_nsec >= begun.tv_nsec))
            break;
    }
}

// Registered early, so that it runs after the library's handler, which wakes and waits for other threads.
__attribute__((constructor(101))) static void make_forks_wait(void)
{
    pthread_atfork(wait_for_others, NULL, NULL);
}

#endif
