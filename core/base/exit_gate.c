// SPDX-License-Identifier: Apache-2.0
#include "base/exit_gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/time.h"

static bool closed;
static uint32_t inside;         // calls inside, of all threads
static __thread uint32_t here;  // those of the calling thread
static void (*exit_hook)(void); // written before it is registered

// Either this thread sees that the gate is closed, or nsp__exit_wait sees this thread: both sides write first
// and then read, in one order that all threads agree on.
bool nsp__exit_enter(void)
{
    __atomic_fetch_add(&inside, 1, __ATOMIC_SEQ_CST);
    here++;
    if (!__atomic_load_n(&closed, __ATOMIC_SEQ_CST))
        return true;
    nsp__exit_leave();
    return false;
}

void nsp__exit_leave(void)
{
    here--;
    __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

static pthread_key_t end_key;
static bool end_key_made;

// Destructors run in rounds. In the first round this one asks for another; by the second, the destructors of
// the libraries have run.
static void thread_ends(void *rounds_left)
{
    static const char second_round;
    if (rounds_left != &second_round)
        pthread_setspecific(end_key, &second_round);
    else
        __atomic_fetch_sub(&inside, 1, __ATOMIC_SEQ_CST);
}

__attribute__((constructor)) static void make_end_key(void)
{
    end_key_made = pthread_key_create(&end_key, thread_ends) == 0;
}

bool nsp__exit_end_thread(void)
{
    if (!nsp__exit_enter())
        return false;
    if (!end_key_made || pthread_setspecific(end_key, &end_key) != 0)
        nsp__exit_leave();
    return true;
}

void nsp__exit_stay(void)
{
    for (;;)
        pause();
}

void nsp__exit_close(void)
{
    __atomic_store_n(&closed, true, __ATOMIC_SEQ_CST);
}

bool nsp__exit_closed(void)
{
    return __atomic_load_n(&closed, __ATOMIC_SEQ_CST);
}

// Polls, because this may run in a signal handler, and because those inside need not come back to us to wake
// anyone.
bool nsp__exit_wait(uint64_t deadline_ns)
{
    while (__atomic_load_n(&inside, __ATOMIC_SEQ_CST) > here) {
        if (nsp__monotonic_ns() >= deadline_ns)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND}, NULL);
    }
    return true;
}

void nsp__exit_fork_child(void)
{
    __atomic_store_n(&inside, here, __ATOMIC_SEQ_CST);
}

static void run_hook(void)
{
    exit_hook();
}

void nsp__exit_hook(void (*hook)(void))
{
    exit_hook = hook;
    atexit(run_hook);
}

void nsp__exit_hook_renew(void)
{
    if (exit_hook != NULL && !nsp__exit_closed())
        atexit(run_hook);
}
