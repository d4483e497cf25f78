// SPDX-License-Identifier: Apache-2.0
//
// What holds an order up in real life, made on purpose now and then: another thread takes the processor away, memory
// has to be fetched, a lock is taken, or the strategy thinks for too long. Each happens in the stage in which it would.
// Nothing here knows about tracing.
#ifndef ENGINE_FAULTS_H
#define ENGINE_FAULTS_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fault { FAULT_NONE, FAULT_PREEMPTION, FAULT_PAGE_FAULT, FAULT_LOCK, FAULT_STRATEGY, FAULTS };

struct faults {
    unsigned kinds;   // a bit for each kind that happens; 0: none, and nothing below is used
    uint32_t every;   // one order in so many is held up, at random
    uint64_t time_ns; // for how long, roughly: from half of it to two and a half times as long
    uint64_t seed;

    uint64_t held_up[FAULTS]; // orders, by kind; of the trading thread

    // The order that is being processed: what is to hold it up, what has, and whether the kernel says that it was
    // preempted meanwhile.
    enum fault drawn, struck;
    bool preempted;

    // Private.
    uint64_t random, hold_ns;
    uint8_t *memory;
    pthread_t helper; // the thread that preempts, and holds the lock
    enum fault request;
    int cpu, helper_cpu;
    sem_t asked, holding;
    pthread_mutex_t lock;
    bool done, end, started;
};

// The kinds of a list such as "preemption,lock", or of "all". False if a word is none of them.
bool faults_parse(const char *list, unsigned *kinds);
const char *fault_text(enum fault fault);

// Starts what the kinds need. On failure, prints a line on standard error and returns false.
bool faults_start(struct faults *faults);
void faults_stop(struct faults *faults);

// An order begins: draws whether it is to be held up, and how. To be called only if there are kinds.
void faults_draw(struct faults *faults);

// Holds the caller up, as it was drawn.
void faults_strike(struct faults *faults);

// The same for every order and every stage: where there are no kinds, or it was not drawn, this is one check.
static inline void faults_draw_if(struct faults *faults)
{
    if (__builtin_expect(faults->kinds != 0, 0))
        faults_draw(faults);
}

static inline void faults_strike_if(struct faults *faults, enum fault fault)
{
    if (__builtin_expect(faults->drawn == fault, 0))
        faults_strike(faults);
}

#endif
