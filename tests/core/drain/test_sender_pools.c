// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// One sender over the pools of several sessions, and a stop that leaves to the next drainer what was not sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "common/time.h"
#include "drain/sender.h"

#define MS 1000000ull

enum { SESSIONS = 2, POOL_MAX = 8, PATIENCE_MS = 60000 };

typedef struct session {
    nsp__batch_pool pool;
    nsp__batch_header headers[POOL_MAX];
    nsp__counters counters;
    nsp_send_result answer; // to each of its batches
    uint64_t part_exported; // reported with the answer
    uint32_t sends;         // atomic
    uint32_t attempts;      // in the header, as the last send saw it
} session;

typedef struct fixture {
    session sessions[SESSIONS];
    int cancel;
    bool deaf;     // atomic: a send hangs until this is false
    uint32_t ends; // atomic: sends that have returned
    bool left_behind;
    nsp__sender_options options;
    nsp__sender *sender;
} fixture;

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)MS}, NULL);
}

// Finds the session as a drainer does that sends for many.
static nsp_send_result receive(void *state, const nsp_batch *exported, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)deadline_ns;
    fixture *f = state;
    const nsp__batch *batch = (const nsp__batch *)(const void *)exported;
    session *from = (session *)(void *)((char *)batch->pool - offsetof(session, pool));
    from->attempts = batch->header->attempts;
    __atomic_fetch_add(&from->sends, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&f->deaf, __ATOMIC_ACQUIRE))
        pause_shortly();
    report->part_exported = from->part_exported;
    nsp_send_result answer = from->answer;
    __atomic_fetch_add(&f->ends, 1, __ATOMIC_RELEASE);
    return answer;
}

static const nsp_exporter receiver = {.size = sizeof(nsp_exporter), .name = "receiver", .send = receive};

static fixture *make(bool leave_rest)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    for (uint32_t s = 0; s < SESSIONS; s++) {
        session *one = &f->sessions[s];
        assert_true(nsp__batch_pool_init(&one->pool, POOL_MAX / (s + 1), &one->counters));
        for (uint32_t i = 0; i < one->pool.count; i++)
            one->pool.batches[i].header = &one->headers[i];
    }
    f->options = (nsp__sender_options){.exporter = &receiver,
                                       .exporter_state = f,
                                       .closed_max = SESSIONS * POOL_MAX,
                                       .cancel = &f->cancel,
                                       .export_timeout_ns = PATIENCE_MS * MS,
                                       .backoff_min_ns = 1 * MS,
                                       .backoff_max_ns = 2 * MS,
                                       .leave_rest = leave_rest,
                                       .left_behind = &f->left_behind};
    nsp__log_configure(NSP_LOG_NONE, NULL, NULL);
    assert_int_equal(nsp__sender_start(&f->sender, &f->options), NSP_OK);
    return f;
}

static void discard(fixture *f)
{
    for (uint32_t s = 0; s < SESSIONS; s++)
        nsp__batch_pool_destroy(&f->sessions[s].pool);
    free(f);
}

// NULL: all of the session's batches are with the sender.
static nsp__batch *put(fixture *f, session *from, uint32_t spans)
{
    nsp__batch *batch = nsp__batch_pool_take(&from->pool);
    if (batch == NULL)
        return NULL;
    assert_ptr_equal(batch->pool, &from->pool);
    assert_int_equal(batch->header->state, NSP__BATCH_EMPTY);
    batch->header->spans = batch->exported.spans = spans;
    batch->header->state = NSP__BATCH_CLOSED;
    nsp__sender_put_closed(f->sender, batch);
    return batch;
}

static bool stop_in(fixture *f, uint64_t ms)
{
    return nsp__sender_stop(f->sender, nsp__monotonic_ns() + ms * MS).all_sent;
}

// Until so many of its batches are settled.
static bool wait_for(fixture *f, session *of, uint64_t sequence)
{
    return nsp__sender_wait(f->sender, &of->pool, sequence, nsp__monotonic_ns() + PATIENCE_MS * MS);
}

static uint64_t counted(const session *of)
{
    const nsp__counters *c = &of->counters;
    return c->exported + c->rejected + c->unconfirmed + c->discarded;
}

// ---- several pools ----

static void each_batch_comes_home_and_counts_in_its_own_session(void **state)
{
    enum { BATCHES = 20000 };
    (void)state;
    fixture *f = make(false);
    f->sessions[0].answer = NSP_SEND_EXPORTED;
    f->sessions[1].answer = NSP_SEND_REJECTED;
    uint64_t sent[SESSIONS] = {0}, batches[SESSIONS] = {0}, random = 7;
    for (uint32_t i = 0; i < BATCHES;) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t s = random >> 40 & 1, spans = 1 + (uint32_t)(random >> 50);
        if (put(f, &f->sessions[s], spans) == NULL) {
            sched_yield();
            continue;
        }
        sent[s] += spans;
        batches[s]++;
        i++;
    }
    for (uint32_t s = 0; s < SESSIONS; s++)
        assert_true(wait_for(f, &f->sessions[s], batches[s]));
    assert_true(stop_in(f, PATIENCE_MS));
    assert_int_equal(f->sessions[0].counters.exported, sent[0]);
    assert_int_equal(f->sessions[1].counters.rejected, sent[1]);
    for (uint32_t s = 0; s < SESSIONS; s++) {
        session *one = &f->sessions[s];
        assert_int_equal(counted(one), sent[s]);
        assert_int_equal(one->sends, batches[s]);
        assert_int_equal(nsp__batch_pool_away(&one->pool), 0);
        bool seen[POOL_MAX] = {false};
        for (uint32_t i = 0; i < one->pool.count; i++) {
            nsp__batch *batch = nsp__batch_pool_take(&one->pool);
            assert_non_null(batch);
            assert_true(batch == &one->pool.batches[batch->index] && !seen[batch->index]);
            seen[batch->index] = true;
        }
        assert_null(nsp__batch_pool_take(&one->pool));
    }
    discard(f);
}

// A session whose receiver hangs takes no batch from another session's pool, and who asks is not made to wait.
static void what_is_settled_is_known_without_waiting(void **state)
{
    (void)state;
    fixture *f = make(false);
    __atomic_store_n(&f->deaf, true, __ATOMIC_RELEASE);
    for (int i = 0; i < POOL_MAX; i++)
        assert_non_null(put(f, &f->sessions[0], 1));
    assert_null(put(f, &f->sessions[0], 1));
    assert_int_equal(nsp__batch_pool_away(&f->sessions[0].pool), POOL_MAX);
    assert_int_equal(nsp__batch_pool_away(&f->sessions[1].pool), 0);
    assert_non_null(put(f, &f->sessions[1], 1));
    assert_true(nsp__sender_settled(&f->sessions[0].pool, 0));
    assert_false(nsp__sender_settled(&f->sessions[0].pool, 1));
    assert_false(nsp__sender_settled(&f->sessions[1].pool, 1));
    __atomic_store_n(&f->deaf, false, __ATOMIC_RELEASE);
    assert_true(wait_for(f, &f->sessions[1], 1));
    assert_false(nsp__sender_settled(&f->sessions[1].pool, 2));
    assert_true(wait_for(f, &f->sessions[0], POOL_MAX));
    assert_true(nsp__sender_settled(&f->sessions[0].pool, POOL_MAX));
    assert_false(nsp__sender_settled(&f->sessions[0].pool, POOL_MAX + 1));
    assert_true(stop_in(f, PATIENCE_MS));
    discard(f);
}

// ---- leave_rest ----

// What a batch was left as is what the next sender sends.
static void send_the_rest(fixture *f, nsp__batch *const *left, uint32_t count)
{
    f->sessions[0].answer = NSP_SEND_EXPORTED;
    f->sessions[0].part_exported = 0;
    assert_int_equal(nsp__sender_start(&f->sender, &f->options), NSP_OK);
    uint64_t before = f->sessions[0].pool.sequence, last = before;
    for (uint32_t i = 0; i < count; i++)
        last = nsp__sender_put_closed(f->sender, left[i]);
    assert_int_equal(last, before + count);
    assert_true(wait_for(f, &f->sessions[0], last));
    assert_true(stop_in(f, PATIENCE_MS));
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(left[i]->header->state, NSP__BATCH_EMPTY);
}

static void a_stop_leaves_what_is_not_settled_as_it_is(void **state)
{
    (void)state;
    fixture *f = make(true);
    session *one = &f->sessions[0];
    one->answer = NSP_SEND_EXPORTED;
    put(f, one, 7);
    assert_true(wait_for(f, one, 1));
    one->answer = NSP_SEND_RETRY; // seen by the thread, because the batches come after it
    nsp__batch *left[3];
    for (uint32_t i = 0; i < 3; i++)
        left[i] = put(f, one, 10 + i);
    while (__atomic_load_n(&one->sends, __ATOMIC_ACQUIRE) < 4)
        pause_shortly();
    nsp__sender_end end = nsp__sender_stop(f->sender, nsp__monotonic_ns());
    assert_false(end.all_sent);
    assert_int_equal(end.given_up, 10 + 11 + 12);
    assert_int_equal(counted(one), 7);
    assert_int_equal(one->counters.exported, 7);
    assert_int_equal(nsp__batch_pool_away(&one->pool), 3);
    for (uint32_t i = 0; i < 3; i++) {
        const nsp__batch_header *header = left[i]->header;
        assert_int_equal(header->state, i == 0 ? NSP__BATCH_SENDING : NSP__BATCH_CLOSED);
        assert_int_equal(header->spans, 10 + i);
        assert_int_equal(header->settled, 0);
        assert_int_equal(header->in_doubt, 0);
        assert_int_equal(left[i]->exported.spans, 10 + i);
        assert_true(i == 0 ? header->attempts >= 3 : header->attempts == 0);
    }
    uint32_t attempts = left[0]->header->attempts;
    send_the_rest(f, left, 1); // those of an earlier drainer count too
    assert_int_equal(one->attempts, attempts + 1);
    send_the_rest(f, left + 1, 2);
    assert_int_equal(one->counters.exported, 7 + 10 + 11 + 12);
    assert_int_equal(counted(one), 7 + 10 + 11 + 12);
    assert_int_equal(nsp__batch_pool_away(&one->pool), 0);
    discard(f);
}

// The parts that were settled are counted, and the batch says how many of its spans these are.
static void a_stop_leaves_a_batch_that_is_settled_in_part(void **state)
{
    (void)state;
    fixture *f = make(true);
    session *one = &f->sessions[0];
    one->answer = NSP_SEND_RETRY;
    one->part_exported = 1;
    nsp__batch *left = put(f, one, 1000000);
    while (__atomic_load_n(&one->sends, __ATOMIC_ACQUIRE) < 3)
        pause_shortly();
    assert_false(stop_in(f, 0));
    uint64_t settled = left->header->settled;
    assert_in_range(settled, 2, 999999);
    assert_int_equal(counted(one), settled);
    assert_int_equal(left->header->state, NSP__BATCH_SENDING);
    assert_int_equal(left->header->spans, 1000000);
    assert_int_equal(left->exported.spans, 1000000 - settled);
    send_the_rest(f, &left, 1);
    assert_int_equal(one->counters.exported, 1000000);
    discard(f);
}

// The thread hangs in the exporter. What it has is in doubt, and stays so, also when it returns later.
static void a_stop_leaves_what_a_hanging_thread_has(void **state)
{
    (void)state;
    fixture *f = make(true);
    session *one = &f->sessions[0];
    one->answer = NSP_SEND_EXPORTED;
    __atomic_store_n(&f->deaf, true, __ATOMIC_RELEASE);
    nsp__batch *left[2] = {put(f, one, 5), put(f, one, 6)};
    while (__atomic_load_n(&one->sends, __ATOMIC_ACQUIRE) < 1)
        pause_shortly();
    nsp__sender_end end = nsp__sender_stop(f->sender, nsp__monotonic_ns());
    assert_false(end.all_sent);
    assert_true(f->left_behind);
    assert_int_equal(end.given_up, 5 + 6);
    for (int later = 0; later < 2; later++) {
        assert_int_equal(counted(one), 0);
        assert_int_equal(left[0]->header->state, NSP__BATCH_SENDING);
        assert_int_equal(left[0]->header->in_doubt, 1);
        assert_int_equal(left[0]->header->spans, 5);
        assert_int_equal(left[1]->header->state, NSP__BATCH_CLOSED);
        assert_int_equal(left[1]->header->in_doubt, 0);
        assert_int_equal(nsp__batch_pool_away(&one->pool), 2);
        __atomic_store_n(&f->deaf, false, __ATOMIC_RELEASE);
        while (__atomic_load_n(&f->ends, __ATOMIC_ACQUIRE) == 0)
            pause_shortly();
    }
    // The fixture stays: the thread may still look at it.
}

// A wait does not take what was left for settled.
static void what_is_left_is_not_settled(void **state)
{
    (void)state;
    fixture *f = make(true);
    session *one = &f->sessions[0];
    one->answer = NSP_SEND_RETRY;
    nsp__batch *left = put(f, one, 5);
    while (__atomic_load_n(&one->sends, __ATOMIC_ACQUIRE) < 1)
        pause_shortly();
    assert_false(nsp__sender_wait(f->sender, &one->pool, 1, nsp__monotonic_ns() + 5 * MS));
    assert_false(stop_in(f, 0));
    assert_int_equal(left->header->state, NSP__BATCH_SENDING);
    send_the_rest(f, &left, 1);
    assert_int_equal(one->counters.exported, 5);
    discard(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_batch_comes_home_and_counts_in_its_own_session),
        cmocka_unit_test(what_is_settled_is_known_without_waiting),
        cmocka_unit_test(a_stop_leaves_what_is_not_settled_as_it_is),
        cmocka_unit_test(a_stop_leaves_a_batch_that_is_settled_in_part),
        cmocka_unit_test(a_stop_leaves_what_a_hanging_thread_has),
        cmocka_unit_test(what_is_left_is_not_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
