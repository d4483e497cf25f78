// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Traces of which it is decided at their end, in the sessions of engines that die before: left out, or exported where
// the recovery is told to, each span once, and an account that balances in both cases.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/seed.h"
#include "support/child.h"
#include "support/recover_engine.h"
#include "support/recovered.h"

// ---- recoveries ----

static nsp_recovery_account recover(const char *session, bool speculative)
{
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.speculative = speculative;
    options.timeout_ns = 60000000000;
    recovered_reset();
    nsp_recovery *recovery = recovery_of(session);
    if (nsp_recovery_export(recovery, &options) != NSP_OK)
        fail_msg("%s", nsp_error_detail());
    const nsp_recovery_account account = balanced(recovery);
    assert_false(nsp_recovery_damaged(recovery));
    assert_int_equal(account.left + account.invalid, 0);
    assert_int_equal(recovered_count(), account.exported);
    assert_int_equal(recovered_distinct(), account.exported);
    assert_int_equal(recovered_unfinished(), account.unfinished);
    nsp_recovery_close(recovery);
    return account;
}

// All of it is settled: the next recovery finds nothing, and counts everything as exported before.
static void expect_settled(const char *session, const nsp_recovery_account *before, bool speculative)
{
    const nsp_recovery_account account = recover(session, speculative);
    assert_int_equal(account.exported + account.finished + account.unfinished, 0);
    assert_int_equal(account.attempted, before->attempted);
    assert_int_equal(account.engine_exported, before->engine_exported + before->exported);
    assert_int_equal(account.engine_unconfirmed, before->engine_unconfirmed);
}

// ---- at testpoints ----

// Ten traces of two spans are kept, and the engine dies while it decides about the next one, or while that is open.
static void engine_that_speculates(void *argument)
{
    const char *point = argument;
    const nsp_ticks start = nsp_now(), later = start + (UINT64_C(1) << 40);
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                nsp_outlier_set_rules("*: slower=1ms, limit=1000/s") == NSP_OK);
    for (int i = 0; i <= 10; i++) {
        if (i == 10 && point != NULL)
            die_at(point, 1);
        nsp_span *root = nsp_span_begin_at(NSP_NAME("kept root"), start);
        CHILD_CHECK(nsp_span_recording(root));
        nsp_span_end_at(nsp_span_begin_at(NSP_NAME("kept child"), start), start + 1);
        if (i == 10 && point == NULL) {
            nsp_span_begin_at(NSP_NAME("an open child"), start);
            CHILD_CHECK(nsp_span_recording(nsp_span_begin_detached(
                NSP_NAME("an order"),
                &(nsp_span_options){.size = sizeof(nsp_span_options), .new_root = true})));
            raise(SIGKILL);
        }
        nsp_span_end_at(root, later);
    }
}

typedef struct death {
    const char *point;
    uint64_t finished;            // without what was not decided
    uint64_t finished_more, open; // of what was not
} death;

static const death deaths[] = {
    {NULL, 20, 1, 3},
#ifdef NSP_TESTPOINTS
    {"outlier: limit read", 20, 1, 1},
    {"speculation: about to keep", 20, 1, 1},
    {"speculation: counted as attempted", 20, 1, 1},
    {"speculation: a record is copied", 20, 1, 1},
    {"speculation: position noted", 20, 1, 1},
    {"speculation: published", 22, 0, 0},
    {"speculation: root closed", 22, 0, 0},
#endif
};
enum { DEATHS = sizeof deaths / sizeof deaths[0] };

static const char *name_of(const death *its)
{
    return its->point != NULL ? its->point : "open";
}

// What is not decided yet is nobody's span: not sent, not unfinished, not lost.
static void left_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEATHS; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_speculates, (void *)(uintptr_t)deaths[i].point, session);
        const nsp_recovery_account account = recover(session, false);
        if (account.attempted != deaths[i].finished || account.finished != deaths[i].finished ||
            account.exported != deaths[i].finished)
            fail_msg("%s: %llu attempted, %llu finished, %llu exported", name_of(&deaths[i]),
                     (unsigned long long)account.attempted, (unsigned long long)account.finished,
                     (unsigned long long)account.exported);
        assert_int_equal(account.unfinished + account.left + account.lost_at_crash, 0);
        assert_int_equal(account.speculative + account.history, 0);
        assert_int_equal(account.left_out_speculative, deaths[i].finished_more + deaths[i].open);
        assert_int_equal(account.left_out_history, 0);
        assert_int_equal(recovered_named("kept root"), deaths[i].finished / 2);
        assert_int_equal(recovered_named("kept child"), deaths[i].finished / 2);
        expect_settled(session, &account, false);
    }
}

static const recovered_span *unfinished_named(const char *name)
{
    for (size_t i = 0; i < recovered_count(); i++)
        if (recovered_at(i)->unfinished && strcmp(recovered_at(i)->name, name) == 0)
            return recovered_at(i);
    fail_msg("there is no unfinished span of the name %s", name);
    return NULL;
}

// The trace that was open: its child that had ended, and what was open, under its root.
static void expect_trace(const death *its)
{
    const recovered_span *root = unfinished_named("kept root");
    assert_string_equal(root->kept, "recovered");
    assert_int_equal(root->left_out, 0);
    size_t children = 0;
    for (size_t i = 0; i < recovered_count(); i++) {
        const recovered_span *span = recovered_at(i);
        children += span->parent_id == root->span_id;
        if (span->parent_id == root->span_id)
            assert_memory_equal(span->trace_id, root->trace_id, sizeof root->trace_id);
    }
    assert_int_equal(children, its->point == NULL ? 2 : 1);
    if (its->point != NULL)
        return;
    assert_int_equal(unfinished_named("an open child")->parent_id, root->span_id);
    assert_string_equal(unfinished_named("an open child")->kept, "");
    assert_string_equal(unfinished_named("an order")->kept, "recovered");
}

static void exported_where_asked(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEATHS; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_speculates, (void *)(uintptr_t)deaths[i].point, session);
        const nsp_recovery_account account = recover(session, true);
        const uint64_t more = deaths[i].finished_more + deaths[i].open;
        if (account.attempted != deaths[i].finished + more || account.speculative != more ||
            account.finished != deaths[i].finished + deaths[i].finished_more ||
            account.unfinished != deaths[i].open)
            fail_msg("%s: %llu attempted, %llu not decided, %llu finished, %llu unfinished",
                     name_of(&deaths[i]), (unsigned long long)account.attempted,
                     (unsigned long long)account.speculative, (unsigned long long)account.finished,
                     (unsigned long long)account.unfinished);
        assert_int_equal(account.history, 0);
        assert_int_equal(account.left_out_speculative + account.left_out_history, 0);
        assert_int_equal(account.lost_at_crash, 0);
        assert_int_equal(recovered_kept("slow"), deaths[i].finished / 2);
        if (more != 0)
            expect_trace(&deaths[i]);
        expect_settled(session, &account, true);
        expect_settled(session, &account, false);
    }
}

// First without what was not decided, then with it.
static void exported_afterwards(void **state)
{
    (void)state;
    for (size_t i = 0; i < DEATHS; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_speculates, (void *)(uintptr_t)deaths[i].point, session);
        recover(session, false);
        const nsp_recovery_account account = recover(session, true);
        assert_int_equal(account.exported, deaths[i].finished_more + deaths[i].open);
        assert_int_equal(account.engine_exported, deaths[i].finished);
        expect_settled(session, &account, true);
    }
}

// ---- what was not in the buffer ----

static void engine_that_leaves_out(void *unused)
{
    (void)unused;
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK && nsp_outlier_set_rules("*: slower=10s") == NSP_OK);
    nsp_span_begin(NSP_NAME("kept root"));
    for (int i = 0; i < 10000; i++) // more than the buffer takes
        nsp_span_end(nsp_span_begin(NSP_NAME("kept child")));
    raise(SIGKILL);
}

static void the_root_says_what_is_missing(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_that_leaves_out, NULL, session);
    const nsp_recovery_account account = recover(session, true);
    assert_int_equal(account.unfinished, 1);
    assert_in_range(account.finished, 100, 9999);
    assert_int_equal(unfinished_named("kept root")->left_out, 10000 - account.finished);
    expect_settled(session, &account, true);
}

// ---- recoveries that die ----

#ifdef NSP_TESTPOINTS
typedef struct killing {
    const char *point, *session;
} killing;

static void recovery_dies(void *argument)
{
    const killing *planned = argument;
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.speculative = true;
    nsp_recovery *recovery;
    CHILD_CHECK(nsp_recovery_open(&recovery, planned->session, NULL, 0) == NSP_OK);
    die_at(planned->point, 3); // the request with what was not decided
    nsp_recovery_export(recovery, &options);
}
#endif

// What it had noted of them is not found again. Of those that were just being entered, test_recover_settlement.c has more.
static void a_killed_recovery_leaves_an_account(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char *const points[] = {"recover: before positions", "recover: settlement noted",
                                         "recover: positions written", "recover: before counters"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_speculates, NULL, session);
        killing planned = {points[i], session};
        int status = child_run(recovery_dies, &planned, 60);
        assert_true(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        const nsp_recovery_account account = recover(session, true);
        assert_int_equal(account.engine_exported, i == 0 ? 20 : 24);
        assert_int_equal(account.engine_unconfirmed + account.lost_at_crash, 0);
        assert_int_equal(account.exported, i == 0 ? 4 : 0);
        expect_settled(session, &account, true);
    }
#else
    skip();
#endif
}

// ---- history ----

// Fifty traces of three spans are taken back, and stay; one is kept, with those just before it; three more stay.
static void engine_with_history(void *unused)
{
    (void)unused;
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                nsp_outlier_set_rules("*: slower=10s, asked, history=60s") == NSP_OK);
    for (int i = 0; i < 54; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("kept root"));
        for (int child = 0; child < 2; child++)
            nsp_span_end(nsp_span_begin(NSP_NAME("kept child")));
        if (i == 50)
            CHILD_CHECK(nsp_trace_keep());
        nsp_span_end(root);
    }
    raise(SIGKILL);
}

static void history_is_exported(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_history, NULL, session);
    nsp_recovery_account account = recover(session, false);
    assert_int_equal(account.exported, 51 * 3);
    assert_int_equal(account.left_out_history, 3 * 3);
    assert_int_equal(account.left_out_speculative, 0);
    assert_int_equal(recovered_kept("history"), 50);
    assert_int_equal(recovered_kept("asked"), 1);
    account = recover(session, true);
    assert_int_equal(account.exported, 3 * 3);
    assert_int_equal(account.history, 3 * 3);
    assert_int_equal(account.speculative + account.left_out_history, 0);
    assert_int_equal(recovered_kept("recovered"), 3);
    expect_settled(session, &account, true);
}

// ---- while history is kept ----

#ifdef NSP_TESTPOINTS
typedef struct history_death {
    const char *point, *outlier; // the name of the root that is kept
    uint64_t in_ring;            // spans
} history_death;

// Twenty traces of two spans are history. The engine dies while it keeps an outlier, with them if its name says so.
static void engine_that_keeps_history(void *argument)
{
    const history_death *its = argument;
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                nsp_outlier_set_rules("an order: asked; *: slower=10s, asked, history=60s") == NSP_OK);
    for (int i = 0; i < 20; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("kept root"));
        nsp_span_end(nsp_span_begin(NSP_NAME("kept child")));
        nsp_span_end(root);
    }
    nsp_span *root = nsp_span_begin(nsp_intern(its->outlier, strlen(its->outlier)));
    nsp_span_end(nsp_span_begin(NSP_NAME("kept child")));
    CHILD_CHECK(nsp_trace_keep());
    die_at(its->point, 1);
    nsp_span_end(root);
}
#endif

// Each span comes once, from the ring or from the buffer.
static void history_that_was_just_being_kept_comes_once(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const history_death cases[] = {
        {"speculation: counted as attempted", "kept root", 0},
        {"speculation: position noted", "kept root", 0},
        {"speculation: published", "kept root", 42},
        {"speculation: root closed", "kept root", 42},
        {"speculation: position noted", "an order", 0},
        {"speculation: published", "an order", 2},
        {"speculation: root closed", "an order", 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_keeps_history, (void *)(uintptr_t)&cases[i], session);
        const nsp_recovery_account account = recover(session, true);
        if (account.exported != 42 || account.history != (cases[i].in_ring == 42 ? 0 : 40))
            fail_msg("%s, %s: %llu exported, %llu of them history", cases[i].point, cases[i].outlier,
                     (unsigned long long)account.exported, (unsigned long long)account.history);
        assert_int_equal(account.speculative, cases[i].in_ring == 0 ? 2 : 0);
        expect_settled(session, &account, true);
    }
#else
    skip();
#endif
}

// ---- while a snapshot is exported ----

// Dies while the spans of a snapshot are put into a batch. That is of a custom exporter, so they stay where they are.
static void engine_that_takes_a_snapshot(void *point)
{
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                nsp_outlier_set_rules("*: slower=10s, history=60s") == NSP_OK);
    for (int i = 0; i < 10; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("kept root"));
        nsp_span_end(nsp_span_begin(NSP_NAME("kept child")));
        nsp_span_end(root);
    }
    CHILD_CHECK(nsp_snapshot(0) == NSP_OK);
    die_at(point, 1);
    nsp_do_work(1000);
}

static void a_snapshot_that_is_cut_short_balances(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const struct {
        const char *point;
        uint64_t counted;
    } cases[] = {
        {"snapshot: history copied", 0}, {"snapshot: about to count", 0},
        {"snapshot: counted", 0},        {"collector: before coverage", 0},
        {"collector: spans noted", 20},  {"snapshot: noted in the batch", 20},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engine_that_takes_a_snapshot, (void *)(uintptr_t)cases[i].point, session);
        nsp_recovery *recovery = recovery_of(session);
        const nsp_recovery_account account = balanced(recovery);
        assert_false(nsp_recovery_damaged(recovery));
        if (account.attempted != cases[i].counted || account.from_batches != cases[i].counted)
            fail_msg("%s: %llu attempted, %llu in batches", cases[i].point,
                     (unsigned long long)account.attempted, (unsigned long long)account.from_batches);
        assert_int_equal(account.lost_at_crash + account.engine_unconfirmed, 0);
        nsp_recovery_close(recovery);
    }
#else
    skip();
#endif
}

// ---- at any moment ----

enum { WORKERS = 3, CHILDREN_MAX = 6 };

static uint32_t *traces; // that have ended; shared with the child

// Some traces are kept, because they are asked for, and most are not. Each root says how many children it is to have.
static void *work(void *argument)
{
    uint64_t random = (uint64_t)(uintptr_t)argument;
    for (;;) {
        const uint64_t draw = nsp__random_splitmix(&random);
        const int64_t children = (int64_t)(draw % CHILDREN_MAX);
        nsp_span *root = nsp_span_begin(NSP_NAME("kept root"));
        nsp_span_set_i64(root, NSP_KEY("number"), children);
        for (int64_t i = 0; i < children; i++) {
            nsp_span *child = nsp_span_begin(NSP_NAME("kept child"));
            nsp_span_set_i64(child, NSP_KEY("number"), i);
            nsp_span_end(child);
        }
        if (draw / CHILDREN_MAX % 8 == 0)
            nsp_trace_keep();
        nsp_span_end(root);
        __atomic_fetch_add(traces, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void engine_of_workers(void *rules)
{
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK && nsp_outlier_set_rules(rules) == NSP_OK);
    for (uintptr_t i = 1; i <= WORKERS; i++) {
        pthread_t thread;
        CHILD_CHECK(pthread_create(&thread, NULL, work, (void *)i) == 0);
    }
    for (;;)
        pause();
}

static size_t children_of(const recovered_span *root)
{
    size_t children = 0;
    for (size_t i = 0; i < recovered_count(); i++)
        children += recovered_at(i)->parent_id == root->span_id;
    return children;
}

// A trace that had ended is whole, or says what is missing. Of one that was open there is what there was of it, and each
// thread has one at most.
static void expect_traces(void)
{
    size_t open = 0, members = 0;
    for (size_t i = 0; i < recovered_count(); i++) {
        const recovered_span *root = recovered_at(i);
        if (strcmp(root->name, "kept root") != 0)
            continue;
        const size_t children = children_of(root);
        members += 1 + children;
        open += root->unfinished;
        if (root->unfinished)
            assert_true(root->number == INT64_MIN || (int64_t)children <= root->number);
        else
            assert_int_equal((int64_t)children + root->left_out, root->number);
        assert_string_not_equal(root->kept, "");
        if (root->unfinished)
            assert_string_equal(root->kept, "recovered");
    }
    assert_int_equal(members, recovered_count());
    assert_true(open <= WORKERS);
}

static void at_random_instants(const char *rules, uint64_t seed)
{
    traces = mmap(NULL, sizeof *traces, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(traces != MAP_FAILED);
    for (int round = 0; round < 12; round++) {
        char session[SESSION_PATH_MAX];
        __atomic_store_n(traces, 0, __ATOMIC_RELAXED);
        const pid_t child = child_fork();
        if (child == 0)
            engine_of_workers((void *)(uintptr_t)rules);
        while (__atomic_load_n(traces, __ATOMIC_RELAXED) < 100)
            usleep(100);
        usleep((useconds_t)(nsp__random_splitmix(&seed) % 3000));
        kill(child, SIGKILL);
        child_wait(child, 60);
        assert_true(session_dir_of(directory, child, session));
        const nsp_recovery_account account = recover(session, true);
        expect_traces();
        expect_settled(session, &account, true);
        expect_settled(session, &account, false);
    }
    munmap(traces, sizeof *traces);
}

static void at_random(void **state)
{
    (void)state;
    at_random_instants("*: asked, slower=1000s", 1);
}

// Orders that cross threads, detached local roots, of an engine that dies while it keeps one.
static void engine_that_speculates_apart(void *argument)
{
    const char *point = argument;
    const nsp_ticks start = nsp_now(), later = start + (UINT64_C(1) << 40);
    const nsp_span_options options = {.size = sizeof options, .new_root = true, .start = start};
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK && nsp_outlier_set_rules("*: slower=1ms") == NSP_OK);
    for (int i = 0; i <= 10; i++) {
        if (i == 10)
            die_at(point, 1);
        nsp_span *root = nsp_span_begin_detached(NSP_NAME("kept order"), &options);
        CHILD_CHECK(nsp_span_recording(root));
        nsp_span_end_at(root, later);
    }
}

static void orders_that_are_half_kept_are_left_out(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char *const points[] = {"speculation: about to keep", "speculation: counted as attempted",
                                         "speculation: position noted", "speculation: published"};
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        const uint64_t finished = i < 3 ? 10 : 11;
        char session[SESSION_PATH_MAX];
        recovered_reset();
        engine_dies(directory, engine_that_speculates_apart, (void *)(uintptr_t)points[i], session);
        nsp_recovery_account account = recover_all(session);
        if (account.attempted != finished || account.finished != finished || account.exported != finished ||
            account.lost_at_crash != 0 || account.unfinished != 0)
            fail_msg("%s: %llu attempted, %llu finished, %llu exported, %llu lost", points[i],
                     (unsigned long long)account.attempted, (unsigned long long)account.finished,
                     (unsigned long long)account.exported, (unsigned long long)account.lost_at_crash);
    }
#else
    skip();
#endif
}

static void at_random_with_history(void **state)
{
    (void)state;
    at_random_instants("*: asked, slower=1000s, history=1ms", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(left_out, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(exported_where_asked, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(exported_afterwards, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(the_root_says_what_is_missing, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_killed_recovery_leaves_an_account, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(at_random, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(orders_that_are_half_kept_are_left_out, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(at_random_with_history, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(history_that_was_just_being_kept_comes_once, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_that_is_cut_short_balances, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(history_is_exported, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
