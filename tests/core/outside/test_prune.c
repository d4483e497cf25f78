// SPDX-License-Identifier: Apache-2.0
//
// Which sessions of dead engines make room for others: first those that nobody misses, never one that somebody
// works on, and none of another version before somebody was told.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "common/descriptor.h"
#include "outside/session/session_files.h"
#include "shm/control.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

// An engine that is killed with this many unsent spans, or with a trace in history, or one that is open and not decided.
// Earlier sessions stay.
enum { HISTORY = 1000, UNDECIDED };

static void engine(void *argument)
{
    const unsigned unsent = *(const unsigned *)argument;
    nsp_config config;
    small_sessions(&config);
    config.keep_sessions = 1000;
    config.collector = NSP_COLLECTOR_INVOKER;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    nsp_span_end(nsp_span_begin(NSP_NAME("sent")));
    CHILD_CHECK(nsp_flush(10000000000u) == NSP_OK);
    const bool speculates = unsent >= HISTORY;
    if (speculates)
        CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                    nsp_outlier_set_rules("*: slower=1000s, history=60s") == NSP_OK);
    for (unsigned i = 0; i < (speculates ? unsent == HISTORY : unsent); i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("unsent")));
    if (unsent == UNDECIDED)
        nsp_span_begin(NSP_NAME("undecided"));
    raise(SIGKILL);
}

// age: seconds since its engine began.
static void make_dead(unsigned unsent, int age, char session[SESSION_PATH_MAX])
{
    char alive[SESSION_PATH_MAX + 8];
    const struct timespec then[2] = {{time(NULL) - age, 0}, {time(NULL) - age, 0}};
    engine_dies(directory, engine, &unsent, session);
    snprintf(alive, sizeof alive, "%s/alive", session);
    assert_int_equal(utimensat(AT_FDCWD, alive, then, 0), 0);
}

static bool is_there(const char *session)
{
    return access(session, F_OK) == 0;
}

// Starts and ends an engine with this limit, and returns the number of log lines that contain the text.
static size_t prune(uint32_t keep_sessions, const char *text)
{
    nsp_config config;
    small_sessions(&config);
    config.keep_sessions = keep_sessions;
    capture_start(&config);
    size_t lines = capture_lines_with(text);
    capture_end();
    return lines;
}

static void those_without_unsent_spans_go_first(void **state)
{
    (void)state;
    char sessions[5][SESSION_PATH_MAX];
    static const struct {
        unsigned unsent;
        int age;
    } made[5] = {{3, 500}, {0, 100}, {1, 400}, {0, 200}, {2, 300}};
    for (int i = 0; i < 5; i++)
        make_dead(made[i].unsent, made[i].age, sessions[i]);
    static const int order[5] = {3, 1, 0, 2, 4};
    for (unsigned removed = 0; removed < 5; removed++) {
        const char *lost = removed < 2 ? "removed 1 session of dead engines" : "had not been sent";
        assert_int_equal(prune(4 - removed, lost), 1);
        for (unsigned i = 0; i < 5; i++)
            assert_true(is_there(sessions[order[i]]) == (i > removed));
    }
}

// What only a recovery with --speculative exports is kept longer than nothing, and less long than spans.
static void history_goes_before_spans(void **state)
{
    (void)state;
    char sessions[4][SESSION_PATH_MAX];
    static const struct {
        unsigned unsent;
        int age;
    } made[4] = {{HISTORY, 500}, {1, 600}, {0, 100}, {UNDECIDED, 400}};
    for (int i = 0; i < 4; i++)
        make_dead(made[i].unsent, made[i].age, sessions[i]);
    static const int order[4] = {2, 0, 3, 1};
    static const char *const said[4] = {"removed 1 session of dead engines", "; 1 had history or traces",
                                        "; 1 had history or traces", "; 1 of their spans had not been sent"};
    for (unsigned removed = 0; removed < 4; removed++) {
        assert_int_equal(prune(3 - removed, said[removed]), 1);
        for (unsigned i = 0; i < 4; i++)
            if (is_there(sessions[order[i]]) != (i > removed))
                fail_msg("after %u removals, session %d is %s", removed + 1, order[i],
                         i > removed ? "gone" : "there");
    }
}

// The line says how many spans are lost.
static void loss_is_reported(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    make_dead(3, 10, session);
    make_dead(4, 10, session);
    assert_int_equal(prune(0, "; 7 of their spans had not been sent"), 1);
    make_dead(0, 10, session);
    assert_int_equal(prune(0, "had not been sent"), 0);
    assert_false(is_there(session));
}

static void what_somebody_works_on_stays(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    make_dead(1, 10, session);
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    int lock = nsp__session_consume(folder);
    assert_true(lock >= 0);
    assert_int_equal(nsp__session_consume(folder), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(prune(0, "removed"), 0);
    assert_true(is_there(session));
    nsp__session_unlock(lock);
    assert_int_equal(prune(0, "removed"), 1);
    assert_false(is_there(session));
    close(folder);
}

// A child of a fork shares the lock's description, but not what its parent released.
static void released_also_in_a_child(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    make_dead(1, 10, session);
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    int lock = nsp__session_consume(folder);
    pid_t child = fork();
    if (child == 0) {
        pause();
        _exit(0);
    }
    nsp__session_unlock(lock);
    lock = nsp__session_consume(folder);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(lock >= 0);
    nsp__session_unlock(lock);
    close(folder);
}

static void other_versions_are_announced(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], control[SESSION_PATH_MAX + 16];
    make_dead(1, 10, session);
    snprintf(control, sizeof control, "%s/control", session);
    int fd = open(control, O_RDWR);
    uint32_t version = 1;
    assert_int_equal(pwrite(fd, &version, sizeof version, offsetof(nsp__control, version)), sizeof version);
    close(fd);
    const char *name = strrchr(session, '/') + 1;
    assert_int_equal(prune(1, name), 0); // there is room for it
    assert_int_equal(prune(0, name), 1);
    assert_true(is_there(session));
    assert_int_equal(prune(0, name), 0); // once
    assert_false(is_there(session));
}

// A removal that was cut short, and a session that lost its locks.
static void remains_are_removed(void **state)
{
    (void)state;
    static const char *const gone[][6] = {
        {"control"},
        {"control", "threads", "detached", "batches"},
        {"consumer"},
        {"control", "threads", "detached", "batches", "consumer"},
    };
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 16];
        make_dead(1, 10, session);
        for (size_t j = 0; j < 6 && gone[i][j] != NULL; j++) {
            snprintf(path, sizeof path, "%s/%s", session, gone[i][j]);
            assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(prune(0, "removed"), 1);
        assert_false(is_there(session));
    }
}

// The name that a session has while it is removed.
static void nameless(const char *session, char path[SESSION_PATH_MAX + 16])
{
    const char *name = strrchr(session, '/') + 1;
    snprintf(path, SESSION_PATH_MAX + 16, "%.*s.%s", (int)(name - session), session, name);
}

// Nothing that does not belong to a session is removed: it stays behind, where nobody takes it for a session.
static void foreign_files_stay(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], remains[SESSION_PATH_MAX + 16], path[SESSION_PATH_MAX + 32];
    make_dead(0, 10, session);
    snprintf(path, sizeof path, "%s/notes", session);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(prune(0, "removed 1 session"), 1);
    assert_false(is_there(session));
    nameless(session, remains);
    snprintf(path, sizeof path, "%s/notes", remains);
    assert_true(is_there(path));
    unlink(path);
    assert_int_equal(rmdir(remains), 0); // there was nothing else
}

static void sessions_that_cannot_be_read_are_announced(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], control[SESSION_PATH_MAX + 16];
    make_dead(3, 10, session);
    snprintf(control, sizeof control, "%s/control", session);
    assert_int_equal(truncate(control, 5000), 0);
    assert_int_equal(prune(0, "; 1 could not be read, so nobody knows what it held"), 1);
    assert_false(is_there(session));
}

// ---- removals that are cut short ----

static int dies_at; // the process kills itself at the nth file that it removes

int unlinkat(int folder, const char *name, int flags)
{
    if (dies_at != 0 && --dies_at == 0)
        raise(SIGKILL);
    return (int)syscall(SYS_unlinkat, folder, name, flags);
}

typedef struct removal {
    const char *session;
    int dies_at;
} removal;

static void remove_and_die(void *argument)
{
    const removal *planned = argument;
    nsp_recovery *recovery;
    CHILD_CHECK(nsp_recovery_open(&recovery, planned->session, NULL, 0) == NSP_OK);
    dies_at = planned->dies_at;
    nsp_recovery_remove(recovery, true);
}

// What is left then is no session, and goes with the next pruning.
static void removals_that_are_cut_short(void **state)
{
    (void)state;
    for (int file = 1; file <= 3; file++) {
        char session[SESSION_PATH_MAX], remains[SESSION_PATH_MAX + 16];
        make_dead(1, 10, session);
        removal planned = {session, file};
        assert_true(WIFSIGNALED(child_run(remove_and_die, &planned, 60)));
        nameless(session, remains);
        assert_false(is_there(session));
        assert_true(is_there(remains));
        assert_int_equal(prune(1000, "removed 1 session"), 1);
        assert_false(is_there(remains));
    }
}

// ---- locks that cannot be had ----

static bool without_locks;

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (without_locks && command == F_OFD_SETLK) {
        errno = ENOLCK;
        return -1;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

// Two that work on one session would send its spans twice.
static void without_locks_nobody_works_on_it(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX], problem[NSP_RECOVERY_PROBLEM_MAX];
    make_dead(1, 10, session);
    int folder = open(session, O_RDONLY | O_DIRECTORY);
    nsp_recovery *recovery;
    without_locks = true;
    errno = 0;
    int lock = nsp__session_consume(folder), error = errno;
    nsp_status status = nsp_recovery_open(&recovery, session, problem, sizeof problem);
    without_locks = false;
    assert_int_equal(lock, -1);
    assert_int_equal(error, ENOLCK);
    assert_int_equal(status, NSP_ERR_SYSTEM);
    assert_non_null(strstr(problem, "it cannot be locked: "));
    close(folder);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(those_without_unsent_spans_go_first),
        TEST(history_goes_before_spans),
        TEST(loss_is_reported),
        TEST(what_somebody_works_on_stays),
        TEST(released_also_in_a_child),
        TEST(other_versions_are_announced),
        TEST(remains_are_removed),
        TEST(foreign_files_stay),
        TEST(sessions_that_cannot_be_read_are_announced),
        TEST(removals_that_are_cut_short),
        TEST(without_locks_nobody_works_on_it),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
