// SPDX-License-Identifier: Apache-2.0
//
// An engine that is drained from outside: its start, and what flush, shutdown, exit and fork do with a drainer
// that is there, comes late, dies, or never comes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "base/testpoint.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/external_engine.h"
#include "support/recovered.h"
#include "support/scripted.h"

#define MINUTE 60000000000u
#define SOON 20000000u // for what nobody will do

static nsp_stats stats_now(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    return stats;
}

static bool ended(const external_engine *engine)
{
    outside_drainer look;
    outside_drainer_look(&look, engine->session);
    bool has_ended = look.control->drainer.ended == 1;
    outside_drainer_close(&look);
    return has_ended;
}

// Every span of the session is recovered, and there are so many.
static void assert_recovers(const char *session, uint64_t spans)
{
    recovered_reset();
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(recovered_count(), spans);
    assert_int_equal(recovered_distinct(), spans);
    assert_int_equal(account.exported, spans);
}

// ---- nobody drains ----

static void times_out(void *argument)
{
    (void)argument;
    external_record(10);
    CHILD_CHECK(nsp_flush(SOON) == NSP_ERR_TIMEOUT);
    CHILD_CHECK(strstr(nsp_error_detail(),
                       "no agent drains the session; they stay in it for `nanospan agent`") != NULL);
    CHILD_CHECK(stats_now().in_rings == 10);
    CHILD_CHECK(nsp_shutdown(SOON) == NSP_ERR_TIMEOUT);
    CHILD_CHECK(strstr(nsp_error_detail(), "10 spans could not be sent in time: no agent drains") != NULL);
    CHILD_CHECK(script_lines_with("stopped before 10 spans could be sent from ") == 1);
    nsp_stats stats = stats_now();
    CHILD_CHECK(stats.in_rings == 10 && stats.discarded == 0 && stats.attempted == 10);
}

static void what_nobody_drains_stays_in_the_session(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, times_out, NULL);
    external_join(&engine);
    assert_true(ended(&engine));
    assert_recovers(engine.session, 10);
}

static void has_nothing_to_flush(void *argument)
{
    (void)argument;
    CHILD_CHECK(nsp_flush(0) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(0) == NSP_OK);
    CHILD_CHECK(script_lines_with("stopped before") == 0);
}

static void nothing_is_waited_for_where_nothing_is_left(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, has_nothing_to_flush, NULL);
    external_join(&engine);
    assert_true(ended(&engine));
}

static void fills_its_ring(void *argument)
{
    const unsigned roots = 5000;
    (void)argument;
    external_record(roots);
    nsp_stats full = stats_now();
    CHILD_CHECK(full.roots_refused != 0 && full.attempted + full.roots_refused == roots);
    CHILD_CHECK(full.dropped == 0 && full.in_rings == full.attempted);
    external_tell();
    while (stats_now().in_rings != 0)
        test_sleep_ms(1);
    external_record(1);
    CHILD_CHECK(stats_now().attempted == full.attempted + 1);
}

static void a_full_ring_refuses_roots_until_it_is_drained(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer drainer;
    external_start(&engine, fills_its_ring, NULL);
    external_await(&engine);
    assert_true(outside_drainer_open(&drainer, engine.session));
    outside_drainer_take(&drainer, UINT64_MAX);
    external_join(&engine);
    outside_drainer_close(&drainer);
}

static __thread bool to_be_stalled;
static bool stalled, released; // atomic

static void stall_after_publication(const char *point)
{
    if (!to_be_stalled || strcmp(point, "commit: published") != 0)
        return;
    __atomic_store_n(&stalled, true, __ATOMIC_RELEASE);
    while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
}

static void *record_one(void *nothing)
{
    to_be_stalled = true;
    external_record(1);
    return nothing;
}

static void ends_while_another_thread_records(void *argument)
{
    (void)argument;
    pthread_t thread;
    nsp__testpoint_hook = stall_after_publication;
    CHILD_CHECK(pthread_create(&thread, NULL, record_one, NULL) == 0);
    external_record(3);
    while (!__atomic_load_n(&stalled, __ATOMIC_ACQUIRE))
        test_sleep_ms(1);
    CHILD_CHECK(nsp_shutdown(SOON) == NSP_ERR_TIMEOUT);
    nsp_stats stats = stats_now();
    CHILD_CHECK(stats.attempted == 4 && stats.in_rings == 3 && stats.open == 1 && stats.discarded == 0);
    __atomic_store_n(&released, true, __ATOMIC_RELEASE);
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
}

static void what_a_thread_was_just_recording_stays_too(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    external_engine engine;
    external_start(&engine, ends_while_another_thread_records, NULL);
    external_join(&engine);
    assert_recovers(engine.session, 4);
}

// ---- a drainer ----

static void flushes_and_shuts_down(void *argument)
{
    (void)argument;
    external_record(100);
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    external_tell();
    nsp_stats stats = stats_now();
    CHILD_CHECK(stats.exported == 100 && stats.in_rings == 0 && stats.in_batches == 0);
    external_record(5);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
    CHILD_CHECK(stats_now().exported == 105 && script_lines_with("stopped before") == 0);
}

// Starts an engine that waits in its flush.
static void start_flushing(external_engine *engine, outside_drainer *look, void (*body)(void *))
{
    external_start(engine, body, NULL);
    outside_drainer_look(look, engine->session);
    while (__atomic_load_n(&look->control->drainer.flush_wanted, __ATOMIC_ACQUIRE) == 0)
        test_sleep_ms(1);
}

static void assert_settled(const external_engine *engine, const outside_drainer *drainer, uint64_t spans)
{
    assert_int_equal(drainer->control->counters.exported, spans);
    assert_true(ended(engine));
    assert_true(session_dir_of(external_folder, engine->pid, (char[SESSION_PATH_MAX]){0}));
}

static void a_drainer_may_come_late(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look, drainer;
    start_flushing(&engine, &look, flushes_and_shuts_down);
    assert_true(outside_drainer_open(&drainer, engine.session));
    external_drain_until_end(&engine, &drainer);
    external_join(&engine);
    assert_settled(&engine, &drainer, 105);
    outside_drainer_close(&drainer);
    outside_drainer_close(&look);
}

// Gives a flush that ends too early some time to do so.
static void assert_waits_on(const external_engine *engine)
{
    for (int i = 0; i < 10; i++) {
        assert_true(external_silent(engine));
        test_sleep_ms(5);
    }
}

static void a_drainer_may_die_and_another_one_go_on(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look, first, second;
    start_flushing(&engine, &look, flushes_and_shuts_down);
    assert_true(outside_drainer_open(&first, engine.session));
    assert_false(outside_drainer_open(&second, engine.session)); // one at a time
    outside_drainer_close(&second);
    assert_int_equal(outside_drainer_take(&first, 40), 40);
    outside_drainer_settle(&first);
    outside_drainer_close(&first);
    assert_waits_on(&engine);
    assert_true(outside_drainer_open(&second, engine.session));
    assert_int_equal(outside_drainer_take(&second, UINT64_MAX), 60);
    assert_waits_on(&engine); // they are not settled
    external_drain_until_end(&engine, &second);
    external_join(&engine);
    assert_settled(&engine, &second, 105);
    outside_drainer_close(&second);
    outside_drainer_close(&look);
}

static void flushes_once(void *argument)
{
    (void)argument;
    external_record(10);
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
}

// With threads that go on recording there is always something left.
static void a_flush_ends_when_the_drainer_says_so(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look;
    start_flushing(&engine, &look, flushes_once);
    __atomic_store_n(&look.control->drainer.flush_done, 1, __ATOMIC_RELEASE); // DN5
    external_join(&engine);
    outside_drainer_close(&look);
}

static void a_flush_ends_when_nothing_is_left(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look;
    start_flushing(&engine, &look, flushes_once);
    assert_int_equal(outside_drainer_take(&look, UINT64_MAX), 10);
    outside_drainer_settle(&look);
    external_join(&engine);
    outside_drainer_close(&look);
}

static void is_not_drained_in_time(void *argument)
{
    (void)argument;
    char who[64];
    snprintf(who, sizeof who, "the process %d drains the session", (int)getppid());
    external_record(1);
    do // the drainer comes after the first flush has begun, and perhaps after it has ended
        CHILD_CHECK(nsp_flush(SOON) == NSP_ERR_TIMEOUT);
    while (strstr(nsp_error_detail(), who) == NULL);
}

static void a_slow_drainer_is_named(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look, drainer;
    start_flushing(&engine, &look, is_not_drained_in_time);
    assert_true(outside_drainer_open(&drainer, engine.session));
    external_join(&engine);
    outside_drainer_close(&drainer);
    outside_drainer_close(&look);
}

// ---- the end of the process ----

static void exits(void *argument)
{
    (void)argument;
    external_record(7);
    exit(0);
}

static void an_exit_leaves_the_session(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, exits, NULL);
    external_join(&engine);
    assert_true(ended(&engine));
    assert_recovers(engine.session, 7);
}

static void an_exit_waits_for_a_drainer(void **state)
{
    (void)state;
    external_engine engine;
    outside_drainer look, drainer;
    external_exit_timeout_ns = MINUTE;
    start_flushing(&engine, &look, exits);
    assert_waits_on(&engine);
    assert_true(outside_drainer_open(&drainer, engine.session));
    external_drain_until_end(&engine, &drainer);
    external_join(&engine);
    assert_settled(&engine, &drainer, 7);
    outside_drainer_close(&drainer);
    outside_drainer_close(&look);
}

static void exits_at_once(void *argument)
{
    (void)argument;
    external_record(7);
    _exit(0);
}

static void executes_another_program(void *argument)
{
    (void)argument;
    external_record(7);
    execlp("true", "true", (char *)NULL);
    _exit(1);
}

static void dies_by(void *signal)
{
    external_record(7);
    if (*(int *)signal == SIGABRT)
        abort();
    raise(*(int *)signal);
}

static void a_process_that_just_ends_leaves_the_session_too(void **state)
{
    (void)state;
    static int signals[] = {SIGABRT, SIGKILL};
    for (int i = 0; i < 4; i++) {
        external_engine engine;
        if (i < 2) {
            external_start(&engine, i == 0 ? exits_at_once : executes_another_program, NULL);
            external_join(&engine);
        } else {
            external_start(&engine, dies_by, &signals[i - 2]);
            external_join_killed(&engine, signals[i - 2]);
        }
        assert_false(ended(&engine));
        assert_recovers(engine.session, 7);
    }
}

// ---- fork ----

static void forks(void *argument)
{
    (void)argument;
    external_record(3);
    pid_t child = fork();
    if (child == 0) {
        external_record(4);
        CHILD_CHECK(stats_now().in_rings == 4);
        CHILD_CHECK(nsp_shutdown(SOON) == NSP_ERR_TIMEOUT);
        _exit(0);
    }
    CHILD_CHECK(child_wait(child, 60) == 0);
    external_record(2);
    CHILD_CHECK(stats_now().in_rings == 5);
    CHILD_CHECK(nsp_shutdown(SOON) == NSP_ERR_TIMEOUT);
}

typedef struct search {
    uint32_t not_pid;
    char found[SESSION_PATH_MAX];
    bool external, ended;
} search;

static bool find_other(void *argument, const nsp_session *session)
{
    search *me = argument;
    if (session->pid == me->not_pid)
        return true;
    snprintf(me->found, sizeof me->found, "%s", session->directory);
    me->external = session->external;
    me->ended = session->ended;
    return false;
}

static void a_forked_child_has_its_own(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, forks, NULL);
    external_join(&engine);
    assert_int_equal(session_dir_count(external_folder), 2);
    search child = {.not_pid = (uint32_t)engine.pid};
    assert_int_equal(nsp_sessions_each(external_folder, find_other, &child), NSP_OK);
    assert_true(child.external && child.ended);
    assert_recovers(engine.session, 5);
    assert_recovers(child.found, 4);
}

// ---- the start ----

static void assert_refused(const nsp_config *config, const char *why)
{
    script_reset();
    assert_int_equal(nsp_init(config), NSP_ERR_UNSUPPORTED);
    if (strstr(nsp_error_detail(), why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", nsp_error_detail(), why);
    assert_int_equal(script_lines_with("tracing is off: "), 1);
    nsp_span *span = nsp_span_begin(NSP_NAME("inert"));
    assert_false(nsp_span_recording(span));
    nsp_span_end(span);
    assert_int_equal(nsp_flush(0), NSP_ERR_NOT_INITIALISED);
    assert_int_equal(session_dir_count(external_folder), 0);
}

static void there_must_be_shared_memory(void **state)
{
    (void)state;
    nsp_config config;
    external_config(&config);
    config.shm_dir = "none";
    assert_refused(&config, "name a folder for it, such as /dev/shm, or choose the collector \"thread\"");
    config.shm_dir = "/there/is/no/such/folder";
    assert_refused(&config, "under /there/is/no/such/folder: No such file or directory");
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    low = (struct rlimit){.rlim_cur = 4096, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    config.shm_dir = external_folder;
    assert_refused(&config, "file size limit (ulimit -f) is too low");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    config.collector = NSP_COLLECTOR_INVOKER; // the process is as before
    config.shm_dir = "none";
    config.exporter = "none";
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(nsp_shutdown(0), NSP_OK);
}

static void what_the_start_says(void **state)
{
    (void)state;
    nsp_config config;
    script_reset();
    external_config(&config);
    config.custom_exporter = &scripted_exporter;
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(
        script_lines_with(
            "tracing is on: drained from outside, once a `nanospan agent` of this user runs, sample rate 1"),
        1);
    assert_int_equal(script_lines_with("the program's own exporter (scripted) is not used"), 1);
    external_record(1);
    assert_int_equal(nsp_do_work(100), 0);
    assert_int_equal(stats_now().in_rings, 1);
    assert_int_equal(nsp_shutdown(0), NSP_ERR_TIMEOUT);
    assert_int_equal(script.creates, 0);
    assert_int_equal(nsp_init(&config), NSP_OK); // a session of its own
    assert_int_equal(session_dir_count(external_folder), 2);
    assert_int_equal(nsp_shutdown(0), NSP_OK);
}

static void has_no_room_for_a_thread(void *argument)
{
    (void)argument;
    struct rlimit low = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &low);
    low.rlim_cur = 4096;
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &low) == 0);
    external_record(10);
    nsp_stats stats = stats_now();
    CHILD_CHECK(stats.dropped_no_thread == 10 && stats.threads_private == 0 && stats.in_rings == 0);
    CHILD_CHECK(nsp_flush(0) == NSP_OK);
    CHILD_CHECK(script_lines_with("and from nowhere else can it be drained") == 1);
}

static void a_ring_that_nobody_could_drain_is_not_made(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, has_no_room_for_a_thread, NULL);
    external_join(&engine);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, external_folder_make, external_folder_remove)
    const struct CMUnitTest tests[] = {
        TEST(what_nobody_drains_stays_in_the_session),
        TEST(nothing_is_waited_for_where_nothing_is_left),
        TEST(a_full_ring_refuses_roots_until_it_is_drained),
        TEST(what_a_thread_was_just_recording_stays_too),
        TEST(a_drainer_may_come_late),
        TEST(a_drainer_may_die_and_another_one_go_on),
        TEST(a_flush_ends_when_the_drainer_says_so),
        TEST(a_flush_ends_when_nothing_is_left),
        TEST(a_slow_drainer_is_named),
        TEST(an_exit_leaves_the_session),
        TEST(an_exit_waits_for_a_drainer),
        TEST(a_process_that_just_ends_leaves_the_session_too),
        TEST(a_forked_child_has_its_own),
        TEST(there_must_be_shared_memory),
        TEST(what_the_start_says),
        TEST(a_ring_that_nobody_could_drain_is_not_made),
    };
    return cmocka_run_group_tests_name("external", tests, NULL, NULL);
}
