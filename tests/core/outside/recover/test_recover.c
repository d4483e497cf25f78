// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Recovery of sessions that engines leave which die by kill -9: what was in the rings and what was open, each
// span once, and an account that balances in every case.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "outside/recover/recover_attempts.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "support/child.h"
#include "support/recover_engine.h"
#include "support/recovered.h"

// ---- what is in the rings, and what is open ----

static void finished_and_unfinished(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_open_spans, NULL, session);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.attempted, 13);
    assert_int_equal(account.finished, 10);
    assert_int_equal(account.unfinished, 3);
    assert_int_equal(account.exported, 13);
    assert_int_equal(account.left, 0);
    assert_int_equal(recovered_count(), 13);
    assert_int_equal(recovered_distinct(), 13);
    assert_int_equal(recovered_named("phase"), 10);
    assert_int_equal(recovered_unfinished(), 3);
    assert_non_null(strstr(recovered.resource, "service.name=the engine\n"));
    assert_non_null(strstr(recovered.resource, "team=blue\n"));
    const recovered_span *root = NULL, *open = NULL, *life = NULL;
    for (size_t i = 0; i < 13; i++) {
        const recovered_span *span = recovered_at(i);
        if (i < 10) { // finished ones come first, in their order
            assert_string_equal(span->name, "phase");
            assert_int_equal(span->number, i);
            assert_string_equal(span->text, "a text of more than sixteen bytes");
            assert_false(span->unfinished);
        }
        root = strcmp(span->name, "root") == 0 ? span : root;
        open = strcmp(span->name, "open") == 0 ? span : open;
        life = strcmp(span->name, "life") == 0 ? span : life;
    }
    assert_true(root != NULL && open != NULL && life != NULL);
    assert_true(root->unfinished && open->unfinished && life->unfinished);
    assert_true(open->parent_id == root->span_id && recovered_at(0)->parent_id == root->span_id);
    assert_string_equal(open->text, "so far");
    assert_int_equal(open->attributes, 2);
    assert_int_equal(life->number, 77);
    for (size_t i = 0; i < 13; i++) // nothing ends after the end; a duration of 0 becomes 1 ns
        assert_true(recovered_at(i)->end_ns <= root->end_ns + 1 &&
                    recovered_at(i)->end_ns > recovered_at(i)->start_ns);

    // What was settled is not found again, and stays in the account.
    recovered_reset();
    nsp_recovery_account again = recover_all(session);
    assert_int_equal(again.attempted, 13);
    assert_int_equal(again.engine_exported, 13);
    assert_int_equal(again.finished + again.unfinished + again.from_batches, 0);
    assert_int_equal(recovered_count(), 0);
}

// ---- engines that die in the middle of a step ----

typedef struct crash {
    const char *point;
    int visit;
    uint64_t finished, unfinished, lost;
} crash;

static void engine_of_ten(void *argument)
{
    const crash *planned = argument;
    start_engine(NSP_COLLECTOR_INVOKER);
    die_at(planned->point, planned->visit);
    nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    for (int i = 0; i < 10; i++)
        run_phase(i);
    nsp_span_end(life);
    nsp_span_end(root);
}

static void at_testpoints(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    crash crashes[] = {
        {"commit: position noted", 1, 0, 3, 0},
        {"commit: position noted", 11, 10, 2, 0},
        {"commit: position noted", 12, 11, 1, 0},
        {"commit: published", 1, 1, 2, 0}, // not counted as committed
        {"commit: published", 11, 11, 1, 0},
        {"commit: published", 12, 12, 0, 0},
        {"detached: claimed for its end", 1, 10, 2, 0}, // its tag fits no handle any more
    };
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        char session[SESSION_PATH_MAX];
        recovered_reset();
        engine_dies(directory, engine_of_ten, &crashes[i], session);
        nsp_recovery_account account = recover_all(session);
        if (account.finished != crashes[i].finished || account.unfinished != crashes[i].unfinished ||
            account.lost_at_crash != crashes[i].lost)
            fail_msg("%s, visit %d: %d finished, %d unfinished, %d lost", crashes[i].point, crashes[i].visit,
                     (int)account.finished, (int)account.unfinished, (int)account.lost_at_crash);
        assert_int_equal(recovered_distinct(), account.finished + account.unfinished);
        assert_int_equal(recovered_unfinished(), account.unfinished);
        assert_int_equal(recovered_count(), account.exported);
    }
#else
    skip();
#endif
}

// Dies between taking room for an attribute and writing it. In that room lies an attribute of the span that used
// the frame before.
static void engine_in_a_setter(void *argument)
{
    (void)argument;
    start_engine(NSP_COLLECTOR_INVOKER);
    nsp_span *before = nsp_span_begin(NSP_NAME("before"));
    nsp_span_set_i64(before, NSP_KEY("number"), 4);
    nsp_span_set_str(before, NSP_KEY("text"), "a leftover");
    nsp_span_end(before);
    nsp_span *span = nsp_span_begin(NSP_NAME("open"));
    nsp_span_set_i64(span, NSP_KEY("number"), 5);
    die_at("attribute: claimed", 1);
    nsp_span_set_str(span, NSP_KEY("text"), "as long as");
}

static void leftovers_are_left_out(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_in_a_setter, NULL, session);
    assert_int_equal(recover_all(session).exported, 2);
    const recovered_span *open = recovered_at(1);
    assert_true(open->unfinished);
    assert_string_equal(open->name, "open");
    assert_int_equal(open->number, 5);
    assert_int_equal(open->attributes, 1);
    assert_string_equal(open->text, "");
#else
    skip();
#endif
}

// ---- settled later ----

static void settled_later(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_with_open_spans, NULL, session);
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.settle_later = true;
    for (int settles = 0; settles < 2; settles++) {
        recovered_reset();
        nsp_recovery *recovery = recovery_of(session);
        assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
        assert_int_equal(balanced(recovery).exported, 13);
        assert_int_equal(recovered_distinct(), 13); // also the second time: nothing was settled
        if (settles)
            assert_int_equal(nsp_recovery_settle(recovery), NSP_OK);
        nsp_recovery_close(recovery);
    }
    recovered_reset();
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(recovered_count(), 0);
    assert_int_equal(account.engine_exported, 13);
}

// ---- recoveries that die ----

static uint64_t *sent; // shared with the child

static void count_sent(const nsp_batch *batch)
{
    __atomic_fetch_add(sent, batch->spans, __ATOMIC_RELAXED);
}

typedef struct killing {
    const char *point, *session;
    int request; // while this one is settled
} killing;

static void recovery_dies(void *argument)
{
    const killing *planned = argument;
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    nsp_recovery *recovery;
    CHILD_CHECK(nsp_recovery_open(&recovery, planned->session, NULL, 0) == NSP_OK);
    recovered.sending = count_sent;
    die_at(planned->point, planned->request);
    nsp_recovery_export(recovery, &options);
}

static void a_killed_recovery_repeats_one_request_at_most(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const struct {
        const char *point;
        uint64_t settled;
    } cases[] = {
        {"recover: before positions", 20},
        {"recover: settlement noted", 30}, // the next recovery completes it
        {"recover: positions written", 30},
        {"recover: before counters", 30},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char session[SESSION_PATH_MAX];
        recovered_reset();
        *sent = 0;
        engine_dies(directory, engine_of_hundred, NULL, session);
        killing planned = {cases[i].point, session, 3};
        int status = child_run(recovery_dies, &planned, 60);
        assert_true(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(*sent, 30);
        nsp_recovery_account account = recover_all(session);
        assert_int_equal(account.attempted, 100);
        assert_int_equal(account.engine_exported, cases[i].settled);
        assert_int_equal(account.engine_unconfirmed, 0);
        assert_int_equal(account.exported, 100 - cases[i].settled);
        assert_int_equal(recovered_distinct(), 100 - cases[i].settled);
        assert_int_equal(account.lost_at_crash, 0);
    }
#else
    skip();
#endif
}

#ifdef NSP_TESTPOINTS
static uint32_t attempts(const char *session)
{
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    assert_true(folder >= 0);
    uint32_t count = nsp__attempts_read(folder);
    close(folder);
    return count;
}

// One that has waited for its receiver before it dies has not failed at the session, and on a busy machine
// that happens to any: until so many are counted.
static void crash_until_counted(killing *planned, uint32_t counted)
{
    for (int tries = 0; attempts(planned->session) < counted; tries++) {
        assert_true(tries < 100);
        assert_true(WIFSIGNALED(child_run(recovery_dies, planned, 60)));
    }
    assert_int_equal(attempts(planned->session), counted);
}
#endif

static void two_crashes_set_it_aside(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    for (uint32_t crashes = 0; crashes < 2; crashes++) {
        nsp_recovery *recovery = recovery_of(session);
        assert_false(nsp_recovery_set_aside(recovery));
        nsp_recovery_close(recovery);
        killing planned = {"recover: before positions", session, 1};
        crash_until_counted(&planned, crashes + 1);
    }
    nsp_recovery *recovery = recovery_of(session);
    assert_true(nsp_recovery_set_aside(recovery));
    assert_int_equal(nsp_recovery_remove(recovery, true), NSP_OK);
    nsp_recovery_close(recovery);
    assert_int_equal(access(session, F_OK), -1);
#else
    skip();
#endif
}

// One that settles something before it dies leaves less to the next one: they come to an end.
static void crashes_that_get_on_do_not_count(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    for (int crashes = 0; crashes < 4; crashes++) {
        // The first one without any: that does not count any more, either.
        killing planned = {"recover: before positions", session, crashes == 0 ? 1 : 2};
        assert_true(WIFSIGNALED(child_run(recovery_dies, &planned, 60)));
    }
    nsp_recovery *recovery = recovery_of(session);
    assert_false(nsp_recovery_set_aside(recovery));
    assert_int_equal(balanced(recovery).left, 70);
    nsp_recovery_close(recovery);
#else
    skip();
#endif
}

// ---- who may recover what ----

static void one_at_a_time(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], problem[NSP_RECOVERY_PROBLEM_MAX];
    engine_dies(directory, engine_with_open_spans, NULL, session);
    nsp_recovery *first = recovery_of(session), *second;
    assert_int_equal(nsp_recovery_open(&second, session, problem, sizeof problem), NSP_ERR_BUSY);
    assert_null(second);
    assert_string_equal(problem, "another process is recovering or draining it");
    nsp_recovery_close(first);
    nsp_recovery_close(recovery_of(session));
}

static void living_engines_are_left_alone(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    char session[SESSION_PATH_MAX], problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_true(session_dir_of(directory, getpid(), session));
    nsp_recovery *recovery;
    assert_int_equal(nsp_recovery_open(&recovery, session, problem, sizeof problem), NSP_ERR_BUSY);
    assert_string_equal(problem, "its engine is running");
    capture_end();
}

static void what_is_no_session(void **state)
{
    (void)state;
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX], path[SESSION_PATH_MAX + 40];
    assert_int_equal(nsp_recovery_open(NULL, directory, NULL, 0), NSP_ERR_INVALID);
    assert_int_equal(nsp_recovery_open(&recovery, NULL, NULL, 0), NSP_ERR_INVALID);
    assert_int_equal(nsp_recovery_open(&recovery, "", problem, sizeof problem), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_recovery_open(&recovery, "/nowhere/a.1.2", NULL, 0), NSP_ERR_NOT_FOUND);
    snprintf(path, sizeof path, "%s/a.1.2", directory);
    assert_int_equal(nsp_recovery_open(&recovery, path, problem, sizeof problem), NSP_ERR_NOT_FOUND);
    assert_null(recovery);
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    assert_int_equal(nsp_recovery_open(&recovery, path, problem, sizeof problem), NSP_ERR_INVALID);
    assert_string_equal(problem, "its path is too long");
    assert_null(recovery);
    nsp_recovery_close(NULL);
}

// ---- damage ----

// Reads the place of the first thread's slot, and the slot.
static uint64_t slot_of(const char *session, nsp__slot *slot)
{
    char path[SESSION_PATH_MAX + 20];
    nsp__slot_place place;
    snprintf(path, sizeof path, "%s/control", session);
    int fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, &place, sizeof place, offsetof(nsp__control, places)), sizeof place);
    close(fd);
    snprintf(path, sizeof path, "%s/threads", session);
    fd = open(path, O_RDONLY);
    assert_int_equal(pread(fd, slot, sizeof *slot, (off_t)place.offset), sizeof *slot);
    close(fd);
    return place.offset;
}

static void overwrite(const char *session, const char *file, uint64_t offset, const void *bytes,
                      size_t length)
{
    char path[SESSION_PATH_MAX + 20];
    snprintf(path, sizeof path, "%s/%s", session, file);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
    close(fd);
}

static void damaged_records_are_invalid(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    nsp__slot slot;
    engine_dies(directory, engine_of_hundred, NULL, session);
    uint64_t place = slot_of(session, &slot), record = slot.published / 100;
    const uint32_t impossible = 5;
    overwrite(session, "threads", place + slot.ring_offset + 60 * record, &impossible, sizeof impossible);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.finished, 100);
    assert_int_equal(account.exported, 60);
    assert_int_equal(account.invalid, 40);
    assert_int_equal(recovered_distinct(), 60);
    account = recover_all(session); // which finds the damage again
    assert_int_equal(account.exported, 0);
    assert_int_equal(account.invalid, 40);
    assert_int_equal(account.engine_exported, 60);
    nsp_recovery *recovery = recovery_of(session);
    assert_true(nsp_recovery_damaged(recovery));
    assert_true(nsp_recovery_set_aside(recovery));
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_ERR_INVALID); // it is left, before an export
    assert_int_equal(nsp_recovery_remove(recovery, true), NSP_OK);
    nsp_recovery_close(recovery);
}

static void damaged_clocks_are_refused(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], problem[NSP_RECOVERY_PROBLEM_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    const uint64_t none = 0;
    overwrite(session, "control", offsetof(nsp__control, clock) + offsetof(nsp__clock, published), &none,
              sizeof none);
    nsp_recovery *recovery;
    assert_int_equal(nsp_recovery_open(&recovery, session, problem, sizeof problem), NSP_ERR_DAMAGED);
    assert_string_equal(problem, "its map of the clock is damaged");
}

int main(void)
{
    sent = mmap(NULL, sizeof *sent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sent == MAP_FAILED)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(finished_and_unfinished, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(at_testpoints, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(leftovers_are_left_out, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(settled_later, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_killed_recovery_repeats_one_request_at_most, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(two_crashes_set_it_aside, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(crashes_that_get_on_do_not_count, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(one_at_a_time, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(living_engines_are_left_alone, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_session, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(damaged_records_are_invalid, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(damaged_clocks_are_refused, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
