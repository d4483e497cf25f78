// SPDX-License-Identifier: Apache-2.0
#include "drain/batch_queue.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/time.h"
#include "base/tsan.h"

bool nsp__batch_queue_init(nsp__batch_queue *queue, uint32_t count)
{
    // Four times the number of batches. A ck_ring holds one entry less than its size. Also, on a weakly
    // ordered processor its consumer may publish the new head before its load of the slot is done. That is
    // harmless as long as the producer cannot reach that slot again before the consumer has taken more, and
    // there are never that many batches.
    unsigned size = 4;
    while (size < 4 * count)
        size *= 2;
    queue->slots = calloc(size, sizeof *queue->slots);
    if (queue->slots == NULL)
        return false;
    ck_ring_init(&queue->ring, size);
    return true;
}

void nsp__batch_queue_destroy(nsp__batch_queue *queue)
{
    free(queue->slots);
    queue->slots = NULL;
}

// ck orders stores only. The fences make this a release of everything, including reads of the batch's bytes,
// and an acquire on the other side. For ThreadSanitizer the slot is written here, where it can see the write,
// and not inside ck; the edge is declared between the write and the publication.
bool nsp__batch_queue_put(nsp__batch_queue *queue, nsp__batch *batch)
{
    nsp__batch **slot = ck_ring_enqueue_reserve_spsc(&queue->ring, queue->slots);
    if (slot == NULL)
        return false;
    *slot = batch;
    NSP__TSAN_RELEASE(&queue->ring);
    ck_pr_fence_release();
    ck_ring_enqueue_commit_spsc(&queue->ring);
    return true;
}

// The size is read first, so that ThreadSanitizer's edge comes after the publication and before the read of
// the slot.
nsp__batch *nsp__batch_queue_take(nsp__batch_queue *queue)
{
    void *batch;
    if (ck_ring_size(&queue->ring) == 0)
        return NULL;
    NSP__TSAN_ACQUIRE(&queue->ring);
    if (!ck_ring_dequeue_spsc(&queue->ring, queue->slots, &batch))
        return NULL;
    ck_pr_fence_acquire();
    return batch;
}

static int event_time(const struct ck_ec_ops *ops, struct timespec *out)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, out);
}

static void event_sleep(const struct ck_ec_wait_state *state, const uint32_t *address, uint32_t expected,
                        const struct timespec *deadline)
{
    (void)state;
    syscall(SYS_futex, address, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void event_wake(const struct ck_ec_ops *ops, const uint32_t *address)
{
    (void)ops;
    syscall(SYS_futex, address, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

// Several threads signal (drainer, flush, stop), so this does not use the single producer mode. It uses
// neither a busy loop nor short first sleeps, because whoever waits here waits for the network.
static const struct ck_ec_ops event_ops = {.gettime = event_time,
                                           .wait32 = event_sleep,
                                           .wake32 = event_wake,
                                           .busy_loop_iter = 1,
                                           .initial_wait_ns = 1000000000};
static const struct ck_ec_mode event_mode = {.ops = &event_ops, .single_producer = false};

static bool is_before(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

// ck chooses the length of its sleeps and checks the deadline only between them, so each sleep is cut to the
// deadline here.
static int clip_step(const struct ck_ec_wait_state *state, struct timespec *step_deadline)
{
    const struct timespec *deadline = state->data;
    if (is_before(deadline, step_deadline))
        *step_deadline = *deadline;
    return 0;
}

void nsp__event_init(nsp__event *event)
{
    ck_ec32_init(&event->count, 0);
}

uint32_t nsp__event_value(const nsp__event *event)
{
    return ck_ec32_value(&event->count);
}

void nsp__event_signal(nsp__event *event)
{
    ck_ec32_inc(&event->count, &event_mode);
}

void nsp__event_wait(nsp__event *event, uint32_t value, uint64_t deadline_ns)
{
    if (deadline_ns == UINT64_MAX) {
        (void)ck_ec32_wait(&event->count, &event_mode, value, NULL);
        return;
    }
    struct timespec deadline = nsp__timespec_of(deadline_ns);
    (void)ck_ec32_wait_pred(&event->count, &event_mode, value, clip_step, &deadline, &deadline);
}
