// SPDX-License-Identifier: Apache-2.0
//
// kill -9 in the middle of work: every record in the session is complete afterwards, and no span is both
// finished and open.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/testpoint.h"
#include "support/child.h"
#include "support/session_fixture.h"
#include "support/session_reader.h"

static void start_engine(nsp_collector_mode mode)
{
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.collector = mode;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void run_phase(int64_t number)
{
    nsp_span *phase = nsp_span_begin(NSP_NAME("phase"));
    nsp_span_set_i64(phase, NSP_KEY("number"), number);
    nsp_span_set_str(phase, NSP_KEY("text"), "a text of more than sixteen bytes");
    nsp_span_end(phase);
}

// ---- at testpoints ----

typedef struct crash {
    const char *point; // the process dies when it reaches this point
    int visit;         // for the nth time
    size_t finished, open, committed;
} crash;

static const crash *planned;
static int visits;

static void die_as_planned(const char *point)
{
    if (strcmp(point, planned->point) == 0 && ++visits == planned->visit)
        raise(SIGKILL);
}

// A detached span and a root are open while ten phases end; then the detached span ends, then the root.
static void engine(void *argument)
{
    planned = argument;
    start_engine(NSP_COLLECTOR_INVOKER); // all records stay in the ring
    __atomic_store_n(&nsp__testpoint_hook, die_as_planned, __ATOMIC_RELEASE);
    nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    for (int i = 0; i < 10; i++)
        run_phase(i);
    nsp_span_end(life);
    nsp_span_end(root);
}

// Kills the engine there and reads what it left.
static session_reading crash_and_read(void (*body)(void *), void *argument)
{
    pid_t child = child_fork();
    if (child == 0) {
        body(argument);
        _exit(0);
    }
    int status = child_wait(child, 60);
    assert_true(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    char session[SESSION_PATH_MAX];
    session_reading reading;
    assert_true(session_dir_of(directory, child, session));
    if (!session_read(session, &reading))
        fail_msg("%s", reading.trouble);
    return reading;
}

static void at_testpoints(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    crash crashes[] = {
        // The position is noted but the record is not published: the span is open.
        {"commit: position noted", 1, 0, 3, 0},
        {"commit: position noted", 7, 6, 3, 0},
        {"commit: position noted", 11, 10, 2, 0}, // the detached one
        {"commit: position noted", 12, 11, 1, 0}, // the root
        // The record is published but the frame is not closed: the span is finished.
        {"commit: published", 1, 1, 2, 1},
        {"commit: published", 7, 7, 2, 1},
        {"commit: published", 11, 11, 1, 1},
        {"commit: published", 12, 12, 0, 1},
        // Claimed for its end, but nothing is written yet.
        {"detached: claimed for its end", 1, 10, 2, 0},
        {"attach: before visible", 1, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        session_reading reading = crash_and_read(engine, &crashes[i]);
        if (reading.finished != crashes[i].finished || reading.open != crashes[i].open ||
            reading.committed != crashes[i].committed)
            fail_msg("%s, visit %d: %zu finished, %zu open, %zu committed; expected were %zu, %zu, %zu",
                     crashes[i].point, crashes[i].visit, reading.finished, reading.open, reading.committed,
                     crashes[i].finished, crashes[i].open, crashes[i].committed);
        assert_int_equal(reading.slots, 1);
    }
#else
    skip();
#endif
}

// ---- at any moment ----

// A kill from outside, while rings wrap and the collector drains.
static void busy_engine(void *argument)
{
    (void)argument;
    start_engine(NSP_COLLECTOR_THREAD);
    for (int64_t i = 0;; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("root"));
        nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
        run_phase(i);
        run_phase(i);
        nsp_span_end(life);
        nsp_span_end(root);
    }
}

static void at_any_moment(void **state)
{
    (void)state;
    size_t finished = 0, opened = 0;
    // Until some have died with open spans: where a ring is always full, most roots are refused.
    for (int i = 0; i < 40 || (i < 400 && (finished == 0 || opened == 0)); i++) {
        pid_t child = child_fork();
        if (child == 0) {
            busy_engine(NULL);
            _exit(0);
        }
        char session[SESSION_PATH_MAX];
        for (int tries = 0; !session_dir_of(directory, child, session) && tries < 12000; tries++)
            nanosleep(&(struct timespec){0, 5000000}, NULL);
        // Half of the processes may die before their session is complete; the others have recorded something
        // by then.
        session_reading reading;
        for (int tries = 0;
             i % 2 && (!session_read(session, &reading) || reading.slots == 0) && tries < 12000; tries++)
            nanosleep(&(struct timespec){0, 5000000}, NULL);
        nanosleep(&(struct timespec){0, 30000000 + i % 40 * 377000}, NULL);
        kill(child, SIGKILL);
        int status = child_wait(child, 60);
        assert_true(status >= 0 && WIFSIGNALED(status));
        // A process that is killed during its start leaves no session yet.
        if (!session_read(session, &reading) &&
            (i % 2 || (strstr(reading.trouble, "no session") == NULL &&
                       strstr(reading.trouble, "cannot be read") == NULL)))
            fail_msg("%s", reading.trouble);
        finished += reading.finished;
        opened += reading.open;
        session_dir_remove(session);
    }
    assert_true(finished > 0);
    assert_true(opened > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_testpoints, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(at_any_moment, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
