// SPDX-License-Identifier: Apache-2.0
//
// Calls from inside callbacks: a log callback that needs a lock whose holder calls the library, and exporters
// that call functions that would wait for them. The tests run in children, because a failure hangs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/scripted.h"
#include "support/session_dir.h"
#include "trace/trace_state.h"

#define SECOND 1000000000ull

static void record(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void expect_success(void (*body)(void *), void *argument)
{
    assert_int_equal(child_run(body, argument, 60), 0);
}

// ---- a lock of the application ----

static pthread_mutex_t application_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned lines, locked; // atomic

static void lock_in_callback(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
    __atomic_fetch_add(&lines, 1, __ATOMIC_RELEASE);
    pthread_mutex_lock(&application_lock);
    pthread_mutex_unlock(&application_lock);
}

static void *call_under_lock(void *argument)
{
    nsp_stats stats = NSP_STATS_INIT;
    pthread_mutex_lock(&application_lock);
    __atomic_store_n(&locked, 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&lines, __ATOMIC_ACQUIRE) == 0)
        test_sleep_ms(1);
    test_sleep_ms(20);
    nsp_stats_get(&stats);
    nsp_sampler_rate();
    pthread_mutex_unlock(&application_lock);
    return argument;
}

static void configure(nsp_config *config)
{
    script_reset();
    script_config(config);
    config->log = lock_in_callback;
    config->log_level = NSP_LOG_INFO;
}

static void with_a_thread_that_holds_the_lock(void (*call)(void))
{
    pthread_t thread;
    __atomic_store_n(&lines, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
    CHILD_CHECK(pthread_create(&thread, NULL, call_under_lock, NULL) == 0);
    while (!__atomic_load_n(&locked, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
    call();
    CHILD_CHECK(__atomic_load_n(&lines, __ATOMIC_ACQUIRE) > 0);
    pthread_join(thread, NULL);
}

static nsp_config config;

static void init(void)
{
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void shutdown_in_vain(void)
{
    CHILD_CHECK(nsp_shutdown(SECOND / 10) == NSP_ERR_TIMEOUT);
}

static void lock_during_init(void *argument)
{
    (void)argument;
    configure(&config);
    config.collector_cpus = "8191"; // causes two log lines
    with_a_thread_that_holds_the_lock(init);
    CHILD_CHECK(__atomic_load_n(&lines, __ATOMIC_ACQUIRE) >= 2);
    __atomic_store_n(&script.stalled, true, __ATOMIC_RELEASE);
    record();
    with_a_thread_that_holds_the_lock(shutdown_in_vain); // "stopped before ..."
}

static void lock_in_a_forked_child(void *argument)
{
    (void)argument;
    configure(&config);
    config.collector_cpus = "8191";
    init();
    pid_t child = fork();
    if (child == 0) {
        with_a_thread_that_holds_the_lock(record); // makes a session, and logs the same lines again
        _exit(0);
    }
    CHILD_CHECK(child_wait(child, 60) == 0);
}

static void lock_of_the_application(void **state)
{
    (void)state;
    expect_success(lock_during_init, NULL);
    if (test_threads_in_children())
        expect_success(lock_in_a_forked_child, NULL);
}

// ---- calls while the lines of another call are written ----

static nsp_status flushed, shut_down;

static void call_in_callback(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
    flushed = nsp_flush(10 * SECOND);
    shut_down = nsp_shutdown(10 * SECOND);
}

static void calls_while_lines_are_written(void *argument)
{
    (void)argument;
    flushed = shut_down = NSP_OK;
    configure(&config);
    config.log = call_in_callback;
    init(); // the last thing it does is to write a line
    CHILD_CHECK(flushed == NSP_ERR_INVALID && shut_down == NSP_ERR_INVALID);
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    exit(0);
}

// In a log callback, and so also in a signal handler that interrupts the writing of a line and would wait for
// its locks.
static void lines_that_are_written(void **state)
{
    (void)state;
    expect_success(calls_while_lines_are_written, NULL);
}

// ---- exporters that call the library ----

typedef enum half { CREATE, APPEND, SEND, DESTROY } half;

static half calling;
static unsigned answered; // atomic

// Calls that would wait for this very thread, or for another one that waits for it.
static void call_everything(half where)
{
    if (where != calling)
        return;
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_ERR_INVALID);
    CHILD_CHECK(strstr(nsp_error_detail(), "nsp_flush was called from inside") != NULL);
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_ERR_INVALID);
    CHILD_CHECK(nsp_init(NULL) != NSP_OK);
    CHILD_CHECK(nsp_do_work(1) == 0);
    nsp_stats stats = NSP_STATS_INIT;
    nsp_status status = nsp_stats_get(&stats); // needs no lock that is held while spans are encoded or sent
    CHILD_CHECK(status == NSP_OK || where == CREATE);
    __atomic_store_n(&answered, 1, __ATOMIC_RELEASE);
}

static enum { FORKS_NEVER, CHILD_EXITS, CHILD_RETURNS, COPY_RETURNS } forks; // in create
static pid_t forked = -1;

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    call_everything(CREATE);
    if (forks != FORKS_NEVER && (forked = forks == COPY_RETURNS ? _Fork() : fork()) == 0) {
        record(); // inert
        CHILD_CHECK(nsp_init(NULL) != NSP_OK);
        if (forks == CHILD_EXITS)
            _exit(0);
    }
    return scripted_exporter.create(state, context);
}

static void destroy(void *state)
{
    call_everything(DESTROY);
    scripted_exporter.destroy(state);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    call_everything(APPEND);
    return scripted_exporter.append(state, batch, view);
}

static nsp_send_result take_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    call_everything(SEND);
    return scripted_exporter.send(state, batch, deadline_ns, report);
}

static const nsp_exporter exporter = {
    .size = sizeof(nsp_exporter),
    .name = "calling",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = take_batch,
};

static void with_exporter(void *argument)
{
    calling = *(half *)argument;
    for (int mode = NSP_COLLECTOR_THREAD; mode <= NSP_COLLECTOR_INVOKER; mode++) {
        __atomic_store_n(&answered, 0, __ATOMIC_RELEASE);
        script_reset();
        script_config(&config);
        config.custom_exporter = &exporter;
        config.collector = (nsp_collector_mode)mode;
        init();
        record();
        CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
        CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
        CHILD_CHECK(tally_distinct(script.tally) == 1);
        CHILD_CHECK(__atomic_load_n(&answered, __ATOMIC_ACQUIRE) == 1);
    }
}

static void exporters_that_call_us(void **state)
{
    (void)state;
    for (half where = CREATE; where <= DESTROY; where++)
        expect_success(with_exporter, &where);
}

static void configure_exporter(void)
{
    script_reset();
    script_config(&config);
    config.custom_exporter = &exporter;
}

static void trace_one(void)
{
    record();
    CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    CHILD_CHECK(tally_distinct(script.tally) == 1);
}

// A conversion sees a change of that clock, and would not see it in a copy.
static void expect_the_clock_of_the_session(void)
{
    nsp__clock_breakpoint *breakpoints = nsp__trace_state.control->clock.breakpoints;
    nsp_ticks tick = nsp_now();
    uint64_t before = nsp_ticks_to_unix_ns(tick);
    for (unsigned i = 0; i < NSP__CLOCK_BREAKPOINTS; i++)
        breakpoints[i].offset += SECOND;
    CHILD_CHECK(nsp_ticks_to_unix_ns(tick) == before + SECOND);
    for (unsigned i = 0; i < NSP__CLOCK_BREAKPOINTS; i++)
        breakpoints[i].offset -= SECOND;
}

static void forking_while_created(void *argument)
{
    (void)argument;
    forks = CHILD_EXITS;
    configure_exporter();
    config.collector = NSP_COLLECTOR_INVOKER; // so that nobody else works on the clock
    init();
    CHILD_CHECK(child_wait(forked, 60) == 0);
    expect_the_clock_of_the_session();
    trace_one();
}

// Whatever the child does, it neither sends nor removes what is the parent's.
static void continue_in_the_child(void)
{
    CHILD_CHECK(nsp_flush(SECOND) != NSP_OK);
    CHILD_CHECK(nsp_shutdown(SECOND) != NSP_OK);
    CHILD_CHECK(script.destroys == 0);
    record();
    if (forks == CHILD_RETURNS && test_threads_in_children()) {
        forks = FORKS_NEVER;
        configure_exporter();
        init();
        trace_one();
        CHILD_CHECK(script.creates == 1 && script.destroys == 1);
    }
    _exit(0);
}

static void returning_from_create(void *argument)
{
    char directory[SESSION_PATH_MAX], session[SESSION_PATH_MAX];
    forks = *(int *)argument;
    session_dir_make(directory);
    configure_exporter();
    config.shm_dir = directory;
    nsp_status status = nsp_init(&config);
    if (forked == 0) {
        CHILD_CHECK(status == NSP_ERR_UNSUPPORTED);
        CHILD_CHECK(strstr(nsp_error_detail(), "the exporter calling forked this process") != NULL);
        continue_in_the_child();
    }
    CHILD_CHECK(status == NSP_OK);
    CHILD_CHECK(child_wait(forked, 20) == 0);
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    trace_one();
    session_dir_remove(directory);
}

// The first span of a forked child creates the exporter once more.
static void returning_from_a_childs_create(void *argument)
{
    (void)argument;
    forks = FORKS_NEVER;
    configure_exporter();
    init();
    pid_t child = fork();
    if (child == 0) {
        forks = CHILD_RETURNS;
        script_reset();
        record();
        if (forked == 0)
            continue_in_the_child();
        CHILD_CHECK(child_wait(forked, 20) == 0);
        CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
        CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
        CHILD_CHECK(tally_distinct(script.tally) == 1);
        _exit(0);
    }
    CHILD_CHECK(child_wait(child, 30) == 0);
    trace_one();
}

// The handlers of fork do not wait for what this very thread holds.
static void exporters_that_fork(void **state)
{
    (void)state;
    calling = DESTROY + 1;
    expect_success(forking_while_created, NULL);
}

static void children_that_return_from_create(void **state)
{
    (void)state;
    calling = DESTROY + 1;
    for (int how = CHILD_RETURNS; how <= COPY_RETURNS; how++)
        assert_int_equal(child_run(returning_from_create, &how, 40), 0);
    if (test_threads_in_children())
        assert_int_equal(child_run(returning_from_a_childs_create, NULL, 40), 0);
}

// ---- an encoder that does not return ----

static bool encoder_hangs = true; // atomic
static bool encoding;             // atomic

static bool append_for_ever(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    __atomic_store_n(&encoding, true, __ATOMIC_RELEASE);
    while (__atomic_load_n(&encoder_hangs, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
    return scripted_exporter.append(state, batch, view);
}

static void *work(void *argument)
{
    nsp_do_work(1);
    return argument;
}

// Every wait ends, the next session works, and the thread that hung finds its memory still there when it
// returns.
static void hanging_encoder(void *argument)
{
    nsp_exporter hanging = scripted_exporter;
    hanging.append = append_for_ever;
    script_reset();
    script_config(&config);
    config.custom_exporter = &hanging;
    config.collector = *(nsp_collector_mode *)argument;
    init();
    record();
    pthread_t invoker;
    bool invoked = config.collector == NSP_COLLECTOR_INVOKER;
    if (invoked)
        CHILD_CHECK(pthread_create(&invoker, NULL, work, NULL) == 0);
    while (!__atomic_load_n(&encoding, __ATOMIC_ACQUIRE)) // otherwise the flush itself hangs in it
        test_sleep_ms(1);
    uint64_t before = test_now_ns();
    CHILD_CHECK(nsp_flush(SECOND / 10) == NSP_ERR_TIMEOUT);
    CHILD_CHECK(nsp_shutdown(SECOND / 10) == NSP_ERR_TIMEOUT);
    CHILD_CHECK(test_now_ns() - before < 10 * SECOND);
    if (!invoked) { // its session is over, with one thread left behind
        config.custom_exporter = &scripted_exporter;
        init();
        record();
        CHILD_CHECK(nsp_flush(60 * SECOND) == NSP_OK);
    }
    __atomic_store_n(&encoder_hangs, false, __ATOMIC_RELEASE);
    if (invoked)
        pthread_join(invoker, NULL);
    test_sleep_ms(100);
    record();
    CHILD_CHECK(nsp_shutdown(60 * SECOND) == NSP_OK);
    exit(0);
}

static void an_encoder_that_hangs(void **state)
{
    (void)state;
    for (nsp_collector_mode mode = NSP_COLLECTOR_THREAD; mode <= NSP_COLLECTOR_INVOKER; mode++)
        expect_success(hanging_encoder, &mode);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lock_of_the_application),          cmocka_unit_test(lines_that_are_written),
        cmocka_unit_test(exporters_that_call_us),           cmocka_unit_test(exporters_that_fork),
        cmocka_unit_test(children_that_return_from_create), cmocka_unit_test(an_encoder_that_hangs),
    };
    return cmocka_run_group_tests_name("reentry", tests, NULL, NULL);
}
