// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 240
// The counters under stress: whatever threads, rings, exporter and receiver do, every span is accounted for,
// and the receiver has what the counters say.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/seed.h"
#include "support/receiver.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

enum { THREADS = 8, PARKED = 64, SLOWER = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 4 : 1 };

#define SECOND 1000000000ull

// ---- the engine: threads that do everything that spans can do ----

typedef struct engine {
    unsigned traces;            // by each thread
    bool rate_changes;          // while the threads run
    bool short_lived;           // threads end and new ones start
    unsigned pause_every;       // traces between two short sleeps; 0: no sleeps
    bool stalled_at_first;      // the exporter accepts nothing until half of the threads are finished
    unsigned done;              // atomic: threads that are finished
    bool over;                  // atomic
    pthread_barrier_t together; // no thread gives up its slot before all are finished
    nsp_span *parked[PARKED];   // atomic: detached spans that any thread may end
    uint64_t reads;             // how often the reader read the counters
} engine;

typedef struct worker {
    engine *engine;
    uint64_t random;
} worker;

static uint64_t draw(uint64_t *state)
{
    return nsp__random_splitmix(state);
}

static unsigned below(worker *me, unsigned limit)
{
    return (unsigned)(draw(&me->random) % limit);
}

static const char long_text[2000] = "a text";

static void decorate(worker *me, nsp_span *span)
{
    switch (below(me, 8)) {
    case 0: nsp_span_set_i64(span, NSP_KEY("quantity"), 100); break;
    case 1: nsp_span_set_str(span, NSP_KEY("symbol"), "AAPL"); break;
    case 2: nsp_span_set_strn(span, NSP_KEY("text"), long_text, below(me, sizeof long_text)); break;
    case 3: nsp_span_add_event(span, NSP_NAME("event")); break;
    case 4: nsp_span_set_status(span, NSP_SPAN_STATUS_ERROR, "no"); break;
    default: break;
    }
}

// Puts a detached span into a place that all threads share, and ends the span that was there.
static void park(worker *me, nsp_span *span)
{
    nsp_span **place = &me->engine->parked[below(me, PARKED)];
    nsp_span_end(__atomic_exchange_n(place, span, __ATOMIC_ACQ_REL));
}

static nsp_span *begin_root(worker *me)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    nsp_context remote;
    switch (below(me, 6)) {
    case 0: options.kind = NSP_KIND_SERVER; return nsp_span_begin_with(NSP_NAME("served"), &options);
    case 1:
        nsp_context_parse(&remote, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1");
        options.parent = &remote;
        return nsp_span_begin_with(NSP_NAME("remote"), &options);
    default: return nsp_span_begin(NSP_NAME("root"));
    }
}

static void grow(worker *me, unsigned depth);

static void detached_span(worker *me, unsigned depth)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = below(me, 4) == 0;
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("detached"), &options);
    decorate(me, span);
    if (below(me, 2)) {
        nsp_span_enter(span);
        grow(me, depth + 1);
        nsp_span_leave(span);
    }
    if (below(me, 4) == 0)
        span = nsp_span_next(span, NSP_NAME("detached sibling"));
    if (below(me, 2))
        nsp_span_end(span);
    else
        park(me, span);
}

// Begins some children of the current span; sometimes deeper than there are frames.
static void grow(worker *me, unsigned depth)
{
    unsigned children = below(me, depth < 3 ? 4 : 2);
    if (below(me, 100) == 0 && depth < 12)
        children = 1;
    for (unsigned i = 0; i < children && depth < 12; i++) {
        if (below(me, 8) == 0) {
            detached_span(me, depth);
            continue;
        }
        nsp_span *span = nsp_span_begin(NSP_NAME("child"));
        decorate(me, span);
        grow(me, depth + 1);
        while (below(me, 3) == 0)
            span = nsp_span_next(span, NSP_NAME("sibling"));
        nsp_span_end(span);
        if (below(me, 200) == 0)
            nsp_span_end(span); // misuse: a second time
    }
}

static void trace(worker *me)
{
    nsp_span *root = begin_root(me);
    decorate(me, root);
    grow(me, 1);
    if (below(me, 50) == 0) { // leaks, and ends in the wrong order
        nsp_span *above = nsp_span_begin(NSP_NAME("above"));
        nsp_span_begin(NSP_NAME("leaked"));
        nsp_span_end(root);
        nsp_span_end(above);
        nsp_thread_reset();
        return;
    }
    if (below(me, 10) == 0)
        root = nsp_span_next(root, NSP_NAME("next root"));
    nsp_span_end(root);
}

static void *work_some(void *argument)
{
    worker *me = argument;
    engine *all = me->engine;
    for (unsigned i = 0; i < all->traces / 4; i++) {
        trace(me);
        if (all->pause_every != 0 && i % all->pause_every == 0)
            test_sleep_ms(1);
    }
    return NULL;
}

// Begins one long trace. The traces of eight threads together have more spans than all rings and the pool
// hold.
static void overfill(void)
{
    NSP_SPAN(root, "root of many");
    for (int i = 0; i < 1500; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("one of many")));
}

static void *work(void *argument)
{
    worker *me = argument;
    if (me->engine->stalled_at_first)
        overfill();
    for (int quarter = 0; quarter < 4; quarter++) {
        pthread_t thread;
        if (!me->engine->short_lived) {
            work_some(me);
        } else if (pthread_create(&thread, NULL, work_some, me) == 0) {
            pthread_join(thread, NULL);
        }
    }
    if (__atomic_add_fetch(&me->engine->done, 1, __ATOMIC_ACQ_REL) == THREADS / 2)
        __atomic_store_n(&script.stalled, false, __ATOMIC_RELEASE);
    pthread_barrier_wait(&me->engine->together);
    return NULL;
}

static void *change_rates(void *argument)
{
    engine *all = argument;
    worker changer = {all, 99};
    while (!__atomic_load_n(&all->over, __ATOMIC_ACQUIRE)) {
        nsp_sampler_set_rate(below(&changer, 4) ? 1.0 : 0.25);
        nsp_sampler_set_rule("serv*", below(&changer, 2) ? 1.0 : 0.5);
        test_sleep_ms(1);
    }
    return NULL;
}

// Nothing is ever counted twice, at whatever moment the counters are read.
static void *read_stats(void *argument)
{
    engine *all = argument;
    while (!__atomic_load_n(&all->over, __ATOMIC_ACQUIRE)) {
        nsp_stats stats = NSP_STATS_INIT;
        if (nsp_stats_get(&stats) != NSP_OK)
            abort();
        if (stats.attempted < stats_sum(&stats) || stats.roots_unsampled > INT64_MAX) {
            accounting_print(&stats);
            abort();
        }
        all->reads++;
        if (all->reads % 16 == 0)
            test_sleep_ms(1);
    }
    return NULL;
}

static void run(engine *all)
{
    pthread_t threads[THREADS], reader, changer;
    worker workers[THREADS];
    pthread_barrier_init(&all->together, NULL, THREADS);
    __atomic_store_n(&script.stalled, all->stalled_at_first, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&reader, NULL, read_stats, all), 0);
    if (all->rate_changes)
        assert_int_equal(pthread_create(&changer, NULL, change_rates, all), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){all, 1000 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < PARKED; i++)
        nsp_span_end(__atomic_exchange_n(&all->parked[i], NULL, __ATOMIC_ACQ_REL));
    __atomic_store_n(&all->over, true, __ATOMIC_RELEASE);
    pthread_join(reader, NULL);
    if (all->rate_changes)
        pthread_join(changer, NULL);
    pthread_barrier_destroy(&all->together);
    assert_true(all->reads > 0);
}

// ---- what must be true in the end ----

static void check_receiver(const nsp_stats *stats, tally *came)
{
    uint64_t distinct = tally_distinct(came);
    accounting_print(stats);
    print_message("receiver: %" PRIu64 " distinct, %" PRIu64 " repeated\n", distinct, tally_repeats(came));
    assert_int_equal(tally_clashes(came), 0);
    assert_int_equal(tally_untimely(came), 0);
    assert_true(stats->exported <= distinct);
    assert_true(distinct <= stats->exported + stats->unconfirmed + stats->rejected);
}

static void check_nothing_pending(const nsp_stats *stats)
{
    assert_int_equal(stats->open, 0);
    assert_int_equal(stats->in_rings, 0);
    assert_int_equal(stats->in_batches, 0);
}

// ---- tests without a network ----

static void start(const nsp_config *config)
{
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
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
    return 0;
}

// With room for everything, all spans arrive except those that were too deep, and every parent is known.
static void nothing_is_lost_where_there_is_room(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.ring_bytes = 16u << 20;
    config.watermark = 1;
    config.open_spans = 8;
    start(&config);
    engine many = {.traces = 1200 / SLOWER, .rate_changes = true};
    run(&many);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    check_nothing_pending(&stats);
    assert_true(stats.misused > 0); // the load includes misuse
    assert_true(stats.leaked > 0);
    check_receiver(&stats, script.tally);
    assert_int_equal(stats.dropped_ring_full, 0);
    assert_true(stats.dropped_too_deep > 0);
    assert_int_equal(stats.exported, stats.attempted - stats.dropped);
    assert_int_equal(stats.exported, tally_distinct(script.tally));
    assert_int_equal(tally_orphans(script.tally), 0);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().exported, stats.exported);
}

static scripted_verdict answer_at_random(void *context, const nsp_batch *batch)
{
    switch (draw(context) % 8) {
    case 0: return (scripted_verdict){NSP_SEND_RETRY, false, 0};
    case 1: return (scripted_verdict){NSP_SEND_REJECTED, false, 0};
    case 2: return (scripted_verdict){NSP_SEND_UNKNOWN, true, 0};
    case 3: return (scripted_verdict){NSP_SEND_UNKNOWN, false, 0};
    case 4: return (scripted_verdict){NSP_SEND_EXPORTED, true, batch->spans / 2};
    default: return (scripted_verdict){NSP_SEND_EXPORTED, true, 0};
    }
}

// Small rings, a small pool, few detached places, an exporter that is slow and fails at random, threads that
// start and end.
static void full_rings_and_a_failing_exporter(void **state)
{
    (void)state;
    nsp_config config;
    uint64_t random = 7;
    script_config(&config);
    config.ring_bytes = 64 * 1024;
    config.open_spans = 6;
    config.detached_spans = 4;
    config.batches = 2;
    config.batch_spans = 500;
    config.watermark = 0.97;
    script.answer = answer_at_random;
    script.context = &random;
    script.delay_ns = 2000000;
    start(&config);
    engine many = {
        .traces = 1200 / SLOWER, .rate_changes = true, .short_lived = true, .stalled_at_first = true};
    run(&many);
    __atomic_store_n(&script.delay_ns, 0, __ATOMIC_RELAXED);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    check_nothing_pending(&stats);
    check_receiver(&stats, script.tally);
    assert_true(stats.dropped_ring_full > 0);
    assert_true(stats.dropped_too_deep > 0);
    assert_true(stats.dropped_detached_full > 0);
    assert_true(stats.roots_refused > 0);
    assert_true(stats.rejected > 0);
    assert_int_equal(stats.unconfirmed, 0); // every span has an answer in the end
    assert_true(tally_repeats(script.tally) > 0);
}

// More threads than slots: what the others record is dropped, and counted.
static void more_threads_than_slots(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.threads = 3;
    start(&config);
    engine many = {.traces = 400 / SLOWER};
    run(&many);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    check_receiver(&stats, script.tally);
    assert_int_equal(stats.open, 0);
    assert_true(stats.dropped_no_thread > 0);
    assert_int_equal(stats.exported, tally_distinct(script.tally));
}

// A backend that never answers: spans given up at shutdown are unconfirmed, because they were sent.
static scripted_verdict never_answer(void *context, const nsp_batch *batch)
{
    (void)context;
    (void)batch;
    return (scripted_verdict){NSP_SEND_UNKNOWN, true, 0};
}

static void given_up_in_doubt(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.batches = 2;
    script.answer = never_answer;
    start(&config);
    engine many = {.traces = 100};
    run(&many);
    assert_int_equal(nsp_flush(SECOND / 10), NSP_ERR_TIMEOUT);
    while (__atomic_load_n(&script.sends, __ATOMIC_RELAXED) == 0) // so that something is in doubt
        test_sleep_ms(1);
    nsp_stats stats = script_balance();
    assert_true(stats.in_batches > 0);
    assert_int_equal(nsp_shutdown(SECOND / 10), NSP_ERR_TIMEOUT);
    stats = script_balance();
    check_nothing_pending(&stats);
    check_receiver(&stats, script.tally);
    assert_int_equal(stats.exported, 0);
    assert_true(stats.unconfirmed > 0);
}

// The first batch is lost by the receiver, which never takes another one.
static scripted_verdict lose_one(void *context, const nsp_batch *batch)
{
    (void)batch;
    bool *lost = context;
    scripted_verdict verdict = {*lost ? NSP_SEND_RETRY : NSP_SEND_UNCONFIRMED, !*lost, 0};
    *lost = true;
    return verdict;
}

// What the shutdown gives up is one number, in the log, in the error and in the accounting: the spans of the
// batches and those that are still in the rings, but none that were lost before.
static void given_up_is_counted_once(void **state)
{
    (void)state;
    enum { PER_BATCH = 64, SPANS = 10 * PER_BATCH };
    nsp_config config;
    script_config(&config);
    config.batches = 2;
    config.batch_spans = PER_BATCH;
    config.schedule_delay_ns = 3600 * SECOND; // all of them are full, however slowly the spans come
    bool lost = false;
    script.answer = lose_one;
    script.context = &lost;
    start(&config);
    nsp_stats stats;
    for (int i = 0; i < PER_BATCH; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("lost")));
    do {
        test_sleep_ms(1);
        stats = script_balance();
    } while (stats.unconfirmed != PER_BATCH);
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("never sent")));
    do {
        test_sleep_ms(1);
        stats = script_balance();
    } while (stats.in_batches != 2 * PER_BATCH);
    assert_int_equal(stats.in_rings, SPANS - 2 * PER_BATCH);
    assert_int_equal(nsp_shutdown(SECOND / 10), NSP_ERR_TIMEOUT);
    char detail[64], line[64];
    snprintf(detail, sizeof detail, "%d spans could not be sent in time", SPANS);
    snprintf(line, sizeof line, "stopped before %d spans could be sent", SPANS);
    assert_string_equal(nsp_error_detail(), detail);
    assert_int_equal(script_lines_with(line), 1);
    assert_int_equal(script_lines_with("could be sent"), 1);
    stats = script_balance();
    check_nothing_pending(&stats);
    assert_int_equal(stats.discarded, SPANS);
    assert_int_equal(stats.unconfirmed, PER_BATCH);
}

static void no_exporter_discards(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.exporter = "none";
    start(&config);
    engine many = {.traces = 400 / SLOWER, .rate_changes = true};
    run(&many);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    check_nothing_pending(&stats);
    assert_true(stats.discarded > 0);
    assert_int_equal(stats.attempted, stats.discarded + stats.dropped);
}

// ---- over the wire ----

// Every way in which a request can fail.
static const receiver_manner failing[] = {
    RECEIVER_ACCEPT,  RECEIVER_ACCEPT_PART, RECEIVER_ACCEPT,     RECEIVER_REFUSE, RECEIVER_BUSY,
    RECEIVER_ACCEPT,  RECEIVER_ACCEPT,      RECEIVER_LOSE_REPLY, RECEIVER_ACCEPT, RECEIVER_ACCEPT_PART,
    RECEIVER_ACCEPT,  RECEIVER_ACCEPT,      RECEIVER_REFUSE,     RECEIVER_ACCEPT, RECEIVER_ACCEPT,
    RECEIVER_HANG_UP, RECEIVER_ACCEPT,      RECEIVER_ACCEPT,     RECEIVER_ACCEPT, RECEIVER_ACCEPT,
    RECEIVER_ACCEPT,  RECEIVER_ACCEPT,      RECEIVER_ACCEPT,     RECEIVER_ACCEPT};
// The same without lost replies; the counters are exact then.
static const receiver_manner honest[] = {
    RECEIVER_ACCEPT, RECEIVER_ACCEPT_PART, RECEIVER_ACCEPT,      RECEIVER_REFUSE, RECEIVER_BUSY,
    RECEIVER_ACCEPT, RECEIVER_ACCEPT,      RECEIVER_ACCEPT_PART, RECEIVER_ACCEPT, RECEIVER_ACCEPT,
    RECEIVER_ACCEPT, RECEIVER_ACCEPT,      RECEIVER_REFUSE,      RECEIVER_ACCEPT, RECEIVER_ACCEPT,
    RECEIVER_ACCEPT, RECEIVER_ACCEPT,      RECEIVER_ACCEPT};

static nsp_stats over_the_wire(receiver *end, const char *compression)
{
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.endpoint = receiver_endpoint(end);
    config.compression = compression;
    config.batch_spans = 400;
    config.batches = 4;
    config.ring_bytes = 128 * 1024;
    config.retry_min_ns = config.retry_max_ns = SECOND / 50;
    start(&config);
    engine many = {.traces = 600 / SLOWER, .rate_changes = true, .pause_every = 10};
    run(&many);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    check_nothing_pending(&stats);
    check_receiver(&stats, receiver_tally(end));
    assert_true(stats.exported > 0);
    assert_int_equal(nsp_shutdown(10 * SECOND), NSP_OK);
    nsp_stats final = script_balance();
    assert_int_equal(final.exported, stats.exported);
    assert_int_equal(final.attempted, stats.attempted);
    return final;
}

static void a_receiver_that_fails_in_every_way(void **state)
{
    (void)state;
    receiver *end = receiver_start(failing, sizeof failing / sizeof *failing);
    nsp_stats stats = over_the_wire(end, "gzip");
    assert_true(stats.rejected > 0);
    assert_true(stats.batches_failed > 0);
    assert_true(tally_repeats(receiver_tally(end)) > 0);
    receiver_stop(end);
}

static void a_receiver_that_always_replies(void **state)
{
    (void)state;
    receiver *end = receiver_start(honest, sizeof honest / sizeof *honest);
    nsp_stats stats = over_the_wire(end, "none");
    assert_true(stats.rejected > 0);
    assert_int_equal(stats.unconfirmed, 0);
    assert_int_equal(stats.exported, tally_distinct(receiver_tally(end)));
    assert_int_equal(tally_repeats(receiver_tally(end)), 0);
    receiver_stop(end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_where_there_is_room, setup, teardown),
        cmocka_unit_test_setup_teardown(full_rings_and_a_failing_exporter, setup, teardown),
        cmocka_unit_test_setup_teardown(more_threads_than_slots, setup, teardown),
        cmocka_unit_test_setup_teardown(given_up_in_doubt, setup, teardown),
        cmocka_unit_test_setup_teardown(given_up_is_counted_once, setup, teardown),
        cmocka_unit_test_setup_teardown(no_exporter_discards, setup, teardown),
        cmocka_unit_test_setup_teardown(a_receiver_that_fails_in_every_way, setup, teardown),
        cmocka_unit_test_setup_teardown(a_receiver_that_always_replies, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
