// SPDX-License-Identifier: Apache-2.0
//
// Detached spans that one thread begins and another ends. The other thread does its half while nothing is
// timed, and sleeps otherwise. Its spans go through its own ring, and it waits until that is drained.
#include "hot_path/special.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "hot_path/operations.h"

static nsp_span *spans[HANDOVER_MOST];
static size_t begun, ended; // in this burst

static struct {
    pthread_t thread;
    sem_t wanted, done;
    void (*work)(void); // NULL: end
    size_t count;
    bool attached;
} other;

static void other_ends(void)
{
    while (ended < begun)
        nsp_span_end(spans[ended++]);
}

static void other_begins(void)
{
    for (begun = 0; begun < other.count; begun++) {
        spans[begun] = nsp_span_begin_detached(NSP_NAME("handed_over"), NULL);
        nsp_span_set_i64(spans[begun], NSP_KEY("order"), (int64_t)begun);
    }
}

static void go_elsewhere(void)
{
    if (operation_other_cpu >= 0) {
        pin_to(operation_other_cpu);
        return;
    }
    cpu_set_t set = *cpus_given();
    CPU_CLR((size_t)sched_getcpu(), &set);  // this thread was started on the caller's CPU
    sched_setaffinity(0, sizeof set, &set); // fails without effect if there is no other CPU
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        ;
}

static void *other_thread(void *nothing)
{
    go_elsewhere();
    other.attached = nsp_thread_attach(NULL) == NSP_OK;
    sem_post(&other.done);
    for (wait_for(&other.wanted); other.work != NULL; wait_for(&other.wanted)) {
        other.work();
        session_drained_to(session_ring_bytes() / 2);
        sem_post(&other.done);
    }
    return nothing;
}

// Waits without sleeping: a thread that sleeps may find its core taken when it wakes.
static void other_does(void (*work)(void))
{
    other.work = work;
    sem_post(&other.wanted);
    while (sem_trywait(&other.done) != 0)
        sched_yield();
}

bool handover_start(void)
{
    sem_init(&other.wanted, 0, 0);
    sem_init(&other.done, 0, 0);
    begun = ended = 0;
    if (pthread_create(&other.thread, NULL, other_thread, NULL) != 0)
        return false;
    wait_for(&other.done);
    if (!other.attached)
        handover_stop();
    return other.attached;
}

void handover_stop(void)
{
    other.work = NULL;
    sem_post(&other.wanted);
    pthread_join(other.thread, NULL);
}

__attribute__((noinline)) void run_handover_begin(size_t count)
{
    size_t at = begun;
    for (size_t i = 0; i < count && at < HANDOVER_MOST; i++) {
        nsp_span *span = nsp_span_begin_detached(NSP_NAME("handed_over"), NULL);
        nsp_span_set_i64(span, NSP_KEY("order"), (int64_t)i);
        spans[at++] = span;
    }
    begun = at;
}

void handover_collect(void)
{
    other_does(other_ends);
    begun = ended = 0;
}

void handover_supply(size_t count)
{
    other.count = count < HANDOVER_MOST ? count : HANDOVER_MOST;
    other_does(other_begins);
    ended = 0;
}

__attribute__((noinline)) void run_handover_end(size_t count)
{
    size_t at = ended;
    for (size_t i = 0; i < count && at < begun; i++)
        nsp_span_end(spans[at++]);
    ended = at;
}

void handover_settle(void)
{
    other_ends();
    begun = ended = 0;
}
