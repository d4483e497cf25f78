// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is, in a world where time is a number and attempts take what a test says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/time.h"
#include "drain/turns.h"

#define S 1000000000ull
#define MIN (1 * S) // backoff, as it is configured by default, without jitter
#define MAX (30 * S)

enum { POOLS = 100, BATCHES = 4, SHARE = 5 };

typedef struct world {
    nsp__turns turns;
    nsp__batch_pool pools[POOLS];
    nsp__batch batches[POOLS][BATCHES];
    bool bad[POOLS];          // its batches cannot be delivered
    uint64_t takes_ns[POOLS]; // an attempt
    bool away;                // the receiver
    uint64_t now;
    uint32_t attempts[POOLS], delivered[POOLS];
    uint32_t all_attempts;
    uint64_t last_ns; // of the last attempt's end
} world;

static int make(void **state)
{
    world *w = calloc(1, sizeof *w);
    nsp__turns_begin(&w->turns);
    w->now = 1000 * S;
    for (int p = 0; p < POOLS; p++)
        for (int i = 0; i < BATCHES; i++)
            w->batches[p][i] = (nsp__batch){.pool = &w->pools[p], .index = (uint32_t)i};
    *state = w;
    return 0;
}

static int discard(void **state)
{
    free(*state);
    return 0;
}

static void add(world *w, int pool, int batch)
{
    nsp__turns_add(&w->turns, &w->batches[pool][batch]);
}

static int number_of(const world *w, const nsp__batch_pool *pool)
{
    return (int)(pool - w->pools);
}

static uint64_t backoff(uint32_t attempt)
{
    uint64_t base = MIN;
    while (--attempt != 0 && base < MAX)
        base *= 2;
    return nsp__earlier(base, MAX);
}

// What the sender's thread does with whoever is next, at the time when that is. Returns whose turn it was.
static int step(world *w)
{
    uint64_t due;
    nsp__batch_pool *pool = nsp__turns_next(&w->turns, w->now, &due);
    assert_non_null(pool);
    assert_true(due >= w->now && due != UINT64_MAX);
    w->now = due;
    const int p = number_of(w, pool);
    w->attempts[p]++;
    w->all_attempts++;
    w->now += w->takes_ns[p];
    w->last_ns = w->now;
    if (!w->away && !w->bad[p]) {
        w->delivered[p]++;
        nsp__turns_answered(&w->turns);
        nsp__turns_remove(&w->turns, pool->line.first);
        return p;
    }
    nsp__turns_failed(&w->turns, pool, false);
    const nsp__turns_pauses pauses = {
        .own = backoff(pool->line.attempts),
        .others = backoff(w->turns.failures),
        .least = nsp__later(MIN, pool->line.blamed ? (SHARE - 1) * w->takes_ns[p] : 0),
    };
    nsp__turns_put_off(&w->turns, pool, w->now, &pauses);
    return p;
}

static void one_line_after_the_other(void **state)
{
    world *w = *state;
    uint64_t due;
    assert_null(nsp__turns_next(&w->turns, w->now, &due));
    for (int i = 0; i < 2; i++)
        for (int p = 0; p < 3; p++)
            if (p != 1 || i == 0)
                add(w, p, i);
    static const int expected[] = {0, 1, 2, 0, 2};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        nsp__batch *first = w->pools[expected[i]].line.first;
        assert_int_equal(first->index, i / 3);
        assert_int_equal(step(w), expected[i]);
    }
    assert_null(w->turns.first);
    assert_null(w->turns.last);
    assert_null(w->pools[0].line.first);
}

// As always with one: its own backoff, which doubles.
static void one_pool_alone_waits_for_itself(void **state)
{
    world *w = *state;
    w->away = true;
    add(w, 0, 0);
    for (uint32_t i = 1; i < 12; i++) {
        const uint64_t before = w->now;
        assert_int_equal(step(w), 0);
        assert_true(w->now - before == (i == 1 ? 0 : backoff(i - 1)));
        assert_false(w->pools[0].line.blamed);
    }
    w->away = false;
    step(w);
    assert_int_equal(w->delivered[0], 1);
    assert_null(w->turns.first);
}

// Others with batches all the time: those go on at once, and are behind at most one attempt of the bad one each time.
static void a_bad_one_is_put_aside(void **state)
{
    world *w = *state;
    w->bad[0] = true;
    add(w, 0, 0);
    add(w, 0, 1);
    add(w, 1, 0);
    const uint64_t began = w->now;
    assert_int_equal(step(w), 0);
    assert_int_equal(step(w), 1);
    assert_true(w->now == began); // the first failure keeps nobody waiting
    w->takes_ns[1] = S / 100;
    while (w->attempts[0] < 10) {
        if (w->pools[1].line.first == NULL)
            add(w, 1, 0);
        step(w);
        assert_int_equal(w->pools[0].line.blamed, w->attempts[0] >= 2);
    }
    assert_true(w->now - began >= 100 * MIN); // it has a backoff of its own, which grows
    assert_true(w->delivered[1] >= 90 * (w->now - began) / S);
    // It goes on where it was.
    w->bad[0] = false;
    while (w->delivered[0] < 2) {
        const uint32_t index = w->pools[0].line.first->index;
        if (step(w) == 0)
            assert_int_equal(index, w->delivered[0] - 1);
    }
    assert_false(w->pools[0].line.blamed);
}

// Nothing is attempted more often than by one alone when it is the receiver that is away.
static void many_that_fail_are_as_one(void **state)
{
    world *w = *state;
    w->away = true;
    for (int p = 0; p < POOLS; p++)
        add(w, p, 0);
    const uint64_t began = w->now;
    step(w);
    step(w); // the probe whether it is the receiver or the batch
    assert_true(w->now == began);
    while (w->all_attempts < POOLS) {
        const uint64_t before = w->now;
        step(w);
        assert_true(w->now - before >= MIN);
    }
    for (int p = 0; p < POOLS; p++) {
        assert_int_equal(w->attempts[p], 1); // each had a turn
        assert_false(w->pools[p].line.blamed);
    }
    for (int i = 0; i < 2 * POOLS; i++) {
        const uint64_t before = w->now;
        step(w);
        assert_true(w->now - before >= MAX);
    }
    for (int p = 0; p < POOLS; p++)
        assert_int_equal(w->attempts[p], 3); // in turn
    // When it is back, nobody waits for anything any more.
    w->away = false;
    const uint64_t back = w->now;
    step(w);
    assert_true(w->now - back <= MAX);
    const uint64_t first = w->now;
    while (w->turns.first != NULL)
        step(w);
    assert_true(w->now == first);
}

// Many that are bad, with attempts that take long, take no more than their part of the time from those that are not.
static void many_bad_ones_take_little_of_the_time(void **state)
{
    enum { BAD = 20 };
    world *w = *state;
    for (int p = 0; p < BAD; p++) {
        w->bad[p] = true;
        w->takes_ns[p] = 10 * S;
        add(w, p, 0);
    }
    w->takes_ns[BAD] = S / 10;
    bool known = false;
    uint64_t began = 0, taken = 0;
    while (!known || w->now - began < 10000 * S) {
        if (w->pools[BAD].line.first == NULL)
            add(w, BAD, 0);
        const int whose = step(w);
        bool all = true;
        for (int p = 0; p < BAD; p++)
            all = all && w->pools[p].line.blamed;
        if (!known && all) {
            known = true;
            began = w->now;
            taken = 0;
        }
        if (whose != BAD)
            taken += w->takes_ns[whose];
    }
    assert_true(taken > 0); // they are not forgotten either
    assert_true(taken <= (w->now - began) / SHARE + 10 * S);
    for (int p = 0; p < BAD; p++)
        assert_true(w->attempts[p] > 5);
}

// A pool that has nothing to do with it comes after a pause of others in which nothing succeeds: it waits for the
// shortest backoff at most, however long theirs are.
static void a_newcomer_does_not_wait_long(void **state)
{
    world *w = *state;
    for (int p = 0; p < 8; p++) {
        w->bad[p] = true;
        add(w, p, 0);
    }
    for (int i = 0; i < 100; i++)
        step(w);
    const uint64_t came = w->now;
    add(w, 8, 0);
    assert_int_equal(step(w), 8);
    assert_true(w->now - came <= MIN);
}

static void the_receiver_has_the_word(void **state)
{
    world *w = *state;
    uint64_t due;
    add(w, 0, 0);
    add(w, 1, 0);
    nsp__turns_failed(&w->turns, &w->pools[0], true);
    nsp__turns_hold(&w->turns, &w->pools[0], w->now + 7 * S);
    assert_ptr_equal(nsp__turns_next(&w->turns, w->now, &due), &w->pools[1]);
    assert_true(due == w->now + 7 * S);
    nsp__turns_hurry(&w->turns, &w->pools[1], w->now); // no wait cuts it short
    nsp__turns_next(&w->turns, w->now, &due);
    assert_true(due == w->now + 7 * S);
    assert_int_equal(step(w), 1);
    // It is nobody's fault.
    w->bad[0] = true;
    assert_int_equal(step(w), 0);
    assert_false(w->pools[0].line.blamed);
}

static void a_request_comes_first(void **state)
{
    world *w = *state;
    uint64_t due;
    w->away = true;
    for (int p = 0; p < 3; p++)
        add(w, p, 0);
    for (int i = 0; i < 20; i++)
        step(w);
    nsp__batch_pool *next = nsp__turns_next(&w->turns, w->now, &due);
    assert_true(due > w->now);
    nsp__turns_hurry(&w->turns, next, w->now);
    assert_ptr_equal(nsp__turns_next(&w->turns, w->now, &due), next);
    assert_true(due == w->now);
    step(w);
    nsp__turns_next(&w->turns, w->now, &due);
    assert_true(due - w->now == MAX); // one attempt, and no more
}

static void what_is_bound_or_abandoned(void **state)
{
    world *w = *state;
    uint64_t due;
    w->bad[0] = true;
    add(w, 0, 0);
    add(w, 1, 0);
    step(w);
    w->turns.bound = &w->pools[0];
    assert_int_equal(step(w), 0);
    w->batches[0][0].abandoned = true; // at once, and it is no attempt
    assert_ptr_equal(nsp__turns_next(&w->turns, w->now, &due), &w->pools[0]);
    assert_true(due == w->now);
    nsp__turns_remove(&w->turns, &w->batches[0][0]);
    assert_int_equal(step(w), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, discard)
    const struct CMUnitTest tests[] = {
        TEST(one_line_after_the_other),
        TEST(one_pool_alone_waits_for_itself),
        TEST(a_bad_one_is_put_aside),
        TEST(many_that_fail_are_as_one),
        TEST(many_bad_ones_take_little_of_the_time),
        TEST(a_newcomer_does_not_wait_long),
        TEST(the_receiver_has_the_word),
        TEST(a_request_comes_first),
        TEST(what_is_bound_or_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
