// SPDX-License-Identifier: Apache-2.0
//
// Attempts to recover a session that fail: they are counted, also if the session cannot even be opened, and after
// two of them it is set aside. Sessions with nothing in them do not count: they open, and can be removed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "outside/recover/recover_attempts.h"
#include "shm/control.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

static char session[SESSION_PATH_MAX]; // of an engine that was killed with a span in its ring

static void engine(void *unused)
{
    (void)unused;
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
    raise(SIGKILL);
}

static int set_up(void **state)
{
    if (recovered_set_up(state) != 0)
        return -1;
    engine_dies(directory, engine, NULL, session);
    return 0;
}

static const char *path_of(const char *file)
{
    static char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/%s", session, file);
    return path;
}

static uint32_t attempts(void)
{
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    assert_true(folder >= 0);
    uint32_t count = nsp__attempts_read(folder);
    close(folder);
    return count;
}

// Opens the session and closes it again.
static nsp_status look(char problem[NSP_RECOVERY_PROBLEM_MAX])
{
    nsp_recovery *recovery;
    nsp_status status = nsp_recovery_open(&recovery, session, problem, NSP_RECOVERY_PROBLEM_MAX);
    nsp_recovery_close(recovery);
    return status;
}

static void sessions_that_cannot_be_opened(void **state)
{
    (void)state;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(truncate(path_of("control"), 5000), 0);
    for (uint32_t failed = 1; failed <= 2; failed++) {
        assert_int_equal(look(problem), NSP_ERR_DAMAGED);
        assert_int_equal(attempts(), failed);
    }
}

static void what_is_missing_is_damage(void **state)
{
    (void)state;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(unlink(path_of("control")), 0);
    assert_int_equal(look(problem), NSP_ERR_DAMAGED);
    assert_string_equal(problem, "its control file is missing");
    assert_int_equal(attempts(), 1);
}

static void what_is_no_failure_of_the_session(void **state)
{
    (void)state;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(look(problem), NSP_OK);
    assert_int_equal(attempts(), 0);
    int fd = open(path_of("control"), O_WRONLY);
    uint32_t version = 999;
    assert_int_equal(pwrite(fd, &version, sizeof version, offsetof(nsp__control, version)), sizeof version);
    close(fd);
    assert_int_equal(look(problem), NSP_ERR_UNSUPPORTED);
    assert_int_equal(attempts(), 0);
}

// Whatever file it is that cannot be opened any more, nobody takes that for damage.
static void too_many_open_files(void **state)
{
    (void)state;
    struct rlimit before;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    nsp_status status = NSP_ERR_SYSTEM;
    unsigned failures = 0;
    int lowest = dup(0);
    close(lowest);
    for (rlim_t limit = (rlim_t)lowest; status != NSP_OK; limit++) {
        const struct rlimit few = {limit, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        status = look(problem);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        if (status == NSP_OK)
            break;
        assert_int_equal(status, NSP_ERR_SYSTEM);
        assert_non_null(strstr(problem, "Too many open files"));
        failures++;
    }
    assert_true(failures >= 5);
    assert_int_equal(attempts(), 0);
}

#ifdef NSP_TESTPOINTS
static void open_and_die(void *unused)
{
    (void)unused;
    nsp_recovery *recovery;
    die_at("recover: before it is counted", 1);
    nsp_recovery_open(&recovery, session, NULL, 0);
}
#endif

static void crashes_while_it_is_opened(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    for (uint32_t crashes = 1; crashes <= 2; crashes++) {
        assert_true(WIFSIGNALED(child_run(open_and_die, NULL, 60)));
        assert_int_equal(attempts(), crashes);
    }
    nsp_recovery *recovery = recovery_of(session);
    assert_true(nsp_recovery_set_aside(recovery));
    nsp_recovery_close(recovery);
    assert_int_equal(attempts(), 2);
#else
    skip();
#endif
}

// ---- the count itself ----

static void write_without_room(void *unused)
{
    (void)unused;
    const struct rlimit none = {0, RLIM_INFINITY};
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    signal(SIGXFSZ, SIG_IGN);
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
    CHILD_CHECK(!nsp__attempts_write(folder, 3) && errno == EFBIG);
}

static void where_there_is_no_room_the_count_stays(void **state)
{
    (void)state;
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    assert_true(nsp__attempts_write(folder, 2));
    assert_int_equal(child_run(write_without_room, NULL, 60), 0);
    assert_int_equal(attempts(), 2);
    assert_int_not_equal(access(path_of("attempts.new"), F_OK), 0);
    assert_true(nsp__attempts_write(folder, 0));
    assert_int_equal(attempts(), 0);
    assert_true(nsp__attempts_write(folder, 0)); // also if there is no such file
    close(folder);
}

// ---- sessions with nothing in them ----

// Opens, exports nothing, and removes it.
static void recover_nothing(void)
{
    nsp_recovery *recovery = recovery_of(session);
    nsp_recovery_account account = balanced(recovery);
    assert_int_equal(account.attempted, 0);
    assert_int_equal(account.left, 0);
    assert_false(nsp_recovery_set_aside(recovery));
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    assert_int_equal(nsp_recovery_settle(recovery), NSP_OK);
    assert_int_equal(recovered_count(), 0);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_OK);
    nsp_recovery_close(recovery);
    assert_int_not_equal(access(session, F_OK), 0);
}

static void erase(const char *file, size_t bytes)
{
    static const char zeroes[64 * 1024];
    int fd = open(path_of(file), O_WRONLY);
    assert_int_equal(pwrite(fd, zeroes, bytes, 0), bytes);
    close(fd);
}

// The magic number is written last.
static void engines_that_died_while_they_started(void **state)
{
    (void)state;
    erase("control", sizeof(uint64_t));
    erase("batches", 64 * 1024);
    assert_int_equal(truncate(path_of("threads"), 0), 0);
    recover_nothing();
}

// What has threads or batches did start.
static void beginnings_that_are_overwritten(void **state)
{
    (void)state;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    erase("control", 4096);
    assert_int_equal(look(problem), NSP_ERR_DAMAGED);
    assert_string_equal(problem, "its control file is damaged: its beginning is overwritten");
    assert_int_equal(truncate(path_of("threads"), 0), 0);
    assert_int_equal(look(problem), NSP_ERR_DAMAGED);
    assert_int_equal(attempts(), 2);
}

// Without the files that hold spans there are none; while one of them is left, that `control` is missing is
// damage. A removal takes the name away first, so it leaves neither.
static void remains_of_a_removal(void **state)
{
    static const char *const files[] = {"control", "threads", "detached", "batches", "consumer", "alive"};
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    for (size_t gone = 1; gone <= 6; gone++) {
        for (size_t i = 0; i < gone; i++)
            assert_int_equal(unlink(path_of(files[i])), 0);
        if (gone < 4) {
            assert_int_equal(look(problem), NSP_ERR_DAMAGED);
            assert_string_equal(problem, "its control file is missing");
        } else {
            recover_nothing();
        }
        if (gone < 6) {
            remove_directory(state);
            assert_int_equal(set_up(state), 0);
        }
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(sessions_that_cannot_be_opened),
        TEST(what_is_missing_is_damage),
        TEST(what_is_no_failure_of_the_session),
        TEST(too_many_open_files),
        TEST(crashes_while_it_is_opened),
        TEST(where_there_is_no_room_the_count_stays),
        TEST(engines_that_died_while_they_started),
        TEST(beginnings_that_are_overwritten),
        TEST(remains_of_a_removal),
    };
    return cmocka_run_group_tests_name("recover_attempts", tests, NULL, NULL);
}
