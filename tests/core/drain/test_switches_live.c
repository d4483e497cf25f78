// SPDX-License-Identifier: Apache-2.0
//
// Context switches that really happen, in spans, where the kernel permits it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/time.h"
#include "drain/switch_ring.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/threads.h"

// Why this cannot be tested here; NULL: it can.
static const char *forbidden(void)
{
    nsp__switch_ring ring;
    bool mapping;
    const int error = nsp__switch_ring_open(&ring, (uint32_t)getpid(), &mapping);
    nsp__switch_ring_close(&ring);
    return error != 0 ? strerror(error) : NULL;
}

static int begin(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_THREAD;
    config.sample_rate = 1;
    config.switches = true;
    capture_start(&config);
    return 0;
}

static int end(void **state)
{
    capture_end();
    return capture_teardown(state);
}

static uint64_t number(const captured_span *span, const char *key)
{
    const char *text = captured_text(span, key);
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static const captured_event *event_of(const captured_span *span, const char *name)
{
    for (size_t i = 0; i < span->event_count; i++)
        if (strcmp(span->events[i].name, name) == 0)
            return &span->events[i];
    return NULL;
}

static const captured_span *with_event(const char *name)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (event_of(capture_at(i), name) != NULL)
            return capture_at(i);
    return NULL;
}

static void sleep_ns(long ns)
{
    nanosleep(&(struct timespec){0, ns}, NULL);
}

// The collector finds a new thread with its next pass, so the first spans may come too early.
static const captured_span *until(const char *name, void (*trace)(void))
{
    for (int i = 0; i < 2000; i++) {
        trace();
        capture_settle();
        const captured_span *span = with_event(name);
        if (span != NULL)
            return span;
    }
    fail_msg("no %s", name);
    return NULL;
}

static const captured_span *root_of(const captured_span *span)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (memcmp(capture_at(i)->span_id, span->local_root_id, NSP_SPAN_ID_SIZE) == 0)
            return capture_at(i);
    fail_msg("no root");
    return NULL;
}

enum { SLEEP_NS = 2000000 };

static void sleep_in_a_span(void)
{
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *middle = nsp_span_begin(NSP_NAME("middle"));
    nsp_span *inner = nsp_span_begin(NSP_NAME("inner"));
    sleep_ns(SLEEP_NS);
    nsp_span_end(inner);
    nsp_span_end(middle);
    nsp_span_end(root);
}

static void a_sleep_is_waited_for(void **state)
{
    (void)state;
    if (forbidden() != NULL)
        skip();
    (void)until("waited", sleep_in_a_span);
    capture_forget();
    sleep_in_a_span();
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_true(stats.switches >= 2);
    const captured_span *inner = capture_named("inner"), *root = capture_named("root");
    const captured_event *waited = event_of(inner, "waited");
    assert_non_null(waited);
    assert_int_equal(waited->attribute_count, 1);
    const uint64_t ns = strtoull(waited->attributes[0].text, NULL, 10);
    assert_string_equal(waited->attributes[0].key, "nanospan.off_cpu_ns");
    assert_in_range(ns, SLEEP_NS * 9 / 10, inner->end_ns - inner->start_ns);
    assert_in_range(waited->time_ns, inner->start_ns, inner->end_ns - ns);
    assert_in_range(number(inner, "nanospan.off_cpu_ns"), ns, inner->end_ns - inner->start_ns);
    assert_in_range(number(root, "nanospan.off_cpu_ns"), number(inner, "nanospan.off_cpu_ns"),
                    root->end_ns - root->start_ns);
    assert_null(event_of(root, "waited"));
    // Unless it was preempted just there.
    if (event_of(capture_named("middle"), "preempted") == NULL)
        assert_null(captured_text(capture_named("middle"), "nanospan.off_cpu_ns"));
}

static bool stop;

static void *spin(void *argument)
{
    (void)argument;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        ;
    return NULL;
}

static void work_in_a_span(void)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("busy"));
    for (uint64_t to = nsp__monotonic_ns() + 20 * NSP__MILLISECOND; nsp__monotonic_ns() < to;)
        ;
    nsp_span_end(span);
}

static void a_busy_neighbour_preempts(void **state)
{
    (void)state;
    cpu_set_t all, one;
    pthread_t neighbour;
    if (forbidden() != NULL)
        skip();
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; i++)
        if (CPU_ISSET(i, &all))
            CPU_SET(i, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    stop = false;
    assert_int_equal(pthread_create(&neighbour, NULL, spin, NULL), 0); // on the same CPU
    const captured_span *span = until("preempted", work_in_a_span);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    pthread_join(neighbour, NULL);
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
    assert_in_range(number(span, "nanospan.off_cpu_ns"), 1, span->end_ns - span->start_ns);
    assert_ptr_equal(root_of(span), span);
}

// A thread comes, waits in a span, and goes; then another one in its slot.
static void *short_life(void *argument)
{
    (void)argument;
    assert_int_equal(nsp_thread_attach(NULL), NSP_OK);
    sleep_ns(20 * 1000000); // the collector polls once a millisecond
    sleep_in_a_span();
    return NULL;
}

static void threads_come_and_go(void **state)
{
    (void)state;
    if (forbidden() != NULL)
        skip();
    size_t found = 0;
    for (int i = 0; i < 200 && found < 3; i++) {
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, short_life, NULL), 0);
        pthread_join(thread, NULL);
        capture_settle();
        found = 0;
        for (size_t j = 0; j < capture_count(); j++)
            found += strcmp(capture_at(j)->name, "inner") == 0 && event_of(capture_at(j), "waited") != NULL;
    }
    assert_true(found >= 3);
}

static size_t count_in(const char *path, const char *text)
{
    size_t count = 0;
    char target[256];
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char link[300];
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        const ssize_t length = readlink(link, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        count += strstr(target, text) != NULL;
    }
    closedir(folder);
    return count;
}

static size_t mappings(void)
{
    char line[512];
    size_t count = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps) != NULL)
        count += strstr(line, "perf_event") != NULL;
    fclose(maps);
    return count;
}

// No descriptor stays open, a child has none of it, and nothing is left after the end.
static void nothing_stays_open(void **state)
{
    (void)state;
    if (forbidden() != NULL)
        skip();
    (void)until("waited", sleep_in_a_span);
    assert_int_equal(count_in("/proc/self/fd", "perf_event"), 0);
    assert_true(mappings() >= 1);
    pid_t child = fork();
    if (child == 0) {
        CHILD_CHECK(mappings() == 0);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    capture_settle();
    capture_end();
    assert_int_equal(mappings(), 0);
    begin(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const char *why = forbidden();
    if (why != NULL)
        printf("skipped: the kernel permits no perf events of context switches here: %s\n", why);
    const struct CMUnitTest tests[] = {
        TEST(a_sleep_is_waited_for),
        TEST(a_busy_neighbour_preempts),
        TEST(threads_come_and_go),
        TEST(nothing_stays_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
