// SPDX-License-Identifier: Apache-2.0
//
// Init, flush and shutdown: in every order, repeatedly, from several threads, and with every mistake that a
// configuration can contain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/time.h"
#include "support/receiver.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

static void start(const nsp_config *config)
{
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
}

static void begin_scripted(void)
{
    nsp_config config;
    script_config(&config);
    start(&config);
}

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static int setup(void **state)
{
    (void)state;
    script_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    nsp_shutdown(SECOND);
    script_reset();
    unsetenv("ENABLE_TRACING");
    return 0;
}

// ---- order of calls ----

// Runs first, while nothing has been initialised in this process.
static void before_init(void **state)
{
    (void)state;
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_flush(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_shutdown(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_thread_attach(NULL), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_do_work(1), 0);
    assert_null(nsp_span_begin(NSP_NAME("span")));
    assert_null(nsp_span_begin_detached(NSP_NAME("span"), NULL));
}

static void init_twice(void **state)
{
    (void)state;
    begin_scripted();
    assert_int_equal(nsp_init(NULL), NSP_ERR_ALREADY);
    assert_string_not_equal(nsp_error_detail(), "");
    record(3); // the first session goes on
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 3);
    assert_int_equal(nsp_shutdown(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_flush(0), NSP_ERR_NOT_INITIALISED);
}

static void final_counters_after_shutdown(void **state)
{
    (void)state;
    begin_scripted();
    record(5);
    nsp_span *open = nsp_span_begin(NSP_NAME("never ended"));
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("never ended either"), NULL);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    for (int again = 0; again < 2; again++) {
        nsp_stats stats = script_balance();
        assert_int_equal(stats.attempted, 7);
        assert_int_equal(stats.exported, 5);
        assert_int_equal(stats.open, 2);
        // These handles are inert now, and using them does no harm.
        nsp_span_set_i64(open, NSP_KEY("key"), 1);
        nsp_span_end(detached);
        nsp_span_end(open);
        record(1);
    }
    begin_scripted();
    nsp_span_end(open); // both are of the previous session
    nsp_span_end(detached);
    assert_int_equal(script_balance().attempted, 0);
    record(1);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, 1);
    assert_int_equal(stats.exported, 1);
}

// The collector's thread may be in the middle of a pass, and waiting for a processor.
static nsp_status flush_soon(void)
{
    nsp_status status = nsp_flush(0);
    for (int i = 0; i < 1000 && status != NSP_OK; i++) {
        test_sleep_ms(10);
        status = nsp_flush(0);
    }
    return status;
}

static void nothing_to_send_is_no_failure(void **state)
{
    (void)state;
    begin_scripted();
    assert_int_equal(flush_soon(), NSP_OK);
    record(10);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(flush_soon(), NSP_OK);
    assert_int_equal(nsp_shutdown(0), NSP_OK);
}

static void counters_with_an_old_struct(void **state)
{
    (void)state;
    begin_scripted();
    record(2);
    struct {
        nsp_stats stats;
        uint64_t more;
    } newer = {.stats = NSP_STATS_INIT, .more = 7};
    newer.stats.size = sizeof newer;
    assert_int_equal(nsp_stats_get(&newer.stats), NSP_OK);
    assert_int_equal(newer.stats.attempted, 2);
    assert_int_equal(newer.more, 0);
    nsp_stats older = NSP_STATS_INIT;
    older.size = offsetof(nsp_stats, open);
    older.open = 77;
    assert_int_equal(nsp_stats_get(&older), NSP_OK);
    assert_int_equal(older.attempted, 2);
    assert_int_equal(older.open, 77);
    assert_int_equal(nsp_stats_get(NULL), NSP_ERR_INVALID);
    older.size = 0;
    assert_int_equal(nsp_stats_get(&older), NSP_ERR_INVALID);
}

// ---- rounds, with threads that never stop ----

static bool over; // atomic

static void *trace_for_ever(void *argument)
{
    uint64_t round = (uintptr_t)argument;
    nsp_span *detached = NULL;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        NSP_SPAN(root, "root");
        nsp_span_set_i64(root, NSP_KEY("round"), (int64_t)round);
        nsp_span *child = nsp_span_begin(NSP_NAME("child"));
        nsp_span_set_str(child, NSP_KEY("text"), "some text that is not short");
        nsp_span_add_event(child, NSP_NAME("event"));
        child = nsp_span_next(child, NSP_NAME("sibling"));
        nsp_span_set_status(child, NSP_SPAN_STATUS_ERROR, "message");
        nsp_context context;
        nsp_span_context(child, &context);
        nsp_span_add_link(root, &context);
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &context;
        nsp_span *apart = nsp_span_begin_with(NSP_NAME("apart"), &options);
        nsp_span_end(apart);
        nsp_span_end(child);
        if (round % 8 == 0) {
            nsp_span_end(detached);
            detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        } else if (round % 8 == 4) {
            detached = nsp_span_next(detached, NSP_NAME("detached sibling"));
        }
        nsp_span_enter(detached);
        nsp_span_end(nsp_span_begin(NSP_NAME("inside")));
        nsp_span_leave(detached);
        if (round % 64 == 0)
            nsp_thread_reset();
        if (round % 1024 == 0)
            nsp_thread_attach(NULL);
        round++;
    }
    nsp_span_end(detached);
    return NULL;
}

static void *ask_for_ever(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        nsp_stats stats = NSP_STATS_INIT;
        if (nsp_stats_get(&stats) == NSP_OK && stats.attempted < stats_sum(&stats)) {
            accounting_print(&stats);
            abort();
        }
        nsp_sampler_set_rate(0.9);
        nsp_sampler_set_rule("a*", 0.5);
        nsp_flush(MILLISECOND);
        nsp_do_work(10);
        (void)nsp_sampler_rate();
        test_sleep_ms(1);
    }
    return NULL;
}

// Threads end and begin while sessions do.
static void *short_life(void *argument)
{
    (void)argument;
    record(20);
    nsp_span_begin(NSP_NAME("leaked"));
    return NULL;
}

static void *short_lives(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, short_life, NULL) != 0)
            abort();
        pthread_join(thread, NULL);
    }
    return NULL;
}

static uint64_t counted; // atomic

// Does as little as possible, so that handling so many spans does not delay the sender beyond its deadline.
static scripted_verdict count_only(void *context, const nsp_batch *batch)
{
    (void)context;
    __atomic_fetch_add(&counted, batch->spans, __ATOMIC_RELAXED);
    return (scripted_verdict){NSP_SEND_EXPORTED, false, 0};
}

static void a_hundred_rounds_under_fire(void **state)
{
    (void)state;
    script.answer = count_only;
    enum { TRACERS = 4, ROUNDS = 100 };
    pthread_t tracers[TRACERS], asker, mayflies;
    __atomic_store_n(&over, false, __ATOMIC_RELEASE);
    for (uintptr_t i = 0; i < TRACERS; i++)
        assert_int_equal(pthread_create(&tracers[i], NULL, trace_for_ever, (void *)(i + 1)), 0);
    assert_int_equal(pthread_create(&asker, NULL, ask_for_ever, NULL), 0);
    assert_int_equal(pthread_create(&mayflies, NULL, short_lives, NULL), 0);
    uint64_t exported = 0, attempted = 0, unconfirmed = 0, in_doubt = 0;
    for (int round = 0; round < ROUNDS; round++) {
        nsp_config config;
        script_config(&config);
        config.ring_bytes = 64 * 1024;
        config.detached_spans = 64;
        config.collector = round % 4 == 3 ? NSP_COLLECTOR_INVOKER : NSP_COLLECTOR_THREAD;
        config.shm_dir = round % 5 == 4 ? "none" : NULL;
        config.batches = 2;
        config.batch_bytes = 64 * 1024;
        start(&config);
        test_sleep_ms(round % 10 == 0 ? 20 : 2);
        // OK or TIMEOUT: because threads go on recording, something is always left. It goes on where the
        // asking thread has not come back from a call in time.
        nsp_shutdown(round % 3 == 0 ? 0 : SECOND);
        while (nsp_shutdown(SECOND) != NSP_ERR_NOT_INITIALISED)
            ;
        nsp_stats stats = script_balance();
        in_doubt += stats.unconfirmed != 0;
        exported += stats.exported;
        attempted += stats.attempted;
        unconfirmed += stats.unconfirmed;
        assert_true(stats.in_rings == 0 && stats.in_batches == 0);
    }
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (int i = 0; i < TRACERS; i++)
        pthread_join(tracers[i], NULL);
    pthread_join(asker, NULL);
    pthread_join(mayflies, NULL);
    uint64_t came = __atomic_load_n(&counted, __ATOMIC_RELAXED);
    print_message("attempted %llu, exported %llu, unconfirmed %llu, came %llu\n",
                  (unsigned long long)attempted, (unsigned long long)exported,
                  (unsigned long long)unconfirmed, (unsigned long long)came);
    assert_true(exported > 0);
    assert_true(exported <= came && came <= exported + unconfirmed);
    assert_int_equal(script.creates, ROUNDS);
    // A sender's thread that did not come back from a send in time keeps its exporter.
    assert_in_range(script.destroys, ROUNDS - in_doubt, ROUNDS);
}

// ---- configuration ----

static void expect_inert(void)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    assert_false(nsp_span_recording(span));
    nsp_span_set_i64(span, NSP_KEY("key"), 1);
    nsp_span_end(span);
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("span"), NULL);
    assert_false(nsp_span_recording(detached));
    nsp_span_enter(detached);
    nsp_span_leave(detached);
    nsp_span_end(detached);
    assert_int_equal(nsp_thread_attach(NULL), NSP_ERR_DISABLED);
    assert_int_equal(nsp_flush(SECOND), NSP_OK);
    assert_int_equal(nsp_do_work(100), 0);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.attempted, 0);
    assert_int_equal(nsp_init(NULL), NSP_ERR_ALREADY);
    assert_int_equal(nsp_shutdown(SECOND), NSP_OK);
    assert_int_equal(nsp_shutdown(SECOND), NSP_ERR_NOT_INITIALISED);
}

static void disabled_in_code(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.enabled = false;
    start(&config);
    expect_inert();
    assert_int_equal(script_lines_with("turned off"), 1);
    assert_int_equal(script_lines_with(""), 1);
    assert_int_equal(script.creates, 0);
}

static void disabled_by_the_environment(void **state)
{
    (void)state;
    setenv("ENABLE_TRACING", "false", 1);
    nsp_config config;
    script_config(&config);
    start(&config);
    expect_inert();
    assert_int_equal(script_lines_with("turned off"), 1);
    unsetenv("ENABLE_TRACING");
    begin_scripted(); // and tracing is on again
    record(1);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 1);
}

static void no_endpoint(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    start(&config);
    record(100);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.attempted, 100);
    assert_int_equal(stats.discarded, 100);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().discarded, 100);
    assert_int_equal(script_lines_with("endpoint"), 1);
    assert_int_equal(script_lines_with("discarded"), 1);
}

// Bad headers are left out with a log line and stop nothing. The only failure is that nothing listens.
static void headers_that_grpc_does_not_allow(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.endpoint = "http://127.0.0.1:1";
    config.headers = "grpc-timeout=1S";
    config.protocol = "grpc";
    start(&config);
    record(10);
    assert_int_equal(nsp_flush(SECOND / 10), NSP_ERR_TIMEOUT);
    assert_int_equal(script_balance().discarded, 0);
    assert_int_equal(
        script_lines_with("headers: entry 1 is left out: its name is one that the exporter sets itself"), 1);
    nsp_shutdown(SECOND / 10);
}

static void bad_configuration(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.sample_rate = 2;
    assert_int_equal(nsp_init(&config), NSP_ERR_CONFIG);
    assert_non_null(strstr(nsp_error_detail(), "sample_rate"));
    script_config(&config);
    config.batches = 0;
    assert_int_equal(nsp_init(&config), NSP_ERR_CONFIG);
    assert_non_null(strstr(nsp_error_detail(), "batches"));
    script_config(&config);
    config.size = 0;
    assert_int_equal(nsp_init(&config), NSP_ERR_CONFIG);
    // Nothing was started.
    assert_null(nsp_span_begin(NSP_NAME("span")));
    assert_int_equal(nsp_flush(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(nsp_shutdown(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(script.creates, 0);
    begin_scripted();
    record(1);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 1);
}

static void an_exporter_that_cannot_be_made(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    script.created = NSP_ERR_SYSTEM;
    start(&config);
    record(10);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().discarded, 10);
    assert_int_equal(script_lines_with("exporter scripted"), 1);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(script.destroys, 0);
    assert_int_equal(script.sends, 0);
}

// ---- flush ----

static void flush_means_that_the_receiver_has_it(void **state)
{
    (void)state;
    receiver *end = receiver_start(NULL, 0);
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.endpoint = receiver_endpoint(end);
    config.poll_min_ns = config.poll_max_ns = 100 * MILLISECOND; // longer than the flush takes
    start(&config);
    for (unsigned round = 1; round <= 20; round++) {
        record(50);
        assert_int_equal(nsp_flush(20 * SECOND), NSP_OK);
        assert_int_equal(tally_distinct(receiver_tally(end)), 50 * round);
    }
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    receiver_stop(end);
}

static void flush_without_time_loses_nothing(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    start(&config);
    record(10);
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_flush(0), NSP_ERR_TIMEOUT);
    assert_int_equal(nsp_flush(50 * MILLISECOND), NSP_ERR_TIMEOUT);
    assert_true(test_now_ns() - before >= 50 * MILLISECOND);
    assert_string_not_equal(nsp_error_detail(), "");
    assert_int_equal(script_balance().discarded, 0);
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 10);
}

static void *flush_own(void *argument)
{
    uintptr_t *failures = argument;
    for (int i = 0; i < 20; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span"));
        nsp_context context;
        nsp_span_context(span, &context);
        nsp_span_end(span);
        uint64_t id;
        memcpy(&id, context.span_id, sizeof id);
        if (nsp_flush(60 * SECOND) != NSP_OK || !tally_has(script.tally, id))
            __atomic_fetch_add(failures, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

// Each flush delivers its own spans, although the pool is always full.
static void concurrent_flushes(void **state)
{
    (void)state;
    enum { FLUSHERS = 6 };
    for (int mode = 0; mode < 2; mode++) {
        pthread_t threads[FLUSHERS];
        uintptr_t failures = 0;
        nsp_config config;
        script_config(&config);
        config.collector = mode == 0 ? NSP_COLLECTOR_THREAD : NSP_COLLECTOR_INVOKER;
        config.batch_spans = 1;
        config.batches = 2;
        start(&config);
        for (int i = 0; i < FLUSHERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, flush_own, &failures), 0);
        for (int i = 0; i < FLUSHERS; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(failures, 0);
        assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    }
}

static void *flush_for_long(void *argument)
{
    nsp_status *status = argument;
    *status = nsp_flush(60 * SECOND);
    return NULL;
}

// Returns how long it took.
static uint64_t end_a_flush(void)
{
    pthread_t thread;
    nsp_status status = NSP_OK;
    nsp_config config;
    script_config(&config);
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    config.schedule_delay_ns = 3600 * SECOND; // only the flush closes the batch
    start(&config);
    record(10);
    assert_int_equal(pthread_create(&thread, NULL, flush_for_long, &status), 0);
    while (__atomic_load_n(&script.sends, __ATOMIC_RELAXED) == 0)
        test_sleep_ms(1);
    uint64_t before = test_now_ns();
    assert_int_equal(nsp_shutdown(100 * MILLISECOND), NSP_ERR_TIMEOUT);
    while (nsp_shutdown(100 * MILLISECOND) != NSP_ERR_NOT_INITIALISED) // the flush has not come back yet
        ;
    pthread_join(thread, NULL);
    uint64_t took = test_now_ns() - before;
    assert_int_equal(status, NSP_ERR_TIMEOUT);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.discarded + stats.unconfirmed, 10);
    return took;
}

static void shutdown_ends_a_flush(void **state)
{
    (void)state;
    uint64_t promptest = UINT64_MAX; // of some, because a busy machine may hold up any
    for (int tries = 0; tries < 5 && promptest >= 5 * SECOND; tries++) {
        script_reset();
        promptest = nsp__earlier(promptest, end_a_flush());
    }
    assert_true(promptest < 5 * SECOND);
}

typedef struct shutdown_call {
    pthread_t thread;
    uint64_t timeout_ns;
    nsp_status status;
    uint64_t delivered; // when the call returned
} shutdown_call;

static void *shut_down(void *argument)
{
    shutdown_call *call = argument;
    call->status = nsp_shutdown(call->timeout_ns);
    call->delivered = tally_distinct(script.tally);
    return NULL;
}

static void shutdown_begin(shutdown_call *call)
{
    assert_int_equal(pthread_create(&call->thread, NULL, shut_down, call), 0);
}

// Whichever call returns first, the process may exit then: everything has been delivered.
static void one_of_many_shutdowns_does_it_and_the_others_wait(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    shutdown_call calls[THREADS];
    unsigned succeeded = 0;
    begin_scripted();
    __atomic_store_n(&script.delay_ns, 50 * MILLISECOND, __ATOMIC_RELAXED);
    record(10);
    for (int i = 0; i < THREADS; i++) {
        calls[i].timeout_ns = 60 * SECOND;
        shutdown_begin(&calls[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(calls[i].thread, NULL);
        assert_int_equal(calls[i].delivered, 10);
        // A call that came when all was over found nothing to shut down.
        assert_true(calls[i].status == NSP_OK || calls[i].status == NSP_ERR_NOT_INITIALISED);
        succeeded += calls[i].status == NSP_OK;
    }
    assert_true(succeeded >= 1);
}

// The second call begins while the first is in progress.
static void begin_two_shutdowns(shutdown_call *first, shutdown_call *second)
{
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    begin_scripted();
    record(10);
    shutdown_begin(first);
    while (nsp_flush(0) != NSP_ERR_NOT_INITIALISED)
        test_sleep_ms(1);
    shutdown_begin(second);
}

// Both with the same time, or the first with so little that it sends nothing. On a busy machine the second
// one may come when all is over, and find nothing to shut down; then it is tried again.
static void expect_the_same_outcome(uint64_t first_ns, nsp_status outcome)
{
    shutdown_call first = {.timeout_ns = first_ns}, second = {.timeout_ns = 60 * SECOND};
    second.status = NSP_ERR_NOT_INITIALISED;
    for (int tries = 0; tries < 10 && second.status == NSP_ERR_NOT_INITIALISED; tries++) {
        script_reset();
        begin_two_shutdowns(&first, &second);
        test_sleep_ms(50);
        if (outcome == NSP_OK)
            __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
        pthread_join(second.thread, NULL);
        pthread_join(first.thread, NULL);
        assert_int_equal(first.status, outcome);
        assert_true(second.status == outcome || second.status == NSP_ERR_NOT_INITIALISED);
        assert_int_equal(second.delivered, outcome == NSP_OK ? 10 : 0);
    }
    assert_int_equal(second.status, outcome);
}

static void a_second_shutdown_returns_the_outcome_of_the_first(void **state)
{
    (void)state;
    expect_the_same_outcome(60 * SECOND, NSP_OK);
    expect_the_same_outcome(100 * MILLISECOND, NSP_ERR_TIMEOUT);
    assert_int_equal(nsp_shutdown(SECOND), NSP_ERR_NOT_INITIALISED);
}

static void a_second_shutdown_waits_no_longer_than_it_may(void **state)
{
    (void)state;
    shutdown_call first = {.timeout_ns = 60 * SECOND}, second = {.timeout_ns = 50 * MILLISECOND};
    begin_two_shutdowns(&first, &second);
    uint64_t before = test_now_ns();
    pthread_join(second.thread, NULL);
    assert_true(test_now_ns() - before < 10 * SECOND);
    assert_int_equal(second.status, NSP_ERR_TIMEOUT);
    __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.status, NSP_OK);
}

// With the default of one second, the nine pauses would take at least four seconds.
static void retries_come_as_configured(void **state)
{
    (void)state;
    static const receiver_manner manners[10] = {RECEIVER_BUSY, RECEIVER_BUSY,  RECEIVER_BUSY, RECEIVER_BUSY,
                                                RECEIVER_BUSY, RECEIVER_BUSY,  RECEIVER_BUSY, RECEIVER_BUSY,
                                                RECEIVER_BUSY, RECEIVER_ACCEPT};
    receiver *end = receiver_start(manners, 10);
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.endpoint = receiver_endpoint(end);
    config.retry_min_ns = config.retry_max_ns = 20 * MILLISECOND;
    start(&config);
    uint64_t promptest = UINT64_MAX; // of some, because a busy machine may hold up any
    for (unsigned tries = 1; tries <= 5 && promptest >= 3 * SECOND; tries++) {
        record(1);
        uint64_t before = test_now_ns();
        assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
        promptest = nsp__earlier(promptest, test_now_ns() - before);
        assert_int_equal(receiver_requests(end), 10 * tries);
    }
    assert_true(promptest < 3 * SECOND);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    receiver_stop(end);
}

int main(void)
{
    static const char *const variables[] = {"OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT",
                                            "OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                                            "ENABLE_TRACING"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        unsetenv(variables[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_init),
        cmocka_unit_test_setup_teardown(init_twice, setup, teardown),
        cmocka_unit_test_setup_teardown(final_counters_after_shutdown, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_send_is_no_failure, setup, teardown),
        cmocka_unit_test_setup_teardown(counters_with_an_old_struct, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hundred_rounds_under_fire, setup, teardown),
        cmocka_unit_test_setup_teardown(disabled_in_code, setup, teardown),
        cmocka_unit_test_setup_teardown(disabled_by_the_environment, setup, teardown),
        cmocka_unit_test_setup_teardown(no_endpoint, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_that_grpc_does_not_allow, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_configuration, setup, teardown),
        cmocka_unit_test_setup_teardown(an_exporter_that_cannot_be_made, setup, teardown),
        cmocka_unit_test_setup_teardown(flush_means_that_the_receiver_has_it, setup, teardown),
        cmocka_unit_test_setup_teardown(flush_without_time_loses_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(concurrent_flushes, setup, teardown),
        cmocka_unit_test_setup_teardown(shutdown_ends_a_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_many_shutdowns_does_it_and_the_others_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_shutdown_returns_the_outcome_of_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_shutdown_waits_no_longer_than_it_may, setup, teardown),
        cmocka_unit_test_setup_teardown(retries_come_as_configured, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
