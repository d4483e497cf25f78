// SPDX-License-Identifier: Apache-2.0
//
// Log lines: where they go, their form, how many there are, and that they survive threads and forks.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/log_limit.h"
#include <nanospan/nanospan.h>

enum { LINES_MAX = 64 };

// What the callback received. Plain memory: calls are one at a time, and ThreadSanitizer would see if they
// were not.
static struct {
    char text[LINES_MAX][1100];
    nsp_log_level level[LINES_MAX];
    int count;
    void *context;
} received;

static void receive(void *context, nsp_log_level level, const char *line)
{
    int place = received.count++ % LINES_MAX;
    received.context = context;
    received.level[place] = level;
    snprintf(received.text[place], sizeof received.text[place], "%s", line);
    errno = ENOTTY;
}

static int begin(void **state)
{
    (void)state;
    memset(&received, 0, sizeof received);
    nsp__log_configure(NSP_LOG_INFO, receive, &received);
    return 0;
}

static void a_line_reaches_the_callback(void **state)
{
    (void)state;
    errno = EDOM;
    nsp__log(NSP_LOG_WARN, "", "%d of %s\n\tlost", 3, "five");
    assert_int_equal(errno, EDOM);
    assert_int_equal(received.count, 1);
    assert_ptr_equal(received.context, &received);
    assert_int_equal(received.level[0], NSP_LOG_WARN);
    assert_string_equal(received.text[0], "3 of five  lost");
}

// The text of a receiver or variable may contain anything; a terminal obeys C1 characters just like escape.
static void what_others_wrote_steers_no_terminal(void **state)
{
    (void)state;
    static const char *const texts[][2] = {
        {"\x1b[2Jred\x07", " [2Jred "},
        {"a\x7f"
         "b",
         "a b"},
        {"\xc2\x9b"
         "31m\xc2\x85",
         "  31m  "}, // C1 in UTF-8
        {"\x9b"
         "31m\xff",
         "?31m?"}, // a C1 byte in Latin-1, as a terminal with a one-byte character set sees it
        {"\xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82", "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x99\x82"}, // text stays
        {"\xc0\xaf \xed\xa0\x80 \xe2\x82", "?? ??? ??"}, // overlong, a surrogate, cut short
        {"\xc2\xa0", "\xc2\xa0"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        nsp__log(NSP_LOG_WARN, "", "%s", texts[i][0]);
        assert_string_equal(received.text[i], texts[i][1]);
        nsp__fail(NSP_ERR_SYSTEM, "%s", texts[i][0]);
        assert_string_equal(nsp_error_detail(), texts[i][1]);
    }
}

static void a_long_line_is_cut_at_a_character(void **state)
{
    (void)state;
    static char text[5000];
    for (int shift = 0; shift < 3; shift++) {
        memset(text, 'y', sizeof text - 1);
        for (size_t at = (size_t)shift; at + 3 < sizeof text; at += 3)
            memcpy(text + at, "\xe2\x82\xac", 3);
        nsp__log(NSP_LOG_INFO, "", "%s", text);
        const char *line = received.text[shift];
        assert_null(strchr(line, '?'));
        assert_int_equal((strlen(line) - 3 - (size_t)shift) % 3, 0);
        assert_string_equal(line + strlen(line) - 6, "\xe2\x82\xac...");
    }
}

static void levels_are_filtered(void **state)
{
    (void)state;
    nsp__log(NSP_LOG_DEBUG, "", "debug");
    assert_int_equal(received.count, 0);
    nsp__log(NSP_LOG_INFO, "", "info");
    nsp__log(NSP_LOG_ERROR, "", "error");
    assert_int_equal(received.count, 2);
    nsp__log_configure(NSP_LOG_DEBUG, receive, NULL);
    nsp__log(NSP_LOG_DEBUG, "", "debug");
    assert_int_equal(received.count, 3);
    nsp__log_configure(NSP_LOG_NONE, receive, NULL);
    nsp__log(NSP_LOG_ERROR, "", "error");
    nsp__log(NSP_LOG_NONE, "", "of no level");
    assert_int_equal(received.count, 3);
}

static void a_subject_is_limited_and_others_are_not(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        nsp__log(NSP_LOG_WARN, "limited", "line %d", i);
    assert_int_equal(received.count, NSP__LOG_LIMIT_BURST);
    assert_string_equal(received.text[4], "line 4");
    nsp__log(NSP_LOG_WARN, "another", "line");
    assert_int_equal(received.count, NSP__LOG_LIMIT_BURST + 1);
    for (int i = 0; i < 20; i++)
        nsp__log(NSP_LOG_WARN, "", "line %d", i);
    assert_int_equal(received.count, NSP__LOG_LIMIT_BURST + 21);
}

static void a_long_line_is_cut_visibly(void **state)
{
    (void)state;
    static char text[5000];
    memset(text, 'y', sizeof text - 1);
    nsp__log(NSP_LOG_INFO, "", "%s", text);
    size_t length = strlen(received.text[0]);
    assert_true(length > 500 && length < 1024);
    assert_string_equal(received.text[0] + length - 4, "y...");
}

static void call_back_into_the_log(void *context, nsp_log_level level, const char *line)
{
    receive(context, level, line);
    nsp__log(NSP_LOG_ERROR, "", "from the callback");
}

static void a_callback_that_logs_does_not_deadlock(void **state)
{
    (void)state;
    nsp__log_configure(NSP_LOG_INFO, call_back_into_the_log, NULL);
    alarm(20);
    nsp__log(NSP_LOG_INFO, "", "once");
    alarm(0);
    assert_int_equal(received.count, 1);
}

static void standard_error_gets_one_line(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    char text[200];
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    nsp__log_configure(NSP_LOG_INFO, NULL, NULL);
    nsp__log(NSP_LOG_WARN, "", "no %s", "endpoint");
    dup2(saved, STDERR_FILENO);
    close(saved);
    ssize_t length = read(ends[0], text, sizeof text - 1);
    close(ends[0]);
    close(ends[1]);
    assert_true(length > 0);
    text[length] = 0;
    assert_string_equal(text, "nanospan: warn: no endpoint\n");
}

static void *log_many(void *argument)
{
    (void)argument;
    for (int i = 0; i < 1000; i++)
        nsp__log(NSP_LOG_INFO, "", "a line of a thread");
    return NULL;
}

static void threads_log_one_at_a_time(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(received.count, 4000);
}

static int stop;

static void *log_until_stopped(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        nsp__log(NSP_LOG_INFO, "", "a line during a fork");
    return NULL;
}

// Without the hooks a child is sooner or later forked while the other thread holds the lock, and hangs.
static void a_forked_child_can_log(void **state)
{
    (void)state;
    pthread_t thread;
    stop = 0;
    assert_int_equal(pthread_create(&thread, NULL, log_until_stopped, NULL), 0);
    nsp_flush(0); // links the library's fork handlers into this program
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            int before = received.count;
            nsp__log(NSP_LOG_INFO, "", "from the child");
            _exit(received.count == before + 1 ? 0 : 1);
        }
        int status = -1;
        assert_true(child > 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

static const uint64_t second = UINT64_C(1000000000);

static void tokens_come_back_with_time(void **state)
{
    (void)state;
    nsp__log_limit limit = {0};
    uint64_t held_back, now = 77 * second;
    for (int i = 0; i < NSP__LOG_LIMIT_BURST; i++)
        assert_true(nsp__log_limit_admit(&limit, "a", now, &held_back));
    for (int i = 0; i < 12; i++)
        assert_false(nsp__log_limit_admit(&limit, "a", now + 9 * second, &held_back));
    assert_true(nsp__log_limit_admit(&limit, "a", now + 10 * second, &held_back));
    assert_int_equal(held_back, 12);
    assert_false(nsp__log_limit_admit(&limit, "a", now + 19 * second, &held_back));
    assert_true(nsp__log_limit_admit(&limit, "a", now + 20 * second, &held_back));
    assert_int_equal(held_back, 1);
    // A long silence brings the burst back, and no more.
    now += 10000 * second;
    for (int i = 0; i < NSP__LOG_LIMIT_BURST; i++) {
        assert_true(nsp__log_limit_admit(&limit, "a", now, &held_back));
        assert_int_equal(held_back, 0);
    }
    assert_false(nsp__log_limit_admit(&limit, "a", now, &held_back));
    assert_true(nsp__log_limit_admit(&limit, "", now, &held_back));
}

static void more_subjects_than_places_are_still_limited(void **state)
{
    (void)state;
    nsp__log_limit limit = {0};
    uint64_t held_back, now = second;
    char subject[16];
    for (int i = 0; i < 3 * NSP__LOG_LIMIT_SUBJECTS; i++) {
        snprintf(subject, sizeof subject, "s%d", i);
        assert_true(nsp__log_limit_admit(&limit, subject, now++, &held_back));
    }
    // The most recent ones are remembered.
    for (int i = 1; i < NSP__LOG_LIMIT_BURST; i++)
        assert_true(nsp__log_limit_admit(&limit, subject, now++, &held_back));
    assert_false(nsp__log_limit_admit(&limit, subject, now, &held_back));
}

static void suppressed_lines_are_counted(void **state)
{
    (void)state;
    for (int i = 0; i < NSP__LOG_LIMIT_BURST + 3; i++)
        nsp__log(NSP_LOG_WARN, "told", "line");
    sleep(11);
    nsp__log(NSP_LOG_WARN, "told", "after all");
    assert_int_equal(received.count, NSP__LOG_LIMIT_BURST + 1);
    assert_string_equal(received.text[NSP__LOG_LIMIT_BURST], "after all (3 more)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_reaches_the_callback, begin),
        cmocka_unit_test_setup(what_others_wrote_steers_no_terminal, begin),
        cmocka_unit_test_setup(a_long_line_is_cut_at_a_character, begin),
        cmocka_unit_test_setup(levels_are_filtered, begin),
        cmocka_unit_test_setup(a_subject_is_limited_and_others_are_not, begin),
        cmocka_unit_test_setup(a_long_line_is_cut_visibly, begin),
        cmocka_unit_test_setup(a_callback_that_logs_does_not_deadlock, begin),
        cmocka_unit_test_setup(standard_error_gets_one_line, begin),
        cmocka_unit_test_setup(threads_log_one_at_a_time, begin),
        cmocka_unit_test_setup(a_forked_child_can_log, begin),
        cmocka_unit_test(tokens_come_back_with_time),
        cmocka_unit_test(more_subjects_than_places_are_still_limited),
        cmocka_unit_test_setup(suppressed_lines_are_counted, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
