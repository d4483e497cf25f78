// SPDX-License-Identifier: Apache-2.0
//
// Engines that start, run and die at the same time: none mistakes another's session for a dead one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/testpoint.h"
#include "shm/session_lock.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/session_fixture.h"

static void configure(nsp_config *config)
{
    small_sessions(config);
    config->keep_sessions = 0;
}

static void start(void)
{
    nsp_config config;
    configure(&config);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

// Acts like another engine that starts and removes what seems dead. Returns the number of sessions that
// remain.
static size_t prune(void)
{
    nsp_config config;
    configure(&config);
    capture_start(&config);
    size_t left = session_dir_count(directory) - 1;
    capture_end();
    return left;
}

// ---- many at once ----

enum { ENGINES = 64 };

static void linger(const char *name)
{
    if (strncmp(name, "session: ", 9) == 0)
        nanosleep(&(struct timespec){0, 3000000}, NULL);
}

typedef struct pipes {
    int ready[2], stop[2];
} pipes;

static void engine(const pipes *gates)
{
    char byte = 0, session[SESSION_PATH_MAX];
#ifdef NSP_TESTPOINTS
    __atomic_store_n(&nsp__testpoint_hook, linger, __ATOMIC_RELEASE);
#else
    (void)linger;
#endif
    start();
    CHILD_CHECK(write(gates->ready[1], &byte, 1) == 1);
    close(gates->stop[1]);
    CHILD_CHECK(read(gates->stop[0], &byte, 1) == 0); // until the test closes it
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(!session_dir_of(directory, getpid(), session));
    CHILD_CHECK(capture_lines_with("memory") == 0);
}

static void engines_that_start_at_once(void **state)
{
    (void)state;
    pipes gates;
    pid_t engines[ENGINES];
    assert_int_equal(pipe(gates.ready), 0);
    assert_int_equal(pipe(gates.stop), 0);
    for (int i = 0; i < ENGINES; i++) {
        engines[i] = fork();
        if (engines[i] == 0) {
            engine(&gates);
            _exit(0);
        }
        assert_true(engines[i] > 0);
    }
    char byte;
    close(gates.ready[1]);
    for (int i = 0; i < ENGINES; i++)
        assert_int_equal(read(gates.ready[0], &byte, 1), 1);
    assert_int_equal(session_dir_count(directory), ENGINES);
    close(gates.stop[1]);
    for (int i = 0; i < ENGINES; i++)
        assert_int_equal(child_wait(engines[i], 60), 0);
    close(gates.ready[0]);
    close(gates.stop[0]);
    assert_int_equal(session_dir_count(directory), 0);
}

// ---- the remains of incomplete sessions ----

static const char *death; // the testpoint at which an engine dies

static void die(const char *name)
{
    if (strcmp(name, death) == 0)
        raise(SIGKILL);
}

static void engine_that_dies(void *point)
{
    death = point;
    __atomic_store_n(&nsp__testpoint_hook, die, __ATOMIC_RELEASE);
    start();
    nsp_shutdown(10000000000u);
}

static void leave_incomplete(const char *point)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", point);
    assert_true(WIFSIGNALED(child_run(engine_that_dies, copy, 60)));
}

// The number of sessions that are being made, and the path of one.
static size_t hidden(char path[SESSION_PATH_MAX])
{
    char command[SESSION_PATH_MAX + 64];
    snprintf(command, sizeof command, "ls -d %s/nanospan-%u/.[!.]*", directory, (unsigned)geteuid());
    FILE *list = popen(command, "r");
    assert_non_null(list);
    size_t count = 0;
    while (fgets(path, SESSION_PATH_MAX, list) != NULL)
        count++;
    pclose(list);
    path[strcspn(path, "\n")] = 0;
    return count;
}

static int user_folder(void)
{
    char path[SESSION_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/nanospan-%u", directory, (unsigned)geteuid());
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    return folder;
}

static void incomplete_sessions_are_removed(void **state)
{
    (void)state;
#ifndef NSP_TESTPOINTS
    SKIP_BECAUSE("it needs testpoints");
#endif
    char path[SESSION_PATH_MAX];
    leave_incomplete("session: before it has its name");
    assert_int_equal(hidden(path), 1);
    assert_int_equal(session_dir_count(directory), 0); // an incomplete session is not visible
    const int folder = user_folder();
    assert_int_equal(flock(folder, LOCK_SH), 0); // as an engine does that is starting
    prune();
    assert_int_equal(hidden(path), 1); // it is too new to be removed
    // Or the clock has been set back since.
    for (int age = 120; age >= -120; age -= 240) {
        const struct timespec then[2] = {{time(NULL) - age, 0}, {time(NULL) - age, 0}};
        assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
        prune();
        assert_int_equal(hidden(path), 0);
        if (age > 0) {
            leave_incomplete("session: before it has its name");
            assert_int_equal(hidden(path), 1);
        }
    }
    close(folder);
}

// In its first moment a session has no lock of its own. Where an engine dies then, the next one removes the remains.
static const char *const first_moments[] = {"session: its folder is made", "session: before it is locked",
                                            "session: before it has its name"};
enum { FIRST_MOMENTS = sizeof first_moments / sizeof first_moments[0] };

static void incomplete_sessions_go_at_once(void **state)
{
    (void)state;
#ifndef NSP_TESTPOINTS
    SKIP_BECAUSE("it needs testpoints");
#endif
    char path[SESSION_PATH_MAX];
    for (size_t i = 0; i < FIRST_MOMENTS; i++) {
        leave_incomplete(first_moments[i]);
        assert_int_equal(hidden(path), 1);
        prune();
        assert_int_equal(hidden(path), 0);
    }
}

static void stop_here(const char *name)
{
    if (death != NULL && strcmp(name, death) == 0) {
        death = NULL;
        raise(SIGSTOP);
    }
}

// Where it lives, however slow it is, nobody touches its session.
static void sessions_that_are_being_made_stay(void **state)
{
    (void)state;
#ifndef NSP_TESTPOINTS
    SKIP_BECAUSE("it needs testpoints");
#endif
    char path[SESSION_PATH_MAX], session[SESSION_PATH_MAX];
    for (size_t i = 0; i < FIRST_MOMENTS; i++) {
        fflush(NULL);
        pid_t engine = fork();
        if (engine == 0) {
            death = first_moments[i];
            __atomic_store_n(&nsp__testpoint_hook, stop_here, __ATOMIC_RELEASE);
            start();
            CHILD_CHECK(session_dir_of(directory, getpid(), session));
            nsp_shutdown(10000000000u);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(engine, &status, WUNTRACED), engine);
        assert_true(WIFSTOPPED(status));
        prune();
        assert_int_equal(hidden(path), 1);
        assert_int_equal(kill(engine, SIGCONT), 0);
        assert_int_equal(child_wait(engine, 60), 0);
        assert_int_equal(hidden(path), 0);
    }
}

// Somebody who removes remains and is stopped keeps no engine from starting.
static void removers_that_hang(void **state)
{
    (void)state;
    prune(); // makes the user's folder
    const int folder = user_folder();
    assert_int_equal(flock(folder, LOCK_EX), 0);
    assert_int_equal(prune(), 0);
    close(folder);
}

// An engine that dies while it removes its session leaves nothing that looks like one.
static void removals_that_are_cut_short(void **state)
{
    (void)state;
#ifndef NSP_TESTPOINTS
    SKIP_BECAUSE("it needs testpoints");
#endif
    static const char *const points[] = {"shutdown: without its name", "shutdown: a file is gone"};
    char path[SESSION_PATH_MAX];
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        leave_incomplete(points[i]);
        assert_int_equal(session_dir_count(directory), 0);
        assert_int_equal(hidden(path), 1);
        prune();
        assert_int_equal(hidden(path), 0);
    }
}

// ---- locks ----

static bool is_alive(const char *session)
{
    int folder = open(session, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(folder >= 0);
    bool alive = !nsp__session_lock_free(folder, "alive");
    close(folder);
    return alive;
}

// Acts like an engine of an earlier version: it has a record lock, and only on `alive`.
static void earlier_version(void *argument)
{
    char path[SESSION_PATH_MAX + 64];
    int *ends = argument;
    char byte = 0;
    snprintf(path, sizeof path, "%s/nanospan-%u/old.1.00000001", directory, (unsigned)geteuid());
    CHILD_CHECK(mkdir(path, 0700) == 0);
    strcat(path, "/alive");
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    CHILD_CHECK(fcntl(fd, F_SETLK, &lock) == 0);
    CHILD_CHECK(write(ends[1], &byte, 1) == 1);
    CHILD_CHECK(read(ends[2], &byte, 1) == 1);
}

static void record_locks_count(void **state)
{
    (void)state;
    int ends[4];
    char byte = 0;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(pipe(ends + 2), 0);
    prune(); // makes the user's folder
    pid_t child = fork();
    if (child == 0) {
        earlier_version(ends);
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    assert_int_equal(prune(), 1);
    assert_int_equal(write(ends[3], &byte, 1), 1);
    assert_int_equal(child_wait(child, 60), 0);
    assert_int_equal(prune(), 0);
    for (int i = 0; i < 4; i++)
        close(ends[i]);
}

typedef struct engine_pids {
    pid_t engine, child;
} engine_pids;

// Forks a child that stays alive, prints both ids, and then either executes another program or waits.
static void engine_with_child(int out, bool execs)
{
    engine_pids pids = {getpid(), 0};
    start();
    pids.child = fork();
    if (pids.child == 0) {
        pause();
        _exit(0);
    }
    CHILD_CHECK(write(out, &pids, sizeof pids) == sizeof pids);
    if (execs)
        execl("/bin/sleep", "sleep", "100", (char *)NULL);
    pause();
}

static void session_ends_with_its_engine(bool execs)
{
    int out[2];
    char session[SESSION_PATH_MAX];
    engine_pids pids;
    SKIP_WITHOUT_FORK_ADVICE(); // the child would keep the session's locks
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t parent = fork();
    if (parent == 0)
        engine_with_child(out[1], execs);
    assert_int_equal(read(out[0], &pids, sizeof pids), sizeof pids);
    assert_true(session_dir_of(directory, pids.engine, session));
    if (execs) {
        for (int tries = 0; is_alive(session) && tries < 6000; tries++)
            nanosleep(&(struct timespec){0, 10000000}, NULL);
    } else {
        assert_true(is_alive(session));
        kill(parent, SIGKILL);
        waitpid(parent, NULL, 0);
    }
    assert_int_equal(kill(pids.child, 0), 0); // it has nothing that keeps the session alive
    assert_false(is_alive(session));
    kill(pids.child, SIGKILL);
    if (execs) {
        kill(parent, SIGKILL);
        waitpid(parent, NULL, 0);
    }
    close(out[0]);
    close(out[1]);
    assert_int_equal(prune(), 0);
}

static void a_child_that_outlives_its_engine(void **state)
{
    (void)state;
    session_ends_with_its_engine(false);
}

static void an_engine_that_runs_another_program(void **state)
{
    (void)state;
    session_ends_with_its_engine(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(engines_that_start_at_once, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(incomplete_sessions_are_removed, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(incomplete_sessions_go_at_once, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(sessions_that_are_being_made_stay, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(removers_that_hang, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(removals_that_are_cut_short, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(record_locks_count, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_child_that_outlives_its_engine, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(an_engine_that_runs_another_program, make_directory,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
