// SPDX-License-Identifier: Apache-2.0
//
// The first operation after a while in which the thread did something else. It costs more than those that
// follow, because the processor has forgotten where the pages and lines are that it touches. An engine that
// handles a thousand orders a second meets this with every order.
#include <stdio.h>

#include "user/child.h"

typedef struct subject {
    const char *name, *what;
    user_operation operation;
    user_setting setting;
    bool traced, keeps_warm;
    bool huge; // it says nothing without huge pages
} subject;

static const subject subjects[] = {
    {"first_sampled", "a recorded span with 3 attributes", USER_SPAN3, {NULL, NULL}, true, false, false},
    {"first_sampled_huge",
     "the same with NSP_HUGE_PAGES",
     USER_SPAN3,
     {"NSP_HUGE_PAGES", "yes"},
     true,
     false,
     true},
    {"first_sampled_warm",
     "a recorded span where the thread calls nsp_thread_warm every 0.3 ms while it spins",
     USER_SPAN3,
     {NULL, NULL},
     true,
     true,
     false},
    {"first_path",
     "a trace of six: a root and 5 phases, with 6 clock reads",
     USER_PATH,
     {NULL, NULL},
     true,
     false,
     false},
    {"first_path_warm",
     "the same; the thread calls nsp_thread_warm every 0.3 ms while it spins",
     USER_PATH,
     {NULL, NULL},
     true,
     true,
     false},
    {"first_unsampled",
     "a root that is not sampled, with 3 setters called",
     USER_SPAN3,
     {"TRACE_SAMPLE_RATE", "0"},
     true,
     false,
     false},
    {"first_unsampled_warm",
     "the same; the thread calls nsp_thread_warm every 0.3 ms while it spins",
     USER_SPAN3,
     {"TRACE_SAMPLE_RATE", "0"},
     true,
     true,
     false},
    {"first_disabled",
     "the same with tracing turned off",
     USER_SPAN3,
     {"ENABLE_TRACING", "false"},
     false,
     false,
     false},
    {"first_disabled_warm",
     "the same; the thread calls nsp_thread_warm every 0.3 ms while it spins",
     USER_SPAN3,
     {"ENABLE_TRACING", "false"},
     false,
     true,
     false},
    {"first_page",
     "one store to a page that nothing else uses",
     USER_PAGE,
     {"ENABLE_TRACING", "false"},
     false,
     false,
     false},
    {"first_empty", "the harness alone", USER_EMPTY, {"ENABLE_TRACING", "false"}, false, false, false},
};
enum { SUBJECTS = sizeof subjects / sizeof subjects[0] };

static const struct {
    double us;
    const char *middle, *tail; // names of figures
} waits[] = {{300, "after_0.3ms_ns", "after_0.3ms_p90_ns"},
             {3000, "after_3ms_ns", "after_3ms_p90_ns"},
             {12000, "after_12ms_ns", "after_12ms_p90_ns"},
             {100000, "after_100ms_ns", "after_100ms_p90_ns"}};
enum { WAITS = sizeof waits / sizeof waits[0] };

static void report(const user_page *page, size_t wait, bench_result *out)
{
    static double ns[USER_ROUNDS];
    size_t count = 0;
    for (unsigned i = 0; i < page->task.rounds; i++)
        if (!page->round[i].lost)
            ns[count++] = page->subject[i] * page->tick_ns;
    result_add_estimate(out, waits[wait].middle, estimate_median(ns, count));
    result_add(out, waits[wait].tail, quantile(ns, count, 0.9));
    rounds_note(out, count, page->task.rounds);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const subject *the = &subjects[index];
    char cpu[16];
    snprintf(cpu, sizeof cpu, "%d", setup->collector_cpu);
    user_setting settings[USER_SETTINGS] = {the->setting};
    if (setup->collector_cpu >= 0)
        settings[the->setting.name != NULL] = (user_setting){"NSP_COLLECTOR_CPUS", cpu};
    for (size_t wait = 0; wait < WAITS; wait++) {
        user_task task = {.job = USER_FIRST,
                          .operation = the->operation,
                          .traced = the->traced,
                          .in_a_row = 1,
                          .threads = 1,
                          .rounds = setup->quick ? ROUNDS_LEAST : 31,
                          .wait_us = waits[wait].us,
                          .keeps_warm = the->keeps_warm,
                          .pin_to = setup->hot_cpu,
                          .collector_cpu = -1};
        const user_page *page = user_run(&task, settings, setup, out);
        if (page == NULL)
            return;
        if (the->huge && page->huge_kib == 0) {
            result_skip(out, "the system gave no huge pages in shared memory");
            return;
        }
        report(page, wait, out);
    }
}

BENCH_DESCRIBE(subjects, SUBJECTS)

const bench_group group_first = {
    .name = "first operation",
    .method =
        "the same program: one operation after the thread has spun on the clock for 0.3, 3, 12 or 100 ms; "
        "medians and 90th percentiles of all rounds in which no span was lost, including fences",
    .describe = describe,
    .measure = measure,
};
