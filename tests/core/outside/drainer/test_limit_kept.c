// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 600 COST 30
//
// A limit of traces a second, kept by whoever drains: the engine's own collector, its invoker, or a drainer from
// outside. Several threads begin roots of several rates; the receiver counts what comes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <nanospan/drainer.h>
#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

#include "common/descriptor.h"
#include "common/time.h"
#include "context/threshold.h"
#include "shm/session_lock.h"
#include "support/capture.h"
#include "trace/policy_change.h"
#include "trace/trace_state.h"

enum { THREADS = 3, PATIENCE_S = 120 };
static const double limit = 2000;

// ---- the receiver ----

static struct {
    pthread_mutex_t mutex;
    uint64_t traces;
    double roots;    // for which they stand, by their thresholds
    double variance; // of that
} received = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static nsp_status receiver_create(void **state, const nsp_exporter_context *context)
{
    (void)context;
    *state = NULL;
    return NSP_OK;
}

static void receiver_destroy(void *state)
{
    (void)state;
}

static bool receiver_append(void *state, nsp_batch *batch, const nsp_span_view *span)
{
    (void)state;
    const double rate = nsp__threshold_rate(span->threshold);
    if (batch->length + 1 > batch->capacity)
        return false;
    batch->length++;
    pthread_mutex_lock(&received.mutex);
    received.traces++;
    received.roots += 1 / rate;
    received.variance += (1 - rate) / (rate * rate);
    pthread_mutex_unlock(&received.mutex);
    return true;
}

static nsp_send_result receiver_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                     nsp_send_report *report)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    (void)report;
    return NSP_SEND_EXPORTED;
}

static const nsp_exporter receiver = {
    .size = sizeof(nsp_exporter),
    .name = "receiver",
    .create = receiver_create,
    .destroy = receiver_destroy,
    .append = receiver_append,
    .send = receiver_send,
};

static uint64_t traces(void)
{
    pthread_mutex_lock(&received.mutex);
    uint64_t count = received.traces;
    pthread_mutex_unlock(&received.mutex);
    return count;
}

// ---- the engine ----

static struct {
    uint32_t pause_us, batch; // each thread begins so many roots, then pauses
    uint64_t begun;
    bool stop;
    pthread_t threads[THREADS], drainer;
    nsp_collector_mode collector;
    nsp_drainer *outside;
} engine;

// Nine of ten roots are of one kind, and so on.
static void *begin_roots(void *nobody)
{
    (void)nobody;
    const nsp_name names[] = {nsp_intern("usual", 5), nsp_intern("seldom", 6), nsp_intern("rare", 4)};
    for (unsigned number = 0; !__atomic_load_n(&engine.stop, __ATOMIC_ACQUIRE);) {
        const uint32_t batch = __atomic_load_n(&engine.batch, __ATOMIC_RELAXED);
        for (uint32_t i = 0; i < batch; i++, number++)
            nsp_span_end(nsp_span_begin(names[number % 100 == 0 ? 2 : number % 10 == 0]));
        __atomic_fetch_add(&engine.begun, batch, __ATOMIC_RELAXED);
        uint32_t pause_us = __atomic_load_n(&engine.pause_us, __ATOMIC_RELAXED);
        nanosleep(&(struct timespec){.tv_nsec = pause_us * 1000L}, NULL);
    }
    return NULL;
}

static void *drain(void *nobody)
{
    (void)nobody;
    while (!__atomic_load_n(&engine.stop, __ATOMIC_ACQUIRE)) {
        if (engine.collector == NSP_COLLECTOR_EXTERNAL)
            nsp_drainer_work(engine.outside, NULL);
        else
            nsp_do_work(SIZE_MAX);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return NULL;
}

static void set_load(uint32_t batch, uint32_t pause_us)
{
    __atomic_store_n(&engine.batch, batch, __ATOMIC_RELAXED);
    __atomic_store_n(&engine.pause_us, pause_us, __ATOMIC_RELAXED);
}

static void start(nsp_collector_mode collector)
{
    nsp_config config;
    memset(&received.traces, 0, sizeof received - offsetof(__typeof__(received), traces));
    engine.begun = 0;
    engine.stop = false;
    engine.collector = collector;
    capture_config(&config);
    config.collector = collector;
    config.custom_exporter = &receiver;
    config.sample_rate = 0.2;
    config.sample_limit = limit;
    config.ring_bytes = 8 << 20; // so that none is full, and refuses roots, while whoever drains stands still
    capture_start(&config);
    assert_int_equal(nsp_sampler_set_rule("seldom", 0.5), NSP_OK);
    assert_int_equal(nsp_sampler_set_rule("rare", 1), NSP_OK);
    if (collector == NSP_COLLECTOR_EXTERNAL) {
        nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
        options.config = &config;
        options.exporter = &receiver;
        assert_int_equal(nsp_drainer_open(&engine.outside, &options), NSP_OK);
        assert_int_equal(nsp_drainer_add(engine.outside, nsp__trace_state.session->directory, NULL, 0),
                         NSP_OK);
    }
    set_load(50, 2000);
    if (collector != NSP_COLLECTOR_THREAD)
        assert_int_equal(pthread_create(&engine.drainer, NULL, drain, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&engine.threads[i], NULL, begin_roots, NULL), 0);
}

static void stop(void)
{
    __atomic_store_n(&engine.stop, true, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(engine.threads[i], NULL), 0);
    if (engine.collector != NSP_COLLECTOR_THREAD)
        assert_int_equal(pthread_join(engine.drainer, NULL), 0);
    if (engine.collector == NSP_COLLECTOR_INVOKER)
        nsp_do_work(SIZE_MAX);
    if (engine.collector == NSP_COLLECTOR_EXTERNAL)
        assert_int_equal(nsp_drainer_close(engine.outside, 60 * NSP__SECOND), NSP_OK);
    else
        capture_settle();
}

// What lies beside the policy in force. Whoever drains may be writing it.
static nsp__tuning tuning(void)
{
    const nsp__control *control = nsp__trace_state.control;
    nsp__tuning copy;
    uint32_t generation;
    do {
        generation = __atomic_load_n(&control->policy_generation, __ATOMIC_ACQUIRE);
        nsp__tuning_store(&copy, &control->tunings[generation & 1]);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&control->policy_generation, __ATOMIC_RELAXED) != generation);
    return copy;
}

static double seconds(void)
{
    return (double)nsp__monotonic_ns() / (double)NSP__SECOND;
}

static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

// ---- what is kept ----

// Measures until the limit was kept within 5 % for the time that 4000 traces take. One such time is enough: on a machine
// that is busy with other things, threads may not run at all for a while.
static void wait_until_kept(const char *what)
{
    double ratio = 0, end = seconds() + PATIENCE_S;
    while (seconds() < end) {
        double from = seconds(), took;
        uint64_t before = traces();
        do {
            wait_a_little();
            took = seconds() - from;
        } while (took * limit < 4000);
        ratio = (double)(traces() - before) / (took * limit);
        if (fabs(ratio - 1) < 0.05)
            return;
    }
    fail_msg("%s: %g times the limit", what, ratio);
}

static void wait_for_factor(double least, double most)
{
    double factor;
    for (double end = seconds() + PATIENCE_S; factor = tuning().factor, factor < least || factor > most;
         wait_a_little())
        if (seconds() > end)
            fail_msg("the factor is %g, not %g to %g", factor, least, most);
}

static void check_kept(nsp_collector_mode collector)
{
    start(collector);
    wait_until_kept("at the beginning");
    const nsp__tuning before = tuning();
    const size_t said = capture_lines_with("sampling changed");
    assert_true(before.factor < 1 && before.factor > 0);
    set_load(2000, 2000); // 40 times as many roots
    wait_until_kept("after a step of the load");
    wait_for_factor(0, before.factor / 4);
    // The rates of the user stay, as does who has set something last.
    assert_true(fabs(nsp_sampler_rate() - 0.2) < 0.001);
    assert_int_equal(tuning().unix_ns, before.unix_ns);
    assert_int_equal(tuning().source, NSP_SAMPLER_CODE);
    set_load(1, 20000);
    wait_for_factor(1, 1);
    stop();
    // Each trace stands for the roots that its threshold says.
    const double off = (received.roots - (double)engine.begun) / sqrt(received.variance);
    if (!(fabs(off) < 5))
        fail_msg("%g roots instead of %g: %g standard deviations off", received.roots, (double)engine.begun,
                 off);
    assert_int_equal(capture_lines_with("sampling changed"), said); // of that, nothing is said
    nsp_shutdown(60 * NSP__SECOND);
}

// Whoever drains does not wait for another writer, and goes on with the limit when that has finished.
static void check_locked_out(nsp_collector_mode collector)
{
    start(collector);
    wait_until_kept("at the beginning");
    int fd = nsp__session_open_control(nsp__trace_state.session);
    assert_true(fd >= 0 && nsp__file_lock_until(fd, nsp__monotonic_ns() + PATIENCE_S * NSP__SECOND));
    const uint32_t *generation = &nsp__trace_state.control->policy_generation;
    const uint32_t before = __atomic_load_n(generation, __ATOMIC_ACQUIRE);
    set_load(2000, 2000);
    for (uint64_t wanted = traces() + 5000; traces() < wanted;) // nobody else drains
        wait_a_little();
    assert_int_equal(__atomic_load_n(generation, __ATOMIC_ACQUIRE), before);
    nsp__close(fd);
    while (__atomic_load_n(generation, __ATOMIC_ACQUIRE) == before)
        wait_a_little();
    wait_until_kept("after another writer");
    stop();
    nsp_shutdown(60 * NSP__SECOND);
}

static void a_collector_waits_for_no_writer(void **state)
{
    (void)state;
    check_locked_out(NSP_COLLECTOR_THREAD);
}

static void a_drainer_from_outside_waits_for_no_writer(void **state)
{
    (void)state;
    check_locked_out(NSP_COLLECTOR_EXTERNAL);
}

static void a_collector_keeps_it(void **state)
{
    (void)state;
    check_kept(NSP_COLLECTOR_THREAD);
}

static void an_invoker_keeps_it(void **state)
{
    (void)state;
    check_kept(NSP_COLLECTOR_INVOKER);
}

static void a_drainer_from_outside_keeps_it(void **state)
{
    (void)state;
    check_kept(NSP_COLLECTOR_EXTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_collector_keeps_it, capture_teardown),
        cmocka_unit_test_teardown(an_invoker_keeps_it, capture_teardown),
        cmocka_unit_test_teardown(a_drainer_from_outside_keeps_it, capture_teardown),
        cmocka_unit_test_teardown(a_collector_waits_for_no_writer, capture_teardown),
        cmocka_unit_test_teardown(a_drainer_from_outside_waits_for_no_writer, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
