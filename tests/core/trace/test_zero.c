// SPDX-License-Identifier: Apache-2.0
//
// What the hot path does not do: once a thread is attached, spans of every kind cause no system call,
// allocation, page fault, wait or log line. Each check is also shown to fail when there is something to find.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "zero/watch.h"

static __thread uint64_t log_lines; // while this thread is watched

static void count_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
    log_lines += watch_armed;
}

// ---- the spans ----

static const char long_text[] = "a text of more than sixteen bytes";
static const char *const texts[] = {"one", "two"};
static const int64_t integers[] = {1, 2, 3};
static nsp_context remote;

static void set_three(nsp_span *span)
{
    nsp_span_set_str(span, NSP_KEY("symbol"), "AAPL");
    nsp_span_set_i64(span, NSP_KEY("quantity"), 100);
    nsp_span_set_f64(span, NSP_KEY("price"), 187.25);
}

static void set_eight(nsp_span *span)
{
    set_three(span);
    nsp_span_set_str(span, NSP_KEY("long"), long_text);
    nsp_span_set_bool(span, NSP_KEY("flag"), true);
    nsp_span_set_bytes(span, NSP_KEY("bytes"), "\1\2\3", 3);
    nsp_span_set_strs(span, NSP_KEY("texts"), texts, 2);
    nsp_span_set_i64s(span, NSP_KEY("integers"), integers, 3);
}

static void scoped_span(void)
{
    NSP_SPAN(span, "scoped");
    set_three(span);
}

static void spans_of_every_kind(void)
{
    nsp_attr attribute = nsp_attr_str(NSP_KEY("long"), long_text);
    nsp_context context;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    nsp_link link = {remote, &attribute, 1};

    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span *child = nsp_span_begin_at(NSP_NAME("child"), nsp_now());
    set_three(child);
    child = nsp_span_next(child, NSP_NAME("sibling"));
    set_eight(child);
    nsp_span_add_event(child, NSP_NAME("event"));
    nsp_span_add_event_with(child, NSP_NAME("event"), 0, &attribute, 1);
    nsp_span_context(child, &context);
    nsp_span_add_link_with(child, &context, &attribute, 1);
    nsp_span_set_status(child, NSP_SPAN_STATUS_ERROR, "message");
    nsp_span_end_at(child, nsp_now());

    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_enter(detached);
    scoped_span();
    nsp_span_leave(detached);
    detached = nsp_span_next(detached, NSP_NAME("detached sibling"));
    nsp_span_end(detached);

    options.kind = NSP_KIND_SERVER;
    options.parent = &remote;
    options.links = &link;
    options.link_count = 1;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("remote"), &options));
    detached = nsp_span_begin_detached(NSP_NAME("remote detached"), &options);
    nsp_span_end(detached);
    options.parent = NULL;
    options.new_root = true;
    nsp_span_end(nsp_span_begin_with(NSP_NAME("new root"), &options));

    for (int i = 0; i < 40; i++) // deeper than there are frames
        nsp_span_begin(NSP_NAME("deep"));
    nsp_thread_reset();
    nsp_span_end(root); // already ended by the reset: misuse
    nsp_span_end(nsp_span_next(nsp_span_begin(NSP_NAME("root")), NSP_NAME("next root")));
}

// ---- the watch ----

typedef struct findings {
    uint64_t allocations, lines;
    long faults, waits;
    uint64_t calls;  // system calls trapped,
    long first_call; // and the first one's number
    nsp_stats stats;
} findings;

static findings *found; // shared with the child that the watch runs in

static void configure(nsp_config *config, double rate, double watermark)
{
    capture_config(config);
    config->log = count_line;
    config->sample_rate = rate;
    config->watermark = watermark;
    config->ring_bytes = 64 * 1024; // it fills soon, because nothing drains
    config->collector = NSP_COLLECTOR_INVOKER;
    nsp_context_parse(&remote, "00-0123456789abcdef0123456789abcdef-0123456789abcdef-03", "vendor=value");
}

static void run(void (*body)(void), int times)
{
    for (int i = 0; i < times; i++)
        body();
}

static void watch_resources(void (*body)(void), int times)
{
    struct rusage before, after;
    watch_allocations = log_lines = 0;
    getrusage(RUSAGE_THREAD, &before);
    watch_armed = true;
    run(body, times);
    watch_armed = false;
    getrusage(RUSAGE_THREAD, &after);
    found->allocations = watch_allocations;
    found->lines = log_lines;
    found->faults = after.ru_minflt - before.ru_minflt + after.ru_majflt - before.ru_majflt;
    found->waits = after.ru_nvcsw - before.ru_nvcsw;
}

static void on_call(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (found->calls++ == 0)
        found->first_call = info->si_syscall;
}

// From here on each system call of this thread, except for exit, is trapped instead of executed.
static void trap_calls(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_call;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSYS, &action, NULL);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    CHILD_CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHILD_CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

typedef struct watched {
    void (*body)(void);
    double rate;
    int times;
    bool trap;        // trap system calls; otherwise look for everything else
    double watermark; // of the ring; 0 for the default
} watched;

static void watch(void *argument)
{
    const watched *what = argument;
    nsp_config config;
    configure(&config, what->rate, what->watermark != 0 ? what->watermark : 0.75);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(nsp_thread_attach(NULL) == NSP_OK);
    // Touches the program's own pages and interns names; where chance decides, both with and without a record.
    run(what->body, what->rate == 0 || what->rate == 1 ? 3 : 64);
    nsp_do_work(SIZE_MAX);
    if (what->trap) {
        trap_calls();
        run(what->body, what->times);
    } else {
        watch_resources(what->body, what->times);
        found->stats = (nsp_stats)NSP_STATS_INIT;
        CHILD_CHECK(nsp_stats_get(&found->stats) == NSP_OK);
    }
}

// Runs in a process of its own, because a system call filter cannot be removed.
static void watch_in_child(watched what)
{
    memset(found, 0, sizeof *found);
    assert_int_equal(child_run(watch, &what, 60), 0);
}

static int make_findings(void **state)
{
    (void)state;
    found = mmap(NULL, sizeof *found, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return found == MAP_FAILED;
}

// ---- tests ----

enum { TIMES = 5000 };

static void nothing_found(double rate, double watermark)
{
    watch_in_child((watched){spans_of_every_kind, rate, TIMES, false, watermark});
    if (!TEST_UNDER_ASAN && !TEST_UNDER_TSAN) {
        assert_int_equal(found->allocations, 0);
        assert_true(found->faults == 0 || test_emulated()); // it translates the program meanwhile
        assert_true(found->waits == 0 || test_emulated());
    }
    assert_int_equal(found->lines, 0);
    // The spans took the paths that this test is about.
    if (rate == 1) {
        // If room is reserved for traces that are in progress, roots are refused; if not, spans are lost.
        assert_true(watermark == 1 || found->stats.roots_refused > 0);
        assert_true(watermark != 1 || found->stats.dropped_ring_full > 0);
        assert_true(found->stats.dropped_too_deep > 0);
        assert_true(found->stats.in_rings + found->stats.in_batches > 100);
    } else {
        assert_true(found->stats.roots_unsampled >= TIMES);
    }
}

static void sampled_spans_cost_nothing_more(void **state)
{
    (void)state;
    nothing_found(1, 0.75);
    nothing_found(1, 1);
}

static void unsampled_spans_cost_nothing_more(void **state)
{
    (void)state;
    nothing_found(0, 0.75);
}

static void half_sampled_spans_cost_nothing_more(void **state)
{
    (void)state;
    watch_in_child((watched){spans_of_every_kind, 0.5, TIMES, false, 0});
    if (!TEST_UNDER_ASAN && !TEST_UNDER_TSAN) {
        assert_int_equal(found->allocations, 0);
        assert_true(found->faults == 0 || test_emulated());
    }
}

static void no_system_calls(void **state)
{
    (void)state;
    if (TEST_UNDER_ASAN || TEST_UNDER_TSAN)
        SKIP_BECAUSE("sanitizers make system calls of their own, and do not survive their loss");
    SKIP_ON_EMULATOR("it does not filter system calls");
    const double rates[] = {1, 0.5, 0};
    for (int i = 0; i < 3; i++) {
        watch_in_child((watched){spans_of_every_kind, rates[i], TIMES, true, 0});
        if (found->calls != 0)
            fail_msg("%llu system calls at rate %g, the first is number %ld",
                     (unsigned long long)found->calls, rates[i], found->first_call);
    }
}

// ---- the checks notice violations ----

static void make_a_call(void)
{
    syscall(SYS_getppid);
}

static void allocate(void)
{
    void *volatile memory = malloc(16);
    free(memory);
}

static void touch_a_page(void)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
    munmap(page, 4096);
}

// Who is preempted just before it sleeps may find that the time is over, and has not waited.
static void wait_a_moment(void)
{
    struct rusage before, after;
    getrusage(RUSAGE_THREAD, &before);
    do {
        nanosleep(&(struct timespec){0, 1000}, NULL);
        getrusage(RUSAGE_THREAD, &after);
    } while (after.ru_nvcsw == before.ru_nvcsw);
}

static void log_a_line(void)
{
    count_line(NULL, NSP_LOG_INFO, "line");
}

static void every_proof_can_fail(void **state)
{
    (void)state;
    if (!TEST_UNDER_ASAN && !TEST_UNDER_TSAN) {
        if (!test_emulated()) { // see no_system_calls
            watch_in_child((watched){make_a_call, 1, 7, true, 0});
            assert_int_equal(found->calls, 7);
            assert_int_equal(found->first_call, SYS_getppid);
        }
        watch_in_child((watched){allocate, 1, 7, false, 0});
        assert_int_equal(found->allocations, 14);
    }
    watch_in_child((watched){touch_a_page, 1, 7, false, 0});
    assert_true(found->faults >= 7);
    watch_in_child((watched){wait_a_moment, 1, 7, false, 0});
    assert_true(found->waits >= 7);
    watch_in_child((watched){log_a_line, 1, 7, false, 0});
    assert_int_equal(found->lines, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_proof_can_fail),
        cmocka_unit_test(sampled_spans_cost_nothing_more),
        cmocka_unit_test(unsampled_spans_cost_nothing_more),
        cmocka_unit_test(half_sampled_spans_cost_nothing_more),
        cmocka_unit_test(no_system_calls),
    };
    return cmocka_run_group_tests(tests, make_findings, NULL);
}
