// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "common/time.h"
#include "drain/batch_queue.h"

enum { BATCHES = 8, ROUNDS = 200000 };

static void holds_what_was_put_in_order(void **state)
{
    (void)state;
    nsp__batch batches[BATCHES] = {0};
    for (uint32_t count = 1; count <= BATCHES; count *= 2) {
        nsp__batch_queue queue;
        assert_true(nsp__batch_queue_init(&queue, count));
        for (int round = 0; round < 50; ++round) {
            assert_null(nsp__batch_queue_take(&queue));
            for (uint32_t i = 0; i < count; ++i)
                assert_true(nsp__batch_queue_put(&queue, &batches[i]));
            for (uint32_t i = 0; i < count; ++i)
                assert_ptr_equal(nsp__batch_queue_take(&queue), &batches[i]);
        }
        nsp__batch_queue_destroy(&queue);
    }
}

static void refuses_when_full(void **state)
{
    (void)state;
    nsp__batch batch = {0};
    nsp__batch_queue queue;
    assert_true(nsp__batch_queue_init(&queue, 2));
    int taken = 0;
    while (taken < 1000 && nsp__batch_queue_put(&queue, &batch))
        ++taken;
    assert_in_range(taken, 2, 16);
    assert_false(nsp__batch_queue_put(&queue, &batch));
    assert_ptr_equal(nsp__batch_queue_take(&queue), &batch);
    assert_true(nsp__batch_queue_put(&queue, &batch));
    nsp__batch_queue_destroy(&queue);
}

// Two threads act as collector and sender. ThreadSanitizer watches the plain stores into a batch.
typedef struct pair {
    nsp__batch_queue closed, empty;
    nsp__event work, room;
    uint64_t sum;
} pair;

static void *consume(void *argument)
{
    pair *both = argument;
    for (uint32_t expected = 0; expected < ROUNDS;) {
        uint32_t value = nsp__event_value(&both->work);
        nsp__batch *batch = nsp__batch_queue_take(&both->closed);
        if (!batch) {
            nsp__event_wait(&both->work, value, UINT64_MAX);
            continue;
        }
        if (batch->exported.spans != expected || batch->exported.length != expected * 3u)
            break;
        both->sum += batch->exported.spans;
        batch->exported.length = 0;
        nsp__batch_queue_put(&both->empty, batch);
        nsp__event_signal(&both->room);
        ++expected;
    }
    return NULL;
}

static void passes_every_batch_between_threads(void **state)
{
    (void)state;
    static nsp__batch batches[BATCHES];
    pair both = {.sum = 0};
    nsp__event_init(&both.work);
    nsp__event_init(&both.room);
    assert_true(nsp__batch_queue_init(&both.closed, BATCHES));
    assert_true(nsp__batch_queue_init(&both.empty, BATCHES));
    for (int i = 0; i < BATCHES; ++i)
        nsp__batch_queue_put(&both.empty, &batches[i]);
    pthread_t consumer;
    assert_int_equal(pthread_create(&consumer, NULL, consume, &both), 0);
    uint64_t give_up = nsp__monotonic_ns() + 200000000000u;
    for (uint32_t i = 0; i < ROUNDS;) {
        uint32_t value = nsp__event_value(&both.room);
        nsp__batch *batch = nsp__batch_queue_take(&both.empty);
        if (!batch) {
            assert_true(nsp__monotonic_ns() < give_up);
            nsp__event_wait(&both.room, value, give_up);
            continue;
        }
        assert_int_equal(batch->exported.length, 0);
        batch->exported.spans = i;
        batch->exported.length = i * 3u;
        assert_true(nsp__batch_queue_put(&both.closed, batch));
        nsp__event_signal(&both.work);
        ++i;
    }
    pthread_join(consumer, NULL);
    assert_int_equal(both.sum, (uint64_t)ROUNDS * (ROUNDS - 1) / 2);
    nsp__batch_queue_destroy(&both.closed);
    nsp__batch_queue_destroy(&both.empty);
}

// The promptest of several waits counts, because on a busy machine a thread may have to wait for a processor
// at any moment.
static void waits_no_longer_than_the_deadline(void **state)
{
    (void)state;
    uint64_t promptest = UINT64_MAX;
    nsp__event event;
    nsp__event_init(&event);
    uint32_t value = nsp__event_value(&event);
    for (int i = 0; i < 10 && promptest > 480000000u; i++) {
        uint64_t start = nsp__monotonic_ns();
        while (nsp__monotonic_ns() < start + 80000000u)
            nsp__event_wait(&event, value, start + 80000000u);
        promptest = nsp__earlier(promptest, nsp__monotonic_ns() - start);
    }
    assert_in_range(promptest, 80000000u, 480000000u);
    nsp__event_signal(&event);
    promptest = UINT64_MAX;
    for (int i = 0; i < 10 && promptest >= 400000000u; i++) {
        uint64_t start = nsp__monotonic_ns();
        nsp__event_wait(&event, value, UINT64_MAX); // already signalled, so it returns at once
        promptest = nsp__earlier(promptest, nsp__monotonic_ns() - start);
    }
    assert_true(promptest < 400000000u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_what_was_put_in_order),
        cmocka_unit_test(refuses_when_full),
        cmocka_unit_test(passes_every_batch_between_threads),
        cmocka_unit_test(waits_no_longer_than_the_deadline),
    };
    return cmocka_run_group_tests_name("batch_queue", tests, NULL, NULL);
}
