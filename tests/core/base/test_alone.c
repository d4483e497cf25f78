// SPDX-License-Identifier: Apache-2.0
//
// ctest: TIMEOUT 240
// A program whose main thread ends by pthread_exit ends with its own last thread, with exit(0) and all spans
// flushed, in the way it would end without the library. SIGTERM ends it at any time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "support/child.h"
#include "support/emulator.h"
#include "support/receiver.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull

enum { SPANS = 10, CODE = 42 };

// ---- the child's half ----

static const char *endpoint;

// Shows that the process ended by exit, because its status 0 can no longer be seen.
static void at_the_end(void)
{
    _exit(CODE);
}

static void record(void)
{
    for (int i = 0; i < SPANS; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void start(nsp_collector_mode collector, uint64_t exit_timeout_ns)
{
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.endpoint = endpoint;
    config.collector = collector;
    config.exit_timeout_ns = exit_timeout_ns;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record();
}

static void main_thread_ends(void)
{
    start(NSP_COLLECTOR_THREAD, 60 * SECOND);
}

static void in_invoker_mode(void)
{
    start(NSP_COLLECTOR_INVOKER, 60 * SECOND);
}

static void without_exporter(void)
{
    nsp_config config;
    script_config(&config);
    config.custom_exporter = NULL;
    config.exporter = "none";
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record();
}

static void *live_on(void *argument)
{
    test_sleep_ms(1500);
    record();
    return argument;
}

static void another_thread_lives_on(void)
{
    pthread_t thread;
    start(NSP_COLLECTOR_THREAD, 60 * SECOND);
    CHILD_CHECK(pthread_create(&thread, NULL, live_on, NULL) == 0);
}

static void with_a_backend_that_does_not_answer(void)
{
    start(NSP_COLLECTOR_THREAD, 600 * SECOND);
}

static void look_up(void *copy, const char *name, void *function)
{
    void *address = dlsym(copy, name);
    CHILD_CHECK(address != NULL);
    memcpy(function, &address, sizeof address);
}

// Loads another copy of the library, which is what a plug-in may do.
static void with_two_copies(void)
{
    void *copy = dlopen(NSP_BUILD_DIR "/libnanospan.so", RTLD_NOW | RTLD_LOCAL);
    if (copy == NULL)
        _exit(77);
    nsp_status (*init)(const nsp_config *);
    nsp_span *(*begin_span)(nsp_name);
    void (*end_span)(nsp_span *);
    look_up(copy, "nsp_init", &init);
    look_up(copy, "nsp_span_begin", &begin_span);
    look_up(copy, "nsp_span_end", &end_span);
    CHILD_CHECK(init != nsp_init);
    setenv("OTLP_ENDPOINT", endpoint, 1);
    setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf", 1);
    CHILD_CHECK(init(NULL) == NSP_OK);
    for (int i = 0; i < SPANS; i++)
        end_span(begin_span(1));
    start(NSP_COLLECTOR_THREAD, 60 * SECOND);
}

static const struct {
    const char *name;
    void (*run)(void);
} cases[] = {
#define CASE(name)                                                                                           \
    {                                                                                                        \
#name, name                                                                                          \
    }
    CASE(main_thread_ends),        CASE(in_invoker_mode), CASE(without_exporter),
    CASE(another_thread_lives_on), CASE(with_two_copies), CASE(with_a_backend_that_does_not_answer),
#undef CASE
};
enum { CASES = sizeof cases / sizeof *cases };

static void run(const char *name)
{
    script_reset();
    atexit(at_the_end);
    for (size_t i = 0; i < CASES; i++)
        if (strcmp(cases[i].name, name) == 0)
            cases[i].run();
    pthread_exit(NULL);
}

// ---- the test's half ----

static pid_t begin(void (*which)(void), const char *url)
{
    const char *name = NULL;
    for (size_t i = 0; i < CASES; i++)
        if (cases[i].run == which)
            name = cases[i].name;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        program_exec("/proc/self/exe", environ, "test_alone", name, url, (char *)NULL);
        _exit(127);
    }
    return child;
}

static void expect_the_end(void (*which)(void), unsigned spans)
{
    for (int i = 0; i < 3; i++) {
        receiver *end = receiver_start(NULL, 0);
        uint64_t before = test_now_ns();
        int status = child_wait(begin(which, receiver_endpoint(end)), 100);
        print_message("gone after %.2f s\n", (double)(test_now_ns() - before) / 1e9);
        if (which == with_two_copies && WIFEXITED(status) && WEXITSTATUS(status) == 77) {
            receiver_stop(end);
            skip();
        }
        if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE)
            fail_msg("status %x", (unsigned)status);
        assert_int_equal(tally_distinct(receiver_tally(end)), spans);
        receiver_stop(end);
    }
}

static void it_ends_flushed(void **state)
{
    (void)state;
    expect_the_end(main_thread_ends, SPANS);
}

static void it_ends_in_invoker_mode(void **state)
{
    (void)state;
    expect_the_end(in_invoker_mode, SPANS);
}

static void it_ends_without_an_exporter(void **state)
{
    (void)state;
    expect_the_end(without_exporter, 0);
}

static void it_lives_as_long_as_its_last_thread(void **state)
{
    (void)state;
    expect_the_end(another_thread_lives_on, 2 * SPANS);
}

static void two_copies_do_not_wait_for_each_other(void **state)
{
    (void)state;
    expect_the_end(with_two_copies, 2 * SPANS);
}

// SIGTERM works at any time after main has ended: before the library notices that, and while it waits for the
// backend.
static void sigterm_ends_it(void **state)
{
    (void)state;
    static const unsigned delays_ms[] = {0, 100, 1500};
    static const receiver_manner silent = RECEIVER_STALL;
    for (size_t i = 0; i < sizeof delays_ms / sizeof *delays_ms; i++) {
        receiver *end = receiver_start(&silent, 1);
        pid_t child = begin(with_a_backend_that_does_not_answer, receiver_endpoint(end));
        while (receiver_requests(end) == 0) // a batch is closed after a while
            test_sleep_ms(10);
        test_sleep_ms(delays_ms[i]);
        assert_int_equal(kill(child, SIGTERM), 0);
        int status = child_wait(child, 60);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
            fail_msg("status %x", (unsigned)status);
        receiver_stop(end);
    }
}

int main(int count, char **arguments)
{
    if (count > 2) {
        endpoint = arguments[2];
        run(arguments[1]);
    }
    if (TEST_UNDER_TSAN || test_emulated()) {
        puts("the thread sanitizer and the emulator have a thread of their own, with which nobody is alone");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_ends_flushed),
        cmocka_unit_test(it_ends_in_invoker_mode),
        cmocka_unit_test(it_ends_without_an_exporter),
        cmocka_unit_test(it_lives_as_long_as_its_last_thread),
        cmocka_unit_test(two_copies_do_not_wait_for_each_other),
        cmocka_unit_test(sigterm_ends_it),
    };
    return cmocka_run_group_tests_name("alone", tests, NULL, NULL);
}
