// SPDX-License-Identifier: Apache-2.0
//
// The cost of spans to the code around them. A span evicts cache lines that the application needs again; that
// cost is not part of the span's own time. Here, other work runs in portions of 2 us, with something traced
// between them. Only the time of that work is counted, and compared with the same portions without anything
// traced between them.
#include <nanospan/nanospan.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"
#include "order_path/victims.h"

enum { ROUNDS_MOST = 21, PORTIONS = 120, WARM_PORTIONS = 20 };

static const double portion_ns = 2000;

// What is traced, in which state, and the figures: the ratio of the work's time to its time alone, and what
// it loses per operation.
static const struct {
    const char *operation; // of hot_path/operations.c
    operation_state state;
    const char *ratio, *lost;
} disturbers[] = {
    {"span3", DISABLED, "off_span", NULL},         {"trace6_at", DISABLED, "off_trace", NULL},
    {"span3", UNSAMPLED, "unsampled_span", NULL},  {"trace6_at", UNSAMPLED, "unsampled_trace", NULL},
    {"span3", SAMPLED, "span", "lost_to_span_ns"}, {"trace6_at", SAMPLED, "trace", "lost_to_trace_ns"},
};
enum { DISTURBERS = sizeof disturbers / sizeof disturbers[0], SPLIT = 4 }; // SPLIT: also by the core

// The nanoseconds of a portion, without the operation that runs before each portion. The work first fills the
// caches, and then runs some portions that are not counted, until the operations have evicted what they
// evict.
static double time_portions(const victim *one, size_t steps, void (*operation)(size_t))
{
    uint64_t sum = 0;
    one->run(one->round_trip());
    for (size_t i = 0; i < WARM_PORTIONS + PORTIONS; i++) {
        operation(1);
        uint64_t start = ticks_fenced();
        one->run(steps);
        uint64_t ticks = ticks_fenced() - start;
        if (i >= WARM_PORTIONS)
            sum += ticks;
    }
    return (double)sum * ticks_ns() / PORTIONS;
}

typedef struct victim_rounds {
    double ratio[ROUNDS_MOST], lost[ROUNDS_MOST], additions[ROUNDS_MOST];
    size_t count;
} victim_rounds;

// Adds a round, unless spans were lost in it.
static void measure_round(const victim *one, size_t steps, void (*operation)(size_t), bool session,
                          victim_rounds *out)
{
    uint64_t losses = session ? session_losses() : 0;
    bench_noise noise = noise_look();
    double alone = time_portions(one, steps, run_empty);
    double disturbed = time_portions(one, steps, operation);
    disturbed += time_portions(one, steps, operation);
    alone += time_portions(one, steps, run_empty);
    noise = noise_mean(noise, noise_look());
    if (session && session_losses() != losses)
        return;
    size_t i = out->count++;
    out->ratio[i] = disturbed / alone;
    out->lost[i] = (disturbed - alone) / 2;
    out->additions[i] = noise.additions;
}

// The number of steps in one portion.
static size_t steps_of_portion(const victim *one)
{
    double least = 0;
    one->run(2 * one->round_trip());
    for (int i = 0; i < 20; i++) {
        double ns = noise_time(one->run, one->round_trip());
        least = i == 0 || ns < least ? ns : least;
    }
    return (size_t)(portion_ns / least) + 1;
}

static void measure_disturber(const victim *one, size_t steps, size_t which, unsigned rounds,
                              bench_result *out)
{
    static const round_names core = {"core_alone_span", "core_alone_percent", "core_shared_span"};
    static victim_rounds all;
    bool session = disturbers[which].state != DISABLED;
    void (*operation)(size_t) = operation_find(disturbers[which].operation)->run;
    unsigned done = 0;
    all.count = 0;
    for (; done < rounds; done++) {
        noise_pause();
        if (session && !session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            break;
        }
        measure_round(one, steps, operation, session, &all);
        progress(out, (unsigned)which * rounds + done, DISTURBERS * rounds);
    }
    rounds_note(out, all.count, done);
    result_add_estimate(out, disturbers[which].ratio, estimate_median(all.ratio, all.count));
    if (disturbers[which].lost != NULL)
        result_add_estimate(out, disturbers[which].lost, estimate_median(all.lost, all.count));
    if (which == SPLIT)
        rounds_by_core(out, core, all.ratio, all.additions, all.count);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const victim *one = &victims[index];
    unsigned rounds = setup->rounds < ROUNDS_MOST ? setup->rounds : ROUNDS_MOST;
    if (!one->open(one)) {
        result_fail(out, "out of memory");
        return;
    }
    size_t steps = steps_of_portion(one);
    result_add(out, "working_set_bytes", (double)one->bytes());
    result_add(out, "steps_count", (double)steps);
    bool session = false;
    for (size_t i = 0; i < DISTURBERS && out->problem[0] == '\0'; i++) {
        if (disturbers[i].state != DISABLED && !session) {
            session = session_start(setup, NSP_COLLECTOR_THREAD, NULL, out);
            if (!session)
                break;
        }
        if (session)
            nsp_sampler_set_rate(disturbers[i].state == SAMPLED ? 1.0 : 0.0);
        measure_disturber(one, steps, i, rounds, out);
    }
    if (session)
        session_end(out);
    one->close();
}

BENCH_DESCRIBE(victims, VICTIMS)

const bench_group group_victim = {
    .name = "victim",
    .method =
        "time of other work in portions of 2 us, with one span (3 attributes) or one trace of 6 spans "
        "before each portion, as a ratio to its time without; the spans' own time is not included; A B "
        "B A, medians of all rounds with 95 % intervals; core_alone_span: where nothing else used the core",
    .describe = describe,
    .measure = measure,
};
