// SPDX-License-Identifier: Apache-2.0
//
// nanospan-bench-user: the program that the groups "as users meet it" and "first operation" of nanospan-bench
// measure, which start it with the number of a descriptor (user/page.h). Nothing is selected: every round is
// returned, with the state of the machine in it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "harness/cpus.h"
#include "harness/distance.h"
#include "harness/plain.h"
#include "harness/ticks.h"
#include "user/page.h"

#include "crew.h"

enum { WARM = 32, PLAIN = 400, WARM_EVERY_US = 300 };
static const uint64_t patience_ns = UINT64_C(10) * 1000 * 1000 * 1000;

// ---- the operations ----

static __attribute__((noinline)) void run_span0(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span0"));
        nsp_span_end(span);
    }
}

static __attribute__((noinline)) void run_span3(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span3"));
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);
        nsp_span_end(span);
    }
}

static __attribute__((noinline)) void run_path(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("order"));
        nsp_span *phase = nsp_span_begin_at(NSP_NAME("decode"), nsp_span_start(root));
        phase = nsp_span_next(phase, NSP_NAME("check"));
        phase = nsp_span_next(phase, NSP_NAME("route"));
        phase = nsp_span_next(phase, NSP_NAME("encode"));
        phase = nsp_span_next(phase, NSP_NAME("send"));
        nsp_ticks end = nsp_now();
        nsp_span_end_at(phase, end);
        nsp_span_end_at(root, end);
    }
}

static __attribute__((noinline)) void run_trace6(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_ticks now = nsp_now();
        nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), now);
        nsp_span_set_i64(root, NSP_KEY("order"), (int64_t)i);
        nsp_span *phase = nsp_span_begin_at(NSP_NAME("decode"), now);
        nsp_span_set_i64(phase, NSP_KEY("a"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("check"));
        nsp_span_set_i64(phase, NSP_KEY("b"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("route"));
        nsp_span_set_i64(phase, NSP_KEY("c"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("encode"));
        nsp_span_set_i64(phase, NSP_KEY("d"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("send"));
        nsp_span_set_i64(phase, NSP_KEY("e"), (int64_t)i);
        now = nsp_now();
        nsp_span_end_at(phase, now);
        nsp_span_end_at(root, now);
    }
}

#define PATH6(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(order, "order")                                                                                      \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    I64(a, "a")                                                                                              \
    PHASE(check, "check")                                                                                    \
    I64(b, "b")                                                                                              \
    PHASE(route, "route")                                                                                    \
    I64(c, "c")                                                                                              \
    PHASE(encode, "encode")                                                                                  \
    I64(d, "d")                                                                                              \
    PHASE(send, "send")                                                                                      \
    I64(e, "e")
NSP_PATH_DECLARE(path6, "order", PATH6)

static __attribute__((noinline)) void run_path6(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        path6 *path = path6_begin();
        path->order = (int64_t)i;
        path->a = (int64_t)i;
        NSP_PATH_MARK(path, check);
        path->b = (int64_t)i;
        NSP_PATH_MARK(path, route);
        path->c = (int64_t)i;
        NSP_PATH_MARK(path, encode);
        path->d = (int64_t)i;
        NSP_PATH_MARK(path, send);
        path->e = (int64_t)i;
        path6_end(path);
    }
}

static __attribute__((noinline)) void run_page(size_t count)
{
    static char page[3 * 4096]; // what lies in the middle shares its page with nothing
    for (size_t i = 0; i < count; i++)
        *(volatile char *)(page + 6000) = (char)i;
}

static const unsigned spans_of[USER_OPERATIONS] = {[USER_PATH] = 6, [USER_TRACE6] = 6, [USER_PATH6] = 6};

static void (*const runs[USER_OPERATIONS])(size_t) = {
    [USER_TRACE6] = run_trace6, [USER_PATH6] = run_path6, [USER_SPAN0] = run_span0, [USER_SPAN3] = run_span3,
    [USER_PATH] = run_path,     [USER_EMPTY] = run_empty, [USER_PAGE] = run_page};

// ---- rounds ----

static uint64_t losses(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    return stats.dropped + stats.roots_refused;
}

// What was recorded is sent, and then the threads of the library have time to go to sleep.
static void pause_between(void)
{
    struct timespec pause = {.tv_nsec = 100 * 1000};
    nsp_flush(patience_ns);
    nanosleep(&pause, NULL);
}

static void measure_means(const user_page *page, user_round *out)
{
    void (*run)(size_t) = runs[page->task.operation];
    run(WARM);
    bench_noise noise = noise_look();
    out->plain = noise_time(run_plain, PLAIN);
    out->span = noise_time(run, page->task.in_a_row);
    if (spans_of[page->task.operation] != 0)
        out->span /= spans_of[page->task.operation];
    out->plain = (out->plain + noise_time(run_plain, PLAIN)) / 2;
    out->noise = noise_mean(noise, noise_look());
}

typedef struct single_round {
    user_page *page;
    unsigned round;
} single_round;

static void time_each(void *context, unsigned thread)
{
    const single_round *of = context;
    const user_task *task = &of->page->task;
    void (*run)(size_t) = runs[task->operation];
    size_t half = task->in_a_row / 2, first = (of->round * task->threads + thread) * task->in_a_row;
    uint32_t *empty = of->page->empty + first, *subject = of->page->subject + first;
    run(WARM);
    ticks_each(run_empty, empty, half);
    ticks_each(run, subject, task->in_a_row);
    ticks_each(run_empty, empty + half, task->in_a_row - half);
}

static void measure_single(user_page *page, unsigned round, user_round *out)
{
    single_round of = {page, round};
    bench_noise noise = noise_look();
    crew_run(time_each, &of);
    out->noise = noise_mean(noise, noise_look());
}

// What the thread does meanwhile touches nothing of the library, like a loop that waits for the market, unless
// that loop keeps the thread's tracing warm.
static void wait_for_market(const user_task *task)
{
    unsigned times = task->keeps_warm ? (unsigned)(task->wait_us / WARM_EVERY_US) : 0;
    for (unsigned i = 0; i < times; i++) {
        nsp_thread_warm();
        ticks_spin(WARM_EVERY_US * 1000);
    }
    ticks_spin((task->wait_us - times * WARM_EVERY_US) * 1000);
}

static void measure_first(user_page *page, unsigned round, user_round *out)
{
    wait_for_market(&page->task);
    ticks_each(runs[page->task.operation], page->subject + round, 1);
    out->noise = noise_look();
}

static void measure(user_page *page)
{
    for (unsigned round = 0; round < page->task.rounds; round++) {
        user_round *out = &page->round[round];
        pause_between();
        out->distance = distance_look();
        uint64_t before = losses();
        if (page->task.job == USER_MEANS)
            measure_means(page, out);
        else if (page->task.job == USER_SINGLE)
            measure_single(page, round, out);
        else
            measure_first(page, round, out);
        out->lost = losses() != before;
        __atomic_store_n(&page->done, round + 1, __ATOMIC_RELAXED);
    }
}

// ---- the program ----

// The shared memory that lies in huge pages.
static unsigned long huge_kib(void)
{
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    char line[200];
    unsigned long kib = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL &&
           sscanf(line, "ShmemPmdMapped: %lu", &kib) != 1)
        ;
    if (file != NULL)
        fclose(file);
    return kib;
}

static bool work(user_page *page)
{
    nsp_status status = nsp_init(NULL); // while the thread is not pinned, as a program does it
    if (status != NSP_OK) {
        snprintf(page->problem, sizeof page->problem, "nsp_init: %s", nsp_status_str(status));
        return false;
    }
    if (page->task.pin_to >= 0 && !pin_to(page->task.pin_to)) {
        snprintf(page->problem, sizeof page->problem, "CPU %d cannot be used", page->task.pin_to);
        return false;
    }
    nsp_thread_attach(NULL);
    page->huge_kib = huge_kib();
    if (!crew_start(page->task.threads)) {
        snprintf(page->problem, sizeof page->problem, "%u threads cannot be started", page->task.threads);
        return false;
    }
    distance_start(page->task.collector_cpu);
    page->tick_ns = ticks_ns();
    noise_remember(page->task.best);
    runs[page->task.operation](WARM);
    measure(page);
    distance_stop();
    crew_stop();
    page->best = noise_best_seen();
    nsp_shutdown(patience_ns);
    page->stats = (nsp_stats)NSP_STATS_INIT;
    nsp_stats_get(&page->stats);
    if (!page->task.traced)
        page->stats.size = 0;
    return true;
}

int main(int count, char **arguments)
{
    int descriptor = count == 2 ? atoi(arguments[1]) : -1;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    user_page *page = descriptor > 2
                          ? mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
                          : MAP_FAILED;
    if (page == MAP_FAILED) {
        fprintf(stderr, "nanospan-bench-user is started by nanospan-bench; see nanospan-bench --list\n");
        return 2;
    }
    memset(page->subject, 0, sizeof page->subject); // so that no page of it is new while it is measured
    memset(page->empty, 0, sizeof page->empty);
    page->finished = work(page);
    return page->finished ? 0 : 1;
}
