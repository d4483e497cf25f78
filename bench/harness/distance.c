// SPDX-License-Identifier: Apache-2.0
#include "harness/distance.h"

#include <math.h>
#include <pthread.h>
#include <semaphore.h>

#include "harness/cpus.h"
#include "harness/ticks.h"

enum { TRIPS = 50, TURNS = 4, TRIP_MOST_NS = 2000000 };

static struct {
    uint64_t ball __attribute__((aligned(256))); // odd: sent to the other thread; even: sent back
    bool over __attribute__((aligned(256)));     // the look has ended
    sem_t wanted, done;
    pthread_t thread;
    int cpu;
    bool started, stop, pinned;
} other;

static double least = INFINITY;

static void *other_thread(void *nothing)
{
    other.pinned = pin_to(other.cpu);
    sem_post(&other.done);
    for (;;) {
        while (sem_wait(&other.wanted) != 0)
            ;
        if (other.stop)
            return nothing;
        while (!__atomic_load_n(&other.over, __ATOMIC_ACQUIRE)) {
            uint64_t ball = __atomic_load_n(&other.ball, __ATOMIC_ACQUIRE);
            if (ball % 2 == 1)
                __atomic_store_n(&other.ball, ball + 1, __ATOMIC_RELEASE);
        }
        sem_post(&other.done);
    }
}

static void wait_done(void)
{
    while (sem_trywait(&other.done) != 0)
        relax();
}

bool distance_start(int cpu)
{
    if (cpu < 0)
        return false;
    other.cpu = cpu;
    other.stop = false;
    sem_init(&other.wanted, 0, 0);
    sem_init(&other.done, 0, 0);
    if (pthread_create(&other.thread, NULL, other_thread, NULL) != 0)
        return false;
    wait_done();
    other.started = true;
    if (!other.pinned)
        distance_stop();
    return other.started;
}

void distance_stop(void)
{
    if (!other.started)
        return;
    other.stop = true;
    sem_post(&other.wanted);
    pthread_join(other.thread, NULL);
    other.started = false;
}

static bool trip(void)
{
    uint64_t back = other.ball + 2, until = ticks_fenced() + (uint64_t)(TRIP_MOST_NS / ticks_ns());
    __atomic_store_n(&other.ball, back - 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&other.ball, __ATOMIC_ACQUIRE) != back)
        if (nsp__counter_read() > until)
            return false;
    return true;
}

// The best of several turns, because the other thread may have lost its CPU during some of them.
double distance_look(void)
{
    if (!other.started)
        return NAN;
    double best = NAN;
    __atomic_store_n(&other.over, false, __ATOMIC_RELEASE);
    __atomic_store_n(&other.ball, 0, __ATOMIC_RELEASE);
    sem_post(&other.wanted);
    bool fine = trip(); // makes sure that the other thread is awake
    for (int turn = 0; turn < TURNS && fine; turn++) {
        uint64_t start = ticks_fenced();
        for (int i = 0; i < TRIPS && fine; i++)
            fine = trip();
        double ns = (double)(ticks_fenced() - start) * ticks_ns() / TRIPS;
        if (fine && !(ns >= best))
            best = ns;
    }
    __atomic_store_n(&other.over, true, __ATOMIC_RELEASE);
    wait_done();
    least = fmin(least, best);
    return best;
}

double distance_least(void)
{
    return least;
}

bool distance_near(double ns)
{
    return ns <= 2 * least;
}
