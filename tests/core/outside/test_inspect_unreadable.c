// SPDX-License-Identifier: Apache-2.0
//
// Sessions of dead engines of which something is missing or cannot be opened: they are neither empty nor alive nor
// gone, a recovery does not remove them, and the reason is told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nanospan/recover.h>

#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

static char session[SESSION_PATH_MAX], aside[SESSION_PATH_MAX + 16];

static void engine(void *unused)
{
    (void)unused;
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER; // nothing drains
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int i = 0; i < 10; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    raise(SIGKILL);
}

static int set_up(void **state)
{
    if (make_directory(state) != 0)
        return -1;
    engine_dies(directory, engine, NULL, session);
    snprintf(aside, sizeof aside, "%s/aside", directory);
    return 0;
}

typedef struct seen {
    size_t count;
    bool alive, not_started;
    char problem[200];
} seen;

static bool note(void *argument, const nsp_session *at)
{
    seen *out = argument;
    out->count++;
    out->alive = at->alive;
    out->not_started = at->not_started;
    snprintf(out->problem, sizeof out->problem, "%s", at->problem != NULL ? at->problem : "");
    return true;
}

// The one session is seen as one that has this problem.
static void assert_problem(const char *text)
{
    seen out = {0};
    assert_int_equal(nsp_sessions_each(directory, note, &out), NSP_OK);
    assert_int_equal(out.count, 1);
    if (out.alive || out.not_started || strstr(out.problem, text) == NULL)
        fail_msg("alive %d, not started %d: \"%s\", not \"%s\"", out.alive, out.not_started, out.problem,
                 text);
}

static void assert_whole(void)
{
    seen out = {0};
    assert_int_equal(nsp_sessions_each(directory, note, &out), NSP_OK);
    assert_int_equal(out.count, 1);
    assert_string_equal(out.problem, "");
}

static void assert_not_opened(nsp_status status, const char *text)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(nsp_recovery_open(&recovery, session, problem, sizeof problem), status);
    assert_null(recovery);
    if (strstr(problem, text) == NULL)
        fail_msg("\"%s\", not \"%s\"", problem, text);
}

static const char *path_of(const char *file)
{
    static char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", session, file);
    return path;
}

// The spans are still there: an engine that removes its session takes the name away first.
static void without_its_control_file(void **state)
{
    (void)state;
    static const char *const others[] = {"threads", "detached", "batches"};
    assert_int_equal(rename(path_of("control"), aside), 0);
    assert_problem("its control file is missing");
    assert_not_opened(NSP_ERR_DAMAGED, "its control file is missing");
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(unlink(path_of(others[i])), 0);
        assert_problem("its control file is missing");
    }
    // Where nothing is left, there are no spans.
    assert_int_equal(unlink(path_of(others[2])), 0);
    nsp_recovery *recovery;
    assert_int_equal(nsp_recovery_open(&recovery, session, NULL, 0), NSP_OK);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_OK);
    nsp_recovery_close(recovery);
}

// Nobody can tell then whether the engine lives.
static void without_a_readable_lock(void **state)
{
    (void)state;
    assert_int_equal(rename(path_of("alive"), aside), 0);
    assert_int_equal(symlink(aside, path_of("alive")), 0);
    assert_problem("its alive file cannot be opened: it is a link");
    assert_not_opened(NSP_ERR_SYSTEM, "its engine's lock cannot be read");
    assert_int_equal(unlink(path_of("alive")), 0);
    assert_int_equal(rename(aside, path_of("alive")), 0);
    assert_whole();
}

static void without_a_readable_directory(void **state)
{
    (void)state;
    assert_int_equal(rename(session, aside), 0);
    assert_int_equal(symlink(aside, session), 0);
    assert_problem("it cannot be opened: it is not a directory");
    assert_not_opened(NSP_ERR_SYSTEM, "it cannot be opened");
    assert_int_equal(unlink(session), 0);
    assert_int_equal(rename(aside, session), 0);
    assert_whole();
}

// With so many descriptors more than are open.
static nsp_status look_with(rlim_t descriptors, seen *out)
{
    struct rlimit limit;
    int next = dup(STDIN_FILENO);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit few = {(rlim_t)next + descriptors, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    *out = (seen){0};
    nsp_status status = nsp_sessions_each(directory, note, out);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    return status;
}

// Whatever it is that cannot be opened, the session does not vanish, and is not taken for a living one.
static void without_descriptors(void **state)
{
    (void)state;
    enum { ENOUGH = 16 };
    int folders = 0, sessions = 0;
    for (rlim_t descriptors = 0; descriptors < ENOUGH; descriptors++) {
        seen out;
        nsp_status status = look_with(descriptors, &out);
        if (status != NSP_OK) {
            assert_int_equal(status, NSP_ERR_SYSTEM);
            assert_non_null(strstr(nsp_error_detail(), "Too many open files"));
            assert_int_equal(sessions, 0);
            folders++;
            continue;
        }
        assert_int_equal(out.count, 1);
        assert_false(out.alive || out.not_started);
        sessions +=
            strstr(out.problem, "cannot be opened: Too many open files; raise the limit (ulimit -n)") != NULL;
        assert_true(out.problem[0] == 0 || sessions > 0);
    }
    assert_true(folders >= 2);  // the folder, and the list of what is in it
    assert_true(sessions >= 3); // the session, its lock, and its files
    assert_whole();
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(without_its_control_file),
        TEST(without_a_readable_lock),
        TEST(without_a_readable_directory),
        TEST(without_descriptors),
    };
    return cmocka_run_group_tests_name("inspect_unreadable", tests, NULL, NULL);
}
