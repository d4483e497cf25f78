// SPDX-License-Identifier: Apache-2.0
//
// The sender with exporters made for this test: every outcome, and every way to stop.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "common/time.h"
#include "drain/sender.h"

#define MS 1000000ull

// SLACK_MS: the delay that a loaded machine is allowed. A busy one may hold up any thread for longer at any
// moment, so what has to end in time is tried some times, and must once be in time. What has to succeed has
// PATIENCE_MS.
enum { POOL = 8, PLAN = 64, LINES = 32, SLACK_MS = 400, TRIES = 5, PATIENCE_MS = 60000 };

typedef struct answer {
    nsp_send_result result;
    nsp_send_report report;
} answer;

// A receiver with a plan: attempt n gets answer n, and later attempts get the last answer.
typedef struct receiver {
    answer plan[PLAN];
    uint32_t planned;
    uint32_t attempts;      // atomic
    uint64_t at[PLAN];      // when attempt n came
    uint32_t attempt[PLAN]; // nsp_batch.attempt of it
    uint64_t stall_ns;      // before each answer; ends early when cancelled, unless `deaf`
    bool deaf;
    bool released; // atomic; ends a stall
    uint32_t ends; // atomic: attempts that have returned
    const int *cancel;
} receiver;

typedef struct fixture {
    nsp__batch_pool pool;
    nsp__batch_header headers[POOL];
    nsp__counters counters;
    int cancel;
    bool left_behind;
    receiver receiver;
    nsp__sender *sender;
    nsp__sender_options options;
    uint64_t sequence;
} fixture;

static void sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000 * MS)}, NULL);
}

static char lines[LINES][256];
static uint32_t line_count;

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    uint32_t n = __atomic_load_n(&line_count, __ATOMIC_RELAXED);
    if (n == LINES)
        return;
    strncpy(lines[n], line, sizeof lines[n] - 1);
    __atomic_store_n(&line_count, n + 1, __ATOMIC_RELEASE);
}

static int lines_with(const char *text)
{
    int found = 0;
    for (uint32_t i = 0; i < __atomic_load_n(&line_count, __ATOMIC_ACQUIRE); ++i)
        found += strstr(lines[i], text) != NULL;
    return found;
}

static nsp_send_result stall_and_answer(receiver *me, const nsp_batch *batch, uint64_t deadline_ns,
                                        nsp_send_report *report)
{
    uint32_t n = __atomic_load_n(&me->attempts, __ATOMIC_RELAXED);
    if (n < PLAN) {
        me->at[n] = nsp__monotonic_ns();
        me->attempt[n] = batch->attempt;
    }
    __atomic_store_n(&me->attempts, n + 1, __ATOMIC_RELEASE);
    uint64_t until = nsp__monotonic_ns() + me->stall_ns;
    while (nsp__monotonic_ns() < until && !__atomic_load_n(&me->released, __ATOMIC_ACQUIRE)) {
        if (!me->deaf &&
            (__atomic_load_n(me->cancel, __ATOMIC_ACQUIRE) || nsp__monotonic_ns() >= deadline_ns))
            return NSP_SEND_UNKNOWN;
        sleep_ms(5);
    }
    const answer *given = &me->plan[n < me->planned ? n : me->planned - 1];
    *report = given->report;
    return given->result;
}

static nsp_send_result receive(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    receiver *me = state;
    nsp_send_result result = stall_and_answer(me, batch, deadline_ns, report);
    __atomic_fetch_add(&me->ends, 1, __ATOMIC_RELEASE);
    return result;
}

static const nsp_exporter receiver_exporter = {
    .size = sizeof(nsp_exporter), .name = "receiver", .send = receive};

static uint32_t attempts(fixture *f)
{
    return __atomic_load_n(&f->receiver.attempts, __ATOMIC_ACQUIRE);
}

static fixture *make(void)
{
    fixture *f = calloc(1, sizeof *f);
    assert_true(nsp__batch_pool_init(&f->pool, POOL, &f->counters));
    for (uint32_t i = 0; i < POOL; ++i)
        f->pool.batches[i].header = &f->headers[i];
    f->receiver.cancel = &f->cancel;
    f->options = (nsp__sender_options){
        .exporter = &receiver_exporter,
        .exporter_state = &f->receiver,
        .closed_max = POOL,
        .cancel = &f->cancel,
        .export_timeout_ns = PATIENCE_MS * MS,
        .backoff_min_ns = 1 * MS,
        .backoff_max_ns = 4 * MS,
        .left_behind = &f->left_behind,
    };
    __atomic_store_n(&line_count, 0, __ATOMIC_RELAXED);
    nsp__log_configure(NSP_LOG_INFO, keep_line, NULL);
    return f;
}

// A cmocka setup. The fixture is the test's state.
static int prepare(void **state)
{
    *state = make();
    return 0;
}

static void destroy(fixture *f)
{
    nsp__batch_pool_destroy(&f->pool);
    free(f);
}

static int release(void **state)
{
    destroy(*state);
    return 0;
}

static void plan(fixture *f, nsp_send_result result, const char *detail)
{
    answer *next = &f->receiver.plan[f->receiver.planned++];
    next->result = result;
    next->report.bytes = 10;
    next->report.answered = result == NSP_SEND_EXPORTED || result == NSP_SEND_REJECTED;
    strncpy(next->report.detail, detail, sizeof next->report.detail - 1);
}

static void start(fixture *f)
{
    assert_int_equal(nsp__sender_start(&f->sender, &f->options), NSP_OK);
}

// Does the collector's part. Returns the sequence.
static uint64_t put_batch(fixture *f, uint32_t spans)
{
    nsp__batch *batch = nsp__batch_pool_take(&f->pool);
    assert_non_null(batch);
    assert_int_equal(batch->header->state, NSP__BATCH_EMPTY);
    batch->header->state = NSP__BATCH_CLOSED;
    batch->header->spans = batch->exported.spans = spans;
    batch->exported.length = spans * 100;
    f->sequence = nsp__sender_put_closed(f->sender, batch);
    return f->sequence;
}

static bool wait_ms(fixture *f, uint64_t sequence, unsigned ms)
{
    return nsp__sender_wait(f->sender, &f->pool, sequence, nsp__monotonic_ns() + ms * MS);
}

static bool stop_ms(fixture *f, unsigned ms)
{
    return nsp__sender_stop(f->sender, nsp__monotonic_ns() + ms * MS).all_sent;
}

// The same, which must not send everything. Returns whether it took no longer than allowed.
static bool stops_in_time(fixture *f, unsigned ms)
{
    uint64_t begin = nsp__monotonic_ns();
    assert_false(stop_ms(f, ms));
    return nsp__monotonic_ns() - begin <= (ms + 200 + SLACK_MS) * MS;
}

// Runs the attempt, each time with a fixture of its own, until it was in time. A thread that a busy machine
// does not let come back in time is left behind, and keeps the fixture.
static void expect_once_in_time(bool (*attempt)(fixture *))
{
    bool in_time = false;
    for (int i = 0; i < TRIES && !in_time; ++i) {
        fixture *f = make();
        in_time = attempt(f);
        if (!f->left_behind)
            destroy(f);
    }
    assert_true(in_time);
}

static void assert_accounting(const fixture *f, uint64_t exported, uint64_t rejected, uint64_t unconfirmed,
                              uint64_t discarded)
{
    assert_int_equal(f->counters.exported, exported);
    assert_int_equal(f->counters.rejected, rejected);
    assert_int_equal(f->counters.unconfirmed, unconfirmed);
    assert_int_equal(f->counters.discarded, discarded);
}

static void counts_what_was_answered(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_EXPORTED, "");
    plan(f, NSP_SEND_EXPORTED, "no room");
    f->receiver.plan[1].report.rejected = 3;
    plan(f, NSP_SEND_REJECTED, "400 Bad Request");
    plan(f, NSP_SEND_EXPORTED, "");
    f->receiver.plan[3].report.rejected = 1000; // more than were sent
    start(f);
    put_batch(f, 7);
    put_batch(f, 11);
    put_batch(f, 1);
    assert_true(wait_ms(f, put_batch(f, 5), PATIENCE_MS));
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_accounting(f, 7 + 8, 3 + 1 + 5, 0, 0);
    assert_int_equal(f->counters.batches_sent, 4);
    assert_int_equal(f->counters.batches_failed, 1);
    assert_int_equal(f->counters.bytes_sent, 40);
    for (int i = 0; i < POOL; ++i) {
        assert_int_equal(f->headers[i].state, NSP__BATCH_EMPTY);
        assert_int_equal(f->headers[i].spans, 0);
        assert_int_equal(f->pool.batches[i].exported.length, 0);
    }
    assert_int_equal(lines_with("no room; 3 spans rejected"), 1);
    assert_int_equal(lines_with("400 Bad Request; 1 span rejected"), 1);
}

// An answer that does not show whether the spans were accepted settles the batch. Only the first of several
// in a row is logged.
static void an_answer_that_confirms_nothing_is_not_asked_for_again(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; ++i)
        plan(f, NSP_SEND_UNCONFIRMED, "a web page");
    plan(f, NSP_SEND_EXPORTED, "");
    plan(f, NSP_SEND_UNCONFIRMED, "a web page");
    start(f);
    for (uint32_t i = 0; i < 5; ++i)
        put_batch(f, 10 + i);
    assert_true(wait_ms(f, f->sequence, PATIENCE_MS));
    assert_int_equal(attempts(f), 5);
    assert_accounting(f, 13, 0, 10 + 11 + 12 + 14, 0);
    assert_true(stop_ms(f, PATIENCE_MS)); // the last line may be logged after the accounting
    assert_int_equal(lines_with("a web page; 10 spans unconfirmed"), 1);
    assert_int_equal(lines_with("a web page"), 2);
}

// An exporter that sends in parts reports each part that is settled. It is counted at once, and only once.
static void settled_parts_are_counted_at_once(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_RETRY, "busy");
    f->receiver.plan[0].report.part_exported = 20;
    f->receiver.plan[0].report.part_rejected = 5;
    plan(f, NSP_SEND_EXPORTED, "");
    f->receiver.plan[1].report.part_unconfirmed = 15;
    f->receiver.plan[1].report.rejected = 1;
    plan(f, NSP_SEND_RETRY, "busy");
    f->receiver.plan[2].report.part_exported = 1000; // more than there are
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    assert_true(wait_ms(f, put_batch(f, 100), PATIENCE_MS));
    assert_accounting(f, 20 + 59, 5 + 1, 15, 0);
    assert_true(wait_ms(f, put_batch(f, 10), PATIENCE_MS));
    assert_accounting(f, 20 + 59 + 10, 5 + 1, 15, 0);
    assert_true(stop_ms(f, PATIENCE_MS));
}

static void lends_each_batch_once(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    nsp__batch *taken[POOL];
    for (int i = 0; i < POOL; ++i) {
        taken[i] = nsp__batch_pool_take(&f->pool);
        assert_non_null(taken[i]);
        for (int j = 0; j < i; ++j)
            assert_ptr_not_equal(taken[i], taken[j]);
    }
    assert_null(nsp__batch_pool_take(&f->pool));
    for (int i = 0; i < POOL; ++i)
        nsp__batch_pool_put_unused(&f->pool, taken[i]);
    for (int i = 0; i < POOL; ++i)
        assert_non_null(nsp__batch_pool_take(&f->pool));
    assert_null(nsp__batch_pool_take(&f->pool));
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_int_equal(attempts(f), 0);
}

static void retries_until_accepted_and_logs_it_twice(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 3; ++i)
        plan(f, NSP_SEND_RETRY, "cannot reach it: Connection refused");
    plan(f, NSP_SEND_UNKNOWN, "");
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    assert_true(wait_ms(f, put_batch(f, 9), PATIENCE_MS));
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_accounting(f, 9, 0, 0, 0);
    assert_int_equal(attempts(f), 5);
    for (uint32_t i = 0; i < 5; ++i)
        assert_int_equal(f->receiver.attempt[i], i);
    assert_int_equal(f->counters.batches_sent, 1);
    assert_int_equal(f->counters.batches_failed, 4);
    assert_int_equal(lines_with("Connection refused; 9 spans waiting; retrying"), 1);
    assert_int_equal(lines_with("sending works again"), 1);
    assert_int_equal(line_count, 2);
}

// Runs a plan of RETRY answers with no flush waiting. pauses[i] is the time between attempts i and i + 1.
static void observe_pauses(fixture *f, uint64_t min_ns, uint64_t max_ns, uint32_t count, uint64_t *pauses)
{
    f->options.backoff_min_ns = min_ns;
    f->options.backoff_max_ns = max_ns;
    for (uint32_t i = 0; i < count; ++i)
        plan(f, NSP_SEND_RETRY, "");
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    put_batch(f, 1);
    for (int i = 0; i < 6000 && attempts(f) < count + 1; ++i)
        sleep_ms(10);
    assert_int_equal(attempts(f), count + 1);
    for (uint32_t i = 0; i < count; ++i)
        pauses[i] = f->receiver.at[i + 1] - f->receiver.at[i];
    assert_true(stop_ms(f, PATIENCE_MS));
}

// The pause doubles up to the maximum; twelve doublings without one would take 20 s.
static bool back_off(fixture *f)
{
    uint64_t pauses[12], begin = nsp__monotonic_ns();
    observe_pauses(f, 10 * MS, 40 * MS, 12, pauses);
    bool in_time = nsp__monotonic_ns() - begin <= 8000 * MS;
    assert_true(pauses[0] >= 5 * MS);
    assert_true(pauses[1] >= 10 * MS);
    for (int i = 2; i < 12; ++i)
        assert_true(pauses[i] >= 20 * MS);
    return in_time;
}

static void backs_off_exponentially(void **state)
{
    (void)state;
    expect_once_in_time(back_off);
}

// The chance that ten draws from 40 ms lie within 6 ms of each other is below one in a million.
static void backs_off_with_jitter(void **state)
{
    uint64_t pauses[10], least = UINT64_MAX, most = 0;
    observe_pauses(*state, 40 * MS, 40 * MS, 10, pauses);
    for (int i = 0; i < 10; ++i) {
        least = pauses[i] < least ? pauses[i] : least;
        most = pauses[i] > most ? pauses[i] : most;
    }
    assert_true(most - least > 6 * MS);
}

static void a_wait_ends_the_backoff(void **state)
{
    fixture *f = *state;
    f->options.backoff_min_ns = f->options.backoff_max_ns = 10 * PATIENCE_MS * MS;
    plan(f, NSP_SEND_RETRY, "");
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    put_batch(f, 4);
    while (attempts(f) < 1)
        sleep_ms(1);
    sleep_ms(50);
    assert_int_equal(attempts(f), 1);
    assert_true(wait_ms(f, f->sequence, PATIENCE_MS));
    assert_int_equal(attempts(f), 2);
    assert_true(wait_ms(f, f->sequence, 0));
    assert_true(stop_ms(f, PATIENCE_MS));
}

static void waiting_in_slices_does_not_pester_the_receiver(void **state)
{
    fixture *f = *state;
    f->options.backoff_min_ns = 100 * MS;
    f->options.backoff_max_ns = 10 * PATIENCE_MS * MS;
    plan(f, NSP_SEND_RETRY, "");
    start(f);
    put_batch(f, 4);
    // As many as there are pauses of the least length, and one at the beginning and at the end.
    uint64_t begin = nsp__monotonic_ns(), passed = 0;
    uint32_t before = 0;
    while (passed < 500 * MS || (attempts(f) < 2 && passed < PATIENCE_MS * MS)) {
        assert_false(wait_ms(f, f->sequence, 5));
        before = attempts(f);
        passed = nsp__monotonic_ns() - begin;
    }
    assert_in_range(before, 2, passed / (50 * MS) + 2);
    assert_false(stop_ms(f, 0));
}

static void a_wait_ends_at_its_deadline(void **state)
{
    fixture *f = *state;
    uint64_t promptest = UINT64_MAX;
    plan(f, NSP_SEND_RETRY, "");
    start(f);
    put_batch(f, 4);
    for (int i = 0; i < TRIES && promptest > (100 + SLACK_MS) * MS; ++i) {
        uint64_t begin = nsp__monotonic_ns();
        assert_false(wait_ms(f, f->sequence, 100));
        promptest = nsp__earlier(promptest, nsp__monotonic_ns() - begin);
    }
    assert_in_range(promptest, 100 * MS, (100 + SLACK_MS) * MS);
    assert_false(stop_ms(f, 0));
    assert_int_equal(f->counters.discarded + f->counters.unconfirmed, 4);
}

static void honours_retry_after(void **state)
{
    fixture *f = *state;
    uint64_t promptest = UINT64_MAX;
    for (int i = 0; i < TRIES; ++i) {
        plan(f, NSP_SEND_RETRY, "503");
        f->receiver.plan[2 * i].report.retry_after_ns = 300 * MS;
        plan(f, NSP_SEND_EXPORTED, "");
    }
    start(f);
    for (int i = 0; i < TRIES; ++i) {
        assert_true(wait_ms(f, put_batch(f, 4), PATIENCE_MS)); // a waiting flush does not shorten the pause
        uint64_t pause = f->receiver.at[2 * i + 1] - f->receiver.at[2 * i];
        assert_true(pause >= 300 * MS);
        promptest = nsp__earlier(promptest, pause);
    }
    assert_true(promptest <= (300 + SLACK_MS) * MS);
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_accounting(f, 4 * TRIES, 0, 0, 0);
}

static bool stop_before_a_retry_after(fixture *f)
{
    plan(f, NSP_SEND_RETRY, "503");
    f->receiver.plan[0].report.retry_after_ns = 30000 * MS;
    start(f);
    put_batch(f, 4);
    put_batch(f, 5);
    while (attempts(f) < 1)
        sleep_ms(1);
    uint64_t begin = nsp__monotonic_ns();
    nsp__sender_end end = nsp__sender_stop(f->sender, begin + 5000 * MS);
    bool in_time = nsp__monotonic_ns() - begin <= SLACK_MS * MS;
    assert_false(end.all_sent);
    assert_int_equal(end.given_up, 9);
    assert_int_equal(attempts(f), 1); // and the second batch is not tried either
    if (!f->left_behind)
        assert_accounting(f, 0, 0, 0, 9);
    return in_time;
}

static void stop_does_not_wait_for_a_retry_after_beyond_its_deadline(void **state)
{
    (void)state;
    expect_once_in_time(stop_before_a_retry_after);
}

static void stop_sends_what_is_queued(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_RETRY, "");
    plan(f, NSP_SEND_EXPORTED, "");
    f->options.backoff_min_ns = f->options.backoff_max_ns = 10 * PATIENCE_MS * MS;
    start(f);
    for (uint32_t i = 0; i < POOL; ++i)
        put_batch(f, 10);
    // The next attempt comes halfway to the deadline.
    assert_true(stop_ms(f, 14000));
    assert_accounting(f, 10 * POOL, 0, 0, 0);
}

static bool stop_with_a_dead_backend(fixture *f)
{
    plan(f, NSP_SEND_RETRY, "");
    start(f);
    for (uint32_t i = 0; i < 3; ++i)
        put_batch(f, 10);
    bool in_time = stops_in_time(f, 300);
    if (!f->left_behind)
        assert_accounting(f, 0, 0, 0, 30);
    return in_time && !f->left_behind;
}

static void stop_gives_up_on_a_dead_backend(void **state)
{
    (void)state;
    expect_once_in_time(stop_with_a_dead_backend);
}

static void what_may_have_been_taken_is_unconfirmed(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_UNKNOWN, "");
    plan(f, NSP_SEND_RETRY, ""); // a later refusal does not make it certain
    start(f);
    put_batch(f, 10);
    while (attempts(f) < 3)
        sleep_ms(1);
    put_batch(f, 20);
    assert_false(stop_ms(f, 0));
    assert_accounting(f, 0, 0, 10, 20);
}

// Until one send has begun that does not end by itself.
static void begin_to_stall(fixture *f)
{
    plan(f, NSP_SEND_EXPORTED, "");
    f->receiver.stall_ns = 10 * PATIENCE_MS * MS;
    start(f);
    put_batch(f, 10);
    while (attempts(f) < 1)
        sleep_ms(1);
}

static bool stop_in_a_stall(fixture *f)
{
    begin_to_stall(f);
    put_batch(f, 20);
    bool in_time = stops_in_time(f, 100);
    assert_accounting(f, 0, 0, 10, 20);
    return in_time && !f->left_behind;
}

static void stop_cancels_a_stalled_send(void **state)
{
    (void)state;
    expect_once_in_time(stop_in_a_stall);
}

static bool stop_with_a_deadline_long_past(fixture *f)
{
    begin_to_stall(f);
    assert_false(nsp__sender_stop(f->sender, 0).all_sent);
    assert_accounting(f, 0, 0, 10, 0);
    return !f->left_behind;
}

static void stop_with_a_deadline_long_past_joins_all_the_same(void **state)
{
    (void)state;
    expect_once_in_time(stop_with_a_deadline_long_past);
}

static bool stop_in_a_deaf_send(fixture *f)
{
    f->receiver.deaf = true;
    begin_to_stall(f);
    put_batch(f, 20);
    bool in_time = stops_in_time(f, 100);
    assert_true(f->left_behind);
    assert_accounting(f, 0, 0, 10, 20);
    nsp__counters before = f->counters;
    __atomic_store_n(&f->receiver.released, true, __ATOMIC_RELEASE);
    while (__atomic_load_n(&f->receiver.ends, __ATOMIC_ACQUIRE) == 0)
        sleep_ms(1);
    sleep_ms(300); // the thread finds that it was left behind, and touches nothing
    assert_memory_equal(&before, &f->counters, sizeof before);
    assert_int_equal(attempts(f), 1);
    return in_time;
}

static void stop_leaves_a_deaf_send_behind(void **state)
{
    (void)state;
    expect_once_in_time(stop_in_a_deaf_send);
}

static uint32_t log_hangs, log_ends, log_released; // atomic

static void hang_in_log(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
    __atomic_store_n(&log_hangs, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&log_released, __ATOMIC_ACQUIRE))
        sleep_ms(5);
    __atomic_store_n(&log_ends, 1, __ATOMIC_RELEASE);
}

static bool stop_in_a_log_callback(fixture *f)
{
    log_hangs = log_ends = log_released = 0;
    nsp__log_configure(NSP_LOG_INFO, hang_in_log, NULL);
    plan(f, NSP_SEND_REJECTED, "400");
    start(f);
    put_batch(f, 10);
    put_batch(f, 20);
    while (!__atomic_load_n(&log_hangs, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    bool in_time = stops_in_time(f, 50);
    assert_true(f->left_behind);
    assert_accounting(f, 0, 10, 0, 20);
    __atomic_store_n(&log_released, 1, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&log_ends, __ATOMIC_ACQUIRE))
        sleep_ms(1);
    sleep_ms(300);
    assert_accounting(f, 0, 10, 0, 20);
    return in_time;
}

static void stop_leaves_a_hanging_log_callback_behind(void **state)
{
    (void)state;
    expect_once_in_time(stop_in_a_log_callback);
}

static void *wait_in_thread(void *argument)
{
    fixture *f = argument;
    return wait_ms(f, f->sequence, PATIENCE_MS) ? f : NULL;
}

static void stop_releases_those_who_wait(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_RETRY, "");
    start(f);
    put_batch(f, 10);
    pthread_t waiters[3];
    for (int i = 0; i < 3; ++i)
        pthread_create(&waiters[i], NULL, wait_in_thread, f);
    sleep_ms(50);
    assert_false(stop_ms(f, 50));
    for (int i = 0; i < 3; ++i)
        pthread_join(waiters[i], NULL);
}

static void a_forked_child_forgets_the_sender(void **state)
{
    fixture *f = *state;
    plan(f, NSP_SEND_EXPORTED, "");
    start(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        nsp__sender_abandon(f->sender);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(wait_ms(f, put_batch(f, 3), PATIENCE_MS));
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_accounting(f, 3, 0, 0, 0);
}

// Outcomes drawn from a fixed seed; the receiver keeps its own counters.
typedef struct gambler {
    uint64_t random;
    uint64_t exported, rejected, batches_sent, batches_failed, bytes;
} gambler;

static uint64_t draw(uint64_t *state)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return *state >> 33;
}

static nsp_send_result gamble(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                              nsp_send_report *report)
{
    (void)deadline_ns;
    gambler *me = state;
    uint64_t sum = 0;
    for (size_t i = 0; i < batch->length; ++i)
        sum += batch->data[i];
    if (sum != batch->length * (batch->spans & 0xff))
        abort(); // not the bytes that were written for this batch
    report->bytes = batch->length;
    report->answered = draw(&me->random) % 2;
    me->bytes += batch->length;
    me->batches_sent += report->answered;
    nsp_send_result result = (nsp_send_result)(draw(&me->random) % 4);
    me->batches_failed += result != NSP_SEND_EXPORTED;
    if (result == NSP_SEND_EXPORTED) {
        report->rejected = draw(&me->random) % 4 ? 0 : draw(&me->random) % (batch->spans + 1);
        me->exported += batch->spans - report->rejected;
        me->rejected += report->rejected;
    } else if (result == NSP_SEND_REJECTED) {
        me->rejected += batch->spans;
    } else if (draw(&me->random) % 8 == 0) {
        report->retry_after_ns = 1000;
    }
    return result;
}

static const nsp_exporter gambling_exporter = {
    .size = sizeof(nsp_exporter), .name = "gambler", .send = gamble};

static void fifty_thousand_batches_are_all_counted(void **state)
{
    enum { BATCHES = 50000, BYTES = 64 };
    fixture *f = *state;
    nsp__log_configure(NSP_LOG_NONE, NULL, NULL);
    gambler other = {.random = 20240817};
    uint8_t data[POOL][BYTES];
    f->options.exporter = &gambling_exporter;
    f->options.exporter_state = &other;
    f->options.backoff_min_ns = 1;
    f->options.backoff_max_ns = 1000;
    start(f);
    uint64_t random = 7, put = 0, give_up = nsp__monotonic_ns() + 100000 * MS;
    for (int i = 0; i < BATCHES;) {
        nsp__batch *batch = nsp__batch_pool_take(&f->pool);
        if (!batch) {
            assert_true(nsp__monotonic_ns() < give_up);
            sched_yield();
            continue;
        }
        if (draw(&random) % 16 == 0) {
            nsp__batch_pool_put_unused(&f->pool, batch);
            continue;
        }
        uint32_t spans = (uint32_t)(draw(&random) % 8192);
        put += spans;
        batch->exported.data = data[batch->index];
        batch->exported.spans = batch->header->spans = spans;
        batch->exported.length = draw(&random) % BYTES;
        memset(batch->exported.data, (int)(spans & 0xff), BYTES);
        batch->header->state = NSP__BATCH_CLOSED;
        f->sequence = nsp__sender_put_closed(f->sender, batch);
        ++i;
    }
    assert_true(wait_ms(f, f->sequence, PATIENCE_MS));
    assert_true(stop_ms(f, PATIENCE_MS));
    assert_accounting(f, other.exported, other.rejected, 0, 0);
    assert_int_equal(other.exported + other.rejected, put);
    assert_int_equal(f->counters.batches_sent, other.batches_sent);
    assert_int_equal(f->counters.batches_failed, other.batches_failed);
    assert_int_equal(f->counters.bytes_sent, other.bytes);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, release)
    const struct CMUnitTest tests[] = {
        TEST(counts_what_was_answered),
        TEST(an_answer_that_confirms_nothing_is_not_asked_for_again),
        TEST(settled_parts_are_counted_at_once),
        TEST(lends_each_batch_once),
        TEST(retries_until_accepted_and_logs_it_twice),
        TEST(backs_off_exponentially),
        TEST(backs_off_with_jitter),
        TEST(a_wait_ends_the_backoff),
        TEST(waiting_in_slices_does_not_pester_the_receiver),
        TEST(a_wait_ends_at_its_deadline),
        TEST(honours_retry_after),
        TEST(stop_does_not_wait_for_a_retry_after_beyond_its_deadline),
        TEST(stop_sends_what_is_queued),
        TEST(stop_gives_up_on_a_dead_backend),
        TEST(what_may_have_been_taken_is_unconfirmed),
        TEST(stop_cancels_a_stalled_send),
        TEST(stop_with_a_deadline_long_past_joins_all_the_same),
        TEST(stop_leaves_a_deaf_send_behind),
        TEST(stop_leaves_a_hanging_log_callback_behind),
        TEST(stop_releases_those_who_wait),
        TEST(a_forked_child_forgets_the_sender),
        TEST(fifty_thousand_batches_are_all_counted),
    };
    return cmocka_run_group_tests_name("sender", tests, NULL, NULL);
}
