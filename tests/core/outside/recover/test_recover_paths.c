// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Paths of engines that die: those that have ended and are in a ring, and those that are open, of which the phases that
// were over are finished spans. Each span comes once, and the account balances wherever the engine was.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/inspect.h>
#include <nanospan/nanospan.h>

#include "shm/control.h"
#include "support/child.h"
#include "support/recover_engine.h"
#include "support/recovered.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(text, 16, "text")                                                                                    \
    PHASE(decode, "decode")                                                                                  \
    I64(number, "number")                                                                                    \
    PHASE(check, "check")                                                                                    \
    F64(available, "available")                                                                              \
    PHASE(submit, "submit")                                                                                  \
    BOOL(accepted, "accepted")
NSP_PATH_DECLARE(order_path, "order", ORDER)

// ---- engines ----

// phases: how many are marked.
static order_path *begin_order(int phases, bool detached)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = detached;
    order_path *path = detached ? order_path_begin_with(&options) : order_path_begin();
    NSP_PATH_STR(path, text, "AAPL", 4);
    if (phases > 0)
        NSP_PATH_MARK(path, decode);
    path->number = 7;
    if (phases > 1)
        NSP_PATH_MARK(path, check);
    path->available = 2.5;
    if (phases > 2)
        NSP_PATH_MARK(path, submit);
    path->accepted = 1;
    return path;
}

static void engine_with_paths(void *argument)
{
    (void)argument;
    start_engine(NSP_COLLECTOR_INVOKER);
    for (int i = 0; i < 10; i++)
        order_path_end(begin_order(3, false));
    begin_order(2, true); // a detached one, and one on the stack with a child of its phase
    begin_order(3, false);
    nsp_span_begin(NSP_NAME("child"));
    raise(SIGKILL);
}

static const recovered_span *only(const char *name, bool unfinished)
{
    const recovered_span *found = NULL;
    for (size_t i = 0; i < recovered_count(); i++) {
        const recovered_span *span = recovered_at(i);
        if (strcmp(span->name, name) != 0 || span->unfinished != unfinished)
            continue;
        assert_null(found);
        found = span;
    }
    assert_non_null(found);
    return found;
}

// One phase ends by the reading by which the next begins. Two marks may fall into the same nanosecond, and a span lasts
// one at least.
static void expect_meeting(const recovered_span *before, const recovered_span *after)
{
    const bool at_once = before->start_ns == after->start_ns && before->end_ns == before->start_ns + 1;
    if (!at_once)
        assert_int_equal(before->end_ns, after->start_ns);
}

static void ended_and_open(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_paths, NULL, session);
    const nsp_recovery_account account = recover_all(session);
    // Ten of four spans each; two open roots with an open phase each and one and two finished ones; a child.
    assert_int_equal(account.attempted, 40 + 3 + 4 + 1);
    assert_int_equal(account.finished, 40 + 1 + 2);
    assert_int_equal(account.unfinished, 2 + 2 + 1);
    assert_int_equal(account.exported, 48);
    assert_int_equal(account.left, 0);
    assert_int_equal(account.lost_at_crash, 0);
    assert_int_equal(recovered_count(), 48);
    assert_int_equal(recovered_distinct(), 48);
    assert_int_equal(recovered_unfinished(), 5);
    assert_int_equal(recovered_named("order"), 12);
    assert_int_equal(recovered_named("decode"), 12);
    assert_int_equal(recovered_named("check"), 12);
    assert_int_equal(recovered_named("submit"), 11);
    for (size_t i = 0; i < 40; i += 4) { // in the order in which ordinary spans would have ended
        const recovered_span *decode = recovered_at(i), *check = recovered_at(i + 1),
                             *submit = recovered_at(i + 2), *order = recovered_at(i + 3);
        assert_string_equal(decode->name, "decode");
        assert_string_equal(check->name, "check");
        assert_string_equal(submit->name, "submit");
        assert_string_equal(order->name, "order");
        assert_true(decode->parent_id == order->span_id && submit->parent_id == order->span_id);
        expect_meeting(decode, check);
        expect_meeting(check, submit);
        assert_int_equal(decode->number, 7);
        assert_int_equal(decode->attributes, 1);
        assert_int_equal(check->attributes, 1);
        assert_string_equal(order->text, "AAPL");
    }
    // The phase that was open, and the one that a child of it names as its parent.
    assert_int_equal(only("child", true)->parent_id, only("submit", true)->span_id);
    assert_true(only("check", true)->attributes == 1 &&
                only("check", true)->end_ns > only("check", true)->start_ns);

    recovered_reset();
    const nsp_recovery_account again = recover_all(session);
    assert_int_equal(again.attempted, 48);
    assert_int_equal(again.engine_exported, 48);
    assert_int_equal(again.finished + again.unfinished + again.from_batches, 0);
}

// ---- in the middle of an end ----

typedef struct crash {
    const char *point;
    int visit;
    uint64_t finished, unfinished;
} crash;

static void engine_of_three(void *argument)
{
    const crash *planned = argument;
    start_engine(NSP_COLLECTOR_INVOKER);
    die_at(planned->point, planned->visit);
    order_path *life = begin_order(1, true);
    for (int i = 0; i < 2; i++)
        order_path_end(begin_order(3, false));
    order_path_end(life);
    raise(SIGKILL);
}

typedef struct look {
    const char *session;
    uint64_t missing; // spans that are in none of the places
    bool seen;
} look;

// What a look from outside says of the dead engine.
static bool add_up(void *argument, const nsp_session *session)
{
    look *me = argument;
    const nsp_stats *s = &session->stats;
    if (strcmp(session->directory, me->session) != 0)
        return true;
    me->missing = s->attempted - s->open - s->in_rings;
    me->seen = true;
    return false;
}

static void at_testpoints(void **state)
{
    (void)state;
    const crash crashes[] = {
        // Whether its phases are counted or not, an open path is found with them.
        {"path: about to count its phases", 1, 2, 4},
        {"path: phases counted", 1, 2, 4},
        {"path: phases counted", 2, 6, 4},
        {"path: phases counted", 3, 8, 2},
        {"commit: position noted", 1, 2, 4},
        {"commit: position noted", 3, 8, 2},
        {"commit: published", 1, 4, 2},
        {"commit: published", 2, 8, 2},
        {"commit: published", 3, 10, 0},
    };
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        char session[SESSION_PATH_MAX];
        crash planned = crashes[i];
        recovered_reset();
        engine_dies(directory, engine_of_three, &planned, session);
        look seen = {.session = session};
        assert_int_equal(nsp_sessions_each(directory, add_up, &seen), NSP_OK);
        // What was published last is not counted as committed any more.
        const uint64_t uncommitted = strcmp(planned.point, "commit: published") != 0 ? 0
                                     : planned.visit == 3                            ? 2
                                                                                     : 4;
        assert_true(seen.seen);
        assert_int_equal(seen.missing, uncommitted);
        const nsp_recovery_account account = recover_all(session);
        if (account.finished != planned.finished || account.unfinished != planned.unfinished ||
            account.lost_at_crash != 0)
            fail_msg("%s, visit %d: %d finished, %d unfinished, %d lost", planned.point, planned.visit,
                     (int)account.finished, (int)account.unfinished, (int)account.lost_at_crash);
        assert_int_equal(recovered_distinct(), account.finished + account.unfinished);
        recovered_reset();
        assert_int_equal(recover_all(session).attempted, account.attempted);
        assert_int_equal(recovered_count(), 0);
    }
}

// ---- paths that find no room ----

typedef struct dropped {
    const char *point;
    int visit;
    int phases;
    bool detached, ruled, sampled;
} dropped;

// Its last path is dropped, because the ring is full.
static void engine_with_a_full_ring(void *argument)
{
    const dropped *its = argument;
    nsp_config config;
    nsp_stats stats = NSP_STATS_INIT;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.watermark = 1; // roots begin all the same
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (nsp_stats_get(&stats); stats.dropped_ring_full == 0; nsp_stats_get(&stats))
        nsp_span_end(nsp_span_begin(NSP_NAME("filler")));
    if (its->ruled)
        CHILD_CHECK(nsp_outlier_set_rules("*: asked") == NSP_OK &&
                    nsp_sampler_set_rate(its->sampled ? 1 : 0) == NSP_OK);
    die_at(its->point, its->visit);
    order_path *path = begin_order(its->phases, its->detached);
    if (its->phases == 3)
        CHILD_CHECK(!its->ruled || its->detached || nsp_trace_keep());
    order_path_end(path);
    raise(SIGKILL);
}

// Only one of its spans is lost, wherever its engine dies, and only in the last case none.
static void dropped_one_after_the_other(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const char phase[] = "drop: a phase is out of its path",
                      span[] = "drop: a span is counted as attempted";
    static const dropped cases[] = {
        {phase, 0, 3, .detached = false},
        {phase, 0, 2, .detached = true},
        {phase, 0, 3, .ruled = true, .sampled = true},
        {span, 0, 3, .ruled = true, .sampled = false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        dropped planned = cases[i];
        const int spans = planned.phases + (planned.point == span);
        uint64_t attempted = 0;
        for (planned.visit = 1; planned.visit <= spans + 1; planned.visit++) {
            char session[SESSION_PATH_MAX];
            recovered_reset();
            engine_dies(directory, engine_with_a_full_ring, &planned, session);
            nsp_recovery *recovery = recovery_of(session);
            const nsp_recovery_account account = balanced(recovery);
            assert_false(nsp_recovery_damaged(recovery));
            nsp_recovery_close(recovery);
            if (account.lost_at_crash != (planned.visit <= spans ? 1 : 0))
                fail_msg("case %d, visit %d: %d lost", (int)i, planned.visit, (int)account.lost_at_crash);
            // Of a trace of which it was just decided, as many are begun as were counted.
            const bool counts = planned.point == span && planned.visit <= spans;
            assert_true(planned.visit == 1 || account.attempted == attempted + counts);
            attempted = account.attempted;
            assert_int_equal(recover_all(session).exported, account.finished + account.unfinished);
        }
    }
#else
    skip();
#endif
}

// ---- parts, batches, damage ----

// A receiver that takes a request in parts, one of which ends within a path, and then is gone: the spans of that path
// are not settled, and come again.
static void a_part_within_a_path(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_paths, NULL, session);
    recovered.part = 6;
    const nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.exported, 48);
    assert_int_equal(recovered_distinct(), 48);
    assert_int_equal(account.left, 0);

    char other[SESSION_PATH_MAX];
    recovered_reset();
    engine_dies(directory, engine_with_paths, NULL, other);
    recovered.part = 6;
    recovered.answer = NSP_SEND_RETRY;
    nsp_recovery *recovery = recovery_of(other);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.timeout_ns = 300000000;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
    nsp_recovery_account half = balanced(recovery);
    assert_int_equal(half.exported, 4);
    assert_int_equal(half.left, 44);
    nsp_recovery_close(recovery);
    recovered_reset();
    const nsp_recovery_account rest = recover_all(other);
    assert_int_equal(rest.attempted, 48);
    assert_int_equal(rest.engine_exported, 4);
    assert_int_equal(rest.exported, 44);
    assert_int_equal(recovered_distinct(), 44);
}

static void damage_declaration(const char *session)
{
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/control", session);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    const long at = (long)(offsetof(nsp__control, paths) + offsetof(nsp__paths, path[0].phase_names));
    assert_int_equal(fseek(file, at, SEEK_SET), 0);
    assert_int_equal(fputc(0xff, file), 0xff);
    assert_int_equal(fclose(file), 0);
}

// Without the declaration there is only the path's own span, and the account has the rest.
static void a_damaged_declaration(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_paths, NULL, session);
    damage_declaration(session);
    const nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.attempted, 48);
    assert_int_equal(account.exported, 13);
    assert_int_equal(account.invalid, 35);
    assert_int_equal(account.left, 0);
    assert_int_equal(recovered_count(), 13);
    assert_int_equal(recovered_named("order"), 12);
    for (size_t i = 0; i < 10; i++)
        assert_int_equal(recovered_at(i)->left_out, 3);
    recovered_reset();
    assert_int_equal(recover_all(session).dropped, 35);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ended_and_open, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(at_testpoints, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(dropped_one_after_the_other, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_part_within_a_path, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_damaged_declaration, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
