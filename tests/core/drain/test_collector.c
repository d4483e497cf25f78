// SPDX-License-Identifier: Apache-2.0
//
// The collector: what closes a batch, what happens if no batch is free, and which threads drain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/time.h"
#include "shm/ring.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/scripted.h"
#include "trace/thread_state.h"

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

static void start(const nsp_config *config)
{
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
}

static void record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static nsp_stats look(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    return stats;
}

// Waits for that many spans at the receiver; returns false after a minute.
static bool comes(uint64_t spans)
{
    for (int i = 0; i < 60000 && tally_distinct(script.tally) < spans; i++)
        test_sleep_ms(1);
    return tally_distinct(script.tally) >= spans;
}

static void stall(bool on)
{
    __atomic_store_n(&script.stalled, on, __ATOMIC_RELEASE);
}

static int setup(void **state)
{
    (void)state;
    script_reset();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    stall(false);
    nsp_shutdown(SECOND);
    return 0;
}

// ---- what closes a batch ----

static void closed_by_count(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.batch_spans = 100;
    config.schedule_delay_ns = 3600 * SECOND;
    start(&config);
    record(1050);
    assert_true(comes(1000)); // without a flush
    test_sleep_ms(30);
    assert_int_equal(tally_distinct(script.tally), 1000);
    assert_int_equal(script.sends, 10);
    assert_int_equal(script.batch_spans_max, 100);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 1050);
    assert_int_equal(script.sends, 11);
}

static void closed_by_bytes(void **state)
{
    (void)state;
    enum { FIT = 64 * 1024 / sizeof(tally_span) };
    nsp_config config;
    script_config(&config);
    config.batch_bytes = 64 * 1024;
    config.schedule_delay_ns = 3600 * SECOND;
    start(&config);
    record(2 * FIT + 10);
    assert_true(comes(2 * FIT));
    assert_int_equal(script.batch_spans_max, FIT);
    assert_true(script.batch_bytes_max <= 64 * 1024);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 2 * FIT + 10);
    assert_int_equal(script_balance().bytes_encoded, (2 * FIT + 10) * sizeof(tally_span));
}

static void closed_by_delay(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.schedule_delay_ns = 200 * MILLISECOND;
    start(&config);
    // On a busy machine even recording may take longer than the delay, and then there are several batches.
    bool in_time = false;
    for (uint64_t spans = 10; spans <= 50 && !in_time; spans += 10) {
        uint64_t before = test_now_ns(), sends = __atomic_load_n(&script.sends, __ATOMIC_RELAXED);
        record(10);
        assert_true(comes(spans));
        uint64_t took = test_now_ns() - before;
        assert_true(took >= 200 * MILLISECOND);
        in_time = took < 5 * SECOND && __atomic_load_n(&script.sends, __ATOMIC_RELAXED) == sends + 1;
    }
    assert_true(in_time);
}

static void a_span_too_big_for_a_batch(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    script.items_max = 100;
    start(&config);
    char text[300];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 30; i++) {
        NSP_SPAN(span, "span");
        if (i % 3 == 0)
            nsp_span_set_strn(span, NSP_KEY("text"), text, sizeof text);
    }
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.discarded, 10);
    assert_int_equal(stats.exported, 20);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK); // the collector has logged it by then
    assert_true(script_lines_with("too big") >= 1);
}

// ---- damage ----

// Records damaged by a stray write are counted and never followed, and the records after them are intact.
static void damaged_records(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    start(&config);
    static const uint32_t bad[] = {0, 7, 8, 65532, UINT32_MAX, 0x80000000u, 64 * 1024 * 1024, 100};
    uint64_t good = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        record(5);
        uint64_t *third =
            nsp__ring_place(&nsp__producer_self()->ring, nsp__ring_tail(&nsp__producer_self()->ring));
        record(7);
        uint32_t *bytes = (uint32_t *)third;
        *bytes = bad[i];
        assert_int_equal(nsp_do_work(1000), 5);
        nsp_do_work(1000);
        good += 5;
        assert_int_equal(look().dropped_invalid, 7 * (i + 1));
    }
    record(3);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    assert_int_equal(stats.exported, good + 3);
    assert_int_equal(tally_distinct(script.tally), good + 3);
    assert_int_equal(stats.in_rings, 0);
    assert_true(script_lines_with("damaged") >= 1);
    // Damage that is found only at the record's end.
    uint32_t *bytes =
        (uint32_t *)nsp__ring_place(&nsp__producer_self()->ring, nsp__ring_tail(&nsp__producer_self()->ring));
    record(4);
    *bytes = 3;
    nsp_shutdown(60 * SECOND);
    stats = script_balance();
    assert_int_equal(stats.open, 0);
    assert_int_equal(stats.attempted, stats.exported + stats.dropped_invalid);
}

// ---- the invoker ----

static pthread_t exporter_thread;

static scripted_verdict note_thread(void *context, const nsp_batch *batch)
{
    (void)context;
    (void)batch;
    exporter_thread = pthread_self();
    return (scripted_verdict){NSP_SEND_EXPORTED, true, 0};
}

static void the_invoker_drains_and_does_not_send(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.batch_spans = 100;
    config.batches = 16;
    script.answer = note_thread;
    start(&config);
    record(1000);
    test_sleep_ms(20);
    assert_int_equal(look().in_rings, 1000); // nothing else drains
    assert_int_equal(nsp_do_work(0), 0);
    assert_int_equal(nsp_do_work(30), 30);
    assert_int_equal(look().in_rings, 970);
    assert_int_equal(nsp_do_work(10000), 970);
    assert_int_equal(nsp_do_work(10000), 0);
    assert_true(comes(1000));
    assert_false(pthread_equal(exporter_thread, pthread_self()));
    // A backend that stalls does not hold the invoker up.
    stall(true);
    record(2000);
    uint64_t promptest = UINT64_MAX;
    nsp_do_work(SIZE_MAX);
    for (int i = 0; i < 5; i++) {
        uint64_t before = test_now_ns();
        nsp_do_work(SIZE_MAX);
        promptest = nsp__earlier(promptest, test_now_ns() - before);
    }
    assert_true(promptest < SECOND);
    assert_true(look().in_rings > 0); // the pool is sixteen batches of a hundred
    stall(false);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().exported, 3000);
}

static void do_work_is_nothing_in_thread_mode(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    start(&config);
    record(10);
    assert_int_equal(nsp_do_work(100), 0);
}

static bool over; // atomic

static void *invoke(void *argument)
{
    uint64_t *spans = argument;
    while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
        __atomic_fetch_add(spans, nsp_do_work(57), __ATOMIC_RELAXED);
        sched_yield();
    }
    return NULL;
}

static void invokers_at_the_same_time(void **state)
{
    (void)state;
    enum { INVOKERS = 4, SPANS = 20000 };
    pthread_t threads[INVOKERS];
    uint64_t drained = 0;
    nsp_config config;
    script_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.ring_bytes = 8 << 20;
    config.watermark = 1;
    __atomic_store_n(&over, false, __ATOMIC_RELEASE);
    start(&config);
    for (int i = 0; i < INVOKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, invoke, &drained), 0);
    record(SPANS);
    for (int i = 0; i < 60000 && __atomic_load_n(&drained, __ATOMIC_RELAXED) < SPANS; i++)
        test_sleep_ms(1);
    __atomic_store_n(&over, true, __ATOMIC_RELEASE);
    for (int i = 0; i < INVOKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(drained, SPANS);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().exported, SPANS);
    assert_int_equal(tally_distinct(script.tally), SPANS);
}

// ---- pressure ----

static void trace(void)
{
    NSP_SPAN(root, "root");
    for (int i = 0; i < 3; i++) {
        NSP_SPAN(child, "child");
        nsp_span_set_i64(child, NSP_KEY("number"), i);
    }
}

// The exporter stalls: first the pool fills, then the rings, and then whole traces are left out, none of them
// partly. Once it recovers, everything that was recorded arrives.
static void pressure_refuses_whole_traces(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.ring_bytes = 64 * 1024;
    config.batches = 2;
    config.batch_spans = 100;
    config.watermark = 0.5;
    stall(true);
    start(&config);
    // The drainer could not keep up with a program that never pauses, so wait until it has taken what it can.
    trace();
    while (look().in_batches == 0)
        test_sleep_ms(1);
    for (int i = 0; i < 3000; i++) {
        trace();
        if (i % 20 == 0)
            test_sleep_ms(1);
    }
    nsp_stats stats = script_balance();
    assert_true(stats.roots_refused > 1000);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(stats.attempted, (3001 - stats.roots_refused) * 4);
    assert_true(stats.in_batches > 0);
    assert_true(stats.in_rings > 0);
    stall(false);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    nsp_stats after = script_balance();
    assert_int_equal(after.exported, stats.attempted);
    assert_int_equal(tally_distinct(script.tally), stats.attempted);
    assert_int_equal(tally_orphans(script.tally), 0);
    trace(); // new traces are recorded again
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(script_balance().exported, stats.attempted + 4);
}

static void sending_does_not_block_draining(void **state)
{
    (void)state;
    nsp_config config;
    script_config(&config);
    config.ring_bytes = 64 * 1024;
    config.watermark = 1;
    config.batch_spans = 1000;
    stall(true);
    start(&config);
    // Seven times the ring's size while nothing is sent: the pool takes all of it.
    for (int i = 0; i < 50; i++) {
        record(100);
        for (int wait = 0; wait < 5000 && look().in_rings != 0; wait++)
            test_sleep_ms(1);
        assert_true(look().in_rings < 1000 || i == 0);
    }
    assert_int_equal(look().dropped + look().roots_refused, 0);
    stall(false);
    assert_int_equal(nsp_flush(60 * SECOND), NSP_OK);
    assert_int_equal(tally_distinct(script.tally), 5000);
}

// ---- our threads ----

static void read_status(const char *task, const char *key, char *value, size_t size)
{
    char path[128], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "r");
    value[0] = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(value, size, "%.*s", (int)strcspn(line + strlen(key) + 1, "\n"), line + strlen(key) + 1);
    if (file != NULL)
        fclose(file);
}

// The task of this name; false if there is none.
static bool find_task(const char *name, char *task, size_t size)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;
    bool found = false;
    while (!found && (entry = readdir(tasks)) != NULL) {
        char value[64];
        read_status(entry->d_name, "Name:", value, sizeof value);
        found = strcmp(value, name) == 0;
        if (found)
            snprintf(task, size, "%.15s", entry->d_name);
    }
    closedir(tasks);
    return found;
}

static void check_task(const char *name, int cpus)
{
    char task[16], value[64];
    for (int i = 0; i < 60000 && !find_task(name, task, sizeof task); i++)
        test_sleep_ms(1); // the thread sets its own name
    assert_true(find_task(name, task, sizeof task));
    pid_t tid = atoi(task);
    assert_int_equal(sched_getscheduler(tid), SCHED_OTHER);
    cpu_set_t set;
    assert_int_equal(sched_getaffinity(tid, sizeof set, &set), 0);
    assert_int_equal(CPU_COUNT(&set), cpus);
    read_status(task, "SigBlk:", value, sizeof value);
    uint64_t blocked = strtoull(value, NULL, 16);
    // All except KILL and STOP, and the two that the C library reserves (32 and 33).
    uint64_t never = 1ull << (9 - 1) | 1ull << (19 - 1) | 1ull << (32 - 1) | 1ull << (33 - 1);
    if (test_emulated()) // the emulator keeps BUS and SEGV, and its program's 32 and 33 are the kernel's 34 and 35
        never |= 1ull << (7 - 1) | 1ull << (11 - 1) | 1ull << (34 - 1) | 1ull << (35 - 1);
    assert_int_equal(blocked | never, UINT64_MAX);
}

static void *init_pinned(void *argument)
{
    const nsp_config *config = argument;
    cpu_set_t all, one;
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
        if (CPU_ISSET(cpu, &all))
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    const struct sched_param parameters = {.sched_priority = 1};
    if (sched_setscheduler(0, SCHED_FIFO, &parameters) != 0)
        print_message("SCHED_FIFO is not permitted here\n");
    return (void *)(intptr_t)nsp_init(config);
}

static void our_threads_inherit_nothing(void **state)
{
    (void)state;
    nsp_config config;
    pthread_t thread;
    void *status;
    cpu_set_t all;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    script_config(&config);
    assert_int_equal(pthread_create(&thread, NULL, init_pinned, &config), 0);
    pthread_join(thread, &status);
    assert_int_equal((intptr_t)status, NSP_OK);
    check_task("nsp-collector", CPU_COUNT(&all));
    check_task("nsp-sender", CPU_COUNT(&all));
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    // The kernel lists a thread for a moment after it could be joined.
    char task[16];
    for (int i = 0; i < 60000 && (find_task("nsp-collector", task, sizeof task) ||
                                  find_task("nsp-sender", task, sizeof task));
         i++)
        test_sleep_ms(1);
    assert_false(find_task("nsp-collector", task, sizeof task));
    assert_false(find_task("nsp-sender", task, sizeof task));

    char cpus[16];
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    snprintf(cpus, sizeof cpus, "%d", cpu);
    config.collector_cpus = cpus;
    start(&config);
    check_task("nsp-collector", 1);
    check_task("nsp-sender", 1);
}

// The collector's thread wakes no more often than the minimum interval and no less often than the maximum.
static uint64_t switches(const char *task)
{
    char value[64];
    read_status(task, "voluntary_ctxt_switches:", value, sizeof value);
    return strtoull(value, NULL, 10);
}

static void polling_adapts_within_its_bounds(void **state)
{
    (void)state;
    nsp_config config;
    char task[16];
    script_config(&config);
    config.poll_min_ns = 1 * MILLISECOND;
    config.poll_max_ns = 50 * MILLISECOND;
    start(&config);
    while (!find_task("nsp-collector", task, sizeof task))
        test_sleep_ms(1);
    // Idle for long enough to reach the maximum interval, unless a busy machine has not let it run meanwhile.
    bool seldom = false;
    for (int i = 0; i < 10 && !seldom; i++) {
        test_sleep_ms(500);
        uint64_t before = switches(task), began = test_now_ns();
        test_sleep_ms(500);
        uint64_t idle = switches(task) - before, elapsed = test_now_ns() - began;
        seldom = idle <= elapsed / (50 * MILLISECOND) + 2;
    }
    assert_true(seldom);
    // It does wake: a span is drained within the interval, plus what the load adds.
    record(1);
    for (int i = 0; i < 5000 && look().in_rings != 0; i++)
        test_sleep_ms(1);
    assert_int_equal(look().in_rings, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(closed_by_count, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_by_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_by_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(a_span_too_big_for_a_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_records, setup, teardown),
        cmocka_unit_test_setup_teardown(the_invoker_drains_and_does_not_send, setup, teardown),
        cmocka_unit_test_setup_teardown(do_work_is_nothing_in_thread_mode, setup, teardown),
        cmocka_unit_test_setup_teardown(invokers_at_the_same_time, setup, teardown),
        cmocka_unit_test_setup_teardown(pressure_refuses_whole_traces, setup, teardown),
        cmocka_unit_test_setup_teardown(sending_does_not_block_draining, setup, teardown),
        cmocka_unit_test_setup_teardown(our_threads_inherit_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(polling_adapts_within_its_bounds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
