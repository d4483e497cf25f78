// SPDX-License-Identifier: Apache-2.0
//
// The two pieces of Concurrency Kit between drainer and sender: a queue of batches (ck_ring, one producer,
// one consumer) and an event count (ck_ec) that a thread can sleep on. ck is inline assembly, which
// ThreadSanitizer cannot see through, so the edges that it gives are declared there.
#ifndef NSP_DRAIN_BATCH_QUEUE_H
#define NSP_DRAIN_BATCH_QUEUE_H

#include <ck_ec.h>
#include <ck_ring.h>
#include <nanospan/base.h>

#include "drain/batch.h"

typedef struct nsp__batch_queue {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
} nsp__batch_queue;

// Makes room for so many batches. False: no memory.
bool nsp__batch_queue_init(nsp__batch_queue *queue, uint32_t count);
void nsp__batch_queue_destroy(nsp__batch_queue *queue);

// For the one producer. False if the queue is full. Whoever takes the batch sees everything that the producer
// wrote to it before. Wait-free.
bool nsp__batch_queue_put(nsp__batch_queue *queue, nsp__batch *batch);
// For the one consumer. NULL: empty. Wait-free.
nsp__batch *nsp__batch_queue_take(nsp__batch_queue *queue);

// An event count. To sleep without missing anything, read the value, check the condition, and wait on the
// value. It orders no other memory: conditions are atomics of their own.
typedef struct nsp__event {
    ck_ec32_t count;
} nsp__event;

void nsp__event_init(nsp__event *event);
uint32_t nsp__event_value(const nsp__event *event);
// For any thread; wakes all who wait. Takes a system call only if somebody waits.
void nsp__event_signal(nsp__event *event);
// Returns when the value is no longer `value`, or at the deadline (CLOCK_MONOTONIC ns; UINT64_MAX: none). May
// return early.
void nsp__event_wait(nsp__event *event, uint32_t value, uint64_t deadline_ns);

#endif
