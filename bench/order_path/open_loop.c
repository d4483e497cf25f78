// SPDX-License-Identifier: Apache-2.0
//
// Tick to trade as a user sees it: orders arrive whether the engine is ready or not. Each order has a time at
// which it is due, and its latency counts from there, so a slow order also delays those behind it, as it does
// in reality. (If latencies counted from the actual start, a stall of a millisecond would show as one slow
// order instead of 500.) The gaps between orders are exponential, as for independent arrivals.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/distribution.h"
#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "order_path/pair.h"

// Six steps of the longest windows fit into one pass over the orders.
enum { WARM = 32, ROUNDS_MOST = 21, WINDOW_MOST = 1300 };

static const struct {
    const char *name, *plot;
    double per_second;
    unsigned window; // orders
    unsigned steps;  // per round; each has windows A B B A
} rates[] = {
    {"100k", "order path, 100 k orders/s", 100e3, 400, 3},
    {"500k", "order path, 500 k orders/s", 500e3, WINDOW_MOST, 3},
    {"1M", "order path, 1 M orders/s", 1e6, WINDOW_MOST, 3},
};
enum { RATES = sizeof rates / sizeof rates[0], QUICK_RATE = 1 }; // the only rate with --quick

// The highest rate that is measured, as a share of what the untraced engine can do.
static const double capacity_part = 0.8;

// The latencies of one of the two engines.
typedef struct latencies {
    uint32_t *ticks; // round after round
    size_t count, room;
    double at[3][ROUNDS_MOST]; // by round: p50, p99, p99.9, in ns
    uint64_t busy, elapsed;    // ticks
} latencies;

static const double parts[3] = {0.5, 0.99, 0.999};

static bool schedule_make(uint32_t *gaps, size_t count, double per_second)
{
    uint64_t state = 88172645463325252u; // xorshift64: the same schedule in each run
    double mean = 1e9 / per_second / ticks_ns();
    for (size_t i = 0; gaps != NULL && i < count; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        gaps[i] = (uint32_t)(-log(((double)(state >> 11) + 1) * 0x1p-53) * mean);
    }
    return gaps != NULL;
}

static bool latencies_make(latencies *out, size_t room)
{
    *out = (latencies){.ticks = malloc(room * sizeof *out->ticks), .room = room};
    if (out->ticks != NULL)
        memset(out->ticks, 0,
               room * sizeof *out->ticks); // touches all pages before the measurement
    return out->ticks != NULL;
}

// Runs one window, and adds its latencies.
static void run_window(order_engine *one, const order_message *messages, const uint32_t *gaps, size_t window,
                       latencies *out)
{
    one->path->work_off(&one->engine, messages, WARM);
    uint64_t begin = ticks_fenced(), due = begin, now, end = begin, busy = 0;
    for (size_t i = 0; i < window; i++) {
        due += gaps[i];
        while ((now = nsp__counter_read()) < due)
            ;
        one->path->work_off(&one->engine, &messages[WARM + i], 1);
        end = ticks_fenced();
        busy += end - now;
        out->ticks[out->count++] = end - due < UINT32_MAX ? (uint32_t)(end - due) : UINT32_MAX;
    }
    out->busy += busy;
    out->elapsed += end - begin;
}

typedef struct open_loop {
    order_pair pair;
    uint32_t *gaps;
    latencies base, subject;
    double additions[ROUNDS_MOST]; // by round: the mean of its steps, in ns
    size_t window;
} open_loop;

// One step, A B B A. Returns the time of the additions around it.
static double measure_step(open_loop *loop, const order_message *messages)
{
    size_t window = loop->window, one = WARM + window;
    const uint32_t *gaps = &loop->gaps[messages - loop->pair.stream.messages];
    ticks_spin(20000);
    bench_noise noise = noise_look();
    run_window(&loop->pair.base, messages, gaps, window, &loop->base);
    run_window(&loop->pair.subject, messages, gaps, window, &loop->subject);
    run_window(&loop->pair.subject, messages + one, gaps + one, window, &loop->subject);
    run_window(&loop->pair.base, messages + one, gaps + one, window, &loop->base);
    return noise_mean(noise, noise_look()).additions;
}

static void note_round(latencies *in, size_t from, unsigned round)
{
    sort_u32(in->ticks + from, in->count - from);
    for (size_t p = 0; p < 3; p++)
        in->at[p][round] = percentile(in->ticks + from, in->count - from, parts[p]) * ticks_ns();
}

// Spans that the collector cannot take at this rate do not make a round invalid: users would lose them too,
// so they are shown.
static void measure_rounds(open_loop *loop, unsigned steps, unsigned rounds, bench_result *out)
{
    for (unsigned round = 0; round < rounds; round++) {
        size_t from = loop->base.count;
        double additions = 0;
        for (unsigned step = 0; step < steps; step++) {
            noise_pause();
            const order_message *messages = pair_next(&loop->pair, 2 * (WARM + loop->window), out);
            if (messages == NULL)
                return;
            additions += measure_step(loop, messages) / steps;
        }
        loop->additions[round] = additions;
        note_round(&loop->base, from, round);
        note_round(&loop->subject, from, round);
        progress(out, out->rounds = round + 1, rounds);
    }
}

static void report(open_loop *loop, bench_result *out)
{
    static const struct {
        const char *name;
        double part;
    } points[] = {{"p50_ns", 0.5},     {"p90_ns", 0.9},       {"p99_ns", 0.99},
                  {"p99.9_ns", 0.999}, {"p99.99_ns", 0.9999}, {"max_ns", 1}};
    static const char *const added[3] = {"added_p50_ns", "added_p99_ns", "added_p99.9_ns"};
    static const round_names core = {"core_alone_added_p50_ns", "core_alone_percent",
                                     "core_shared_added_p50_ns"};
    static double differences[3][ROUNDS_MOST];
    latencies *subject = &loop->subject;
    sort_u32(subject->ticks, subject->count);
    for (size_t i = 0; subject->count != 0 && i < sizeof points / sizeof points[0]; i++)
        result_add(out, points[i].name,
                   percentile(subject->ticks, subject->count, points[i].part) * ticks_ns());
    for (size_t p = 0; p < 3; p++) {
        for (size_t round = 0; round < out->rounds; round++)
            differences[p][round] = subject->at[p][round] - loop->base.at[p][round];
        result_add_estimate(out, added[p], estimate_median(differences[p], out->rounds));
    }
    rounds_by_core(out, core, differences[0], loop->additions, out->rounds);
    result_add(out, "busy", (double)subject->busy / (double)subject->elapsed);
    result_add(out, "lost_count", (double)pair_losses(&loop->pair));
}

// Can the untraced engine reach this rate at all?
static bool attainable(open_loop *loop, double per_second, bench_result *out)
{
    enum { TRIAL = 200 };
    double least = INFINITY;
    for (int i = 0; i < 5; i++) {
        const order_message *messages = pair_next(&loop->pair, TRIAL, out);
        if (messages == NULL)
            return false;
        uint64_t start = ticks_fenced();
        loop->pair.base.path->work_off(&loop->pair.base.engine, messages, TRIAL);
        least = fmin(least, (double)(ticks_fenced() - start) * ticks_ns() / TRIAL);
        loop->pair.subject.path->work_off(&loop->pair.subject.engine, messages, TRIAL);
    }
    if (per_second <= capacity_part * 1e9 / least)
        return true;
    result_skip(out, "the untraced engine reaches only %.0f orders/s on this machine", 1e9 / least);
    return false;
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static open_loop loop;
    size_t rate = index / ORDER_CONDITIONS;
    const order_condition *condition = &order_conditions[index % ORDER_CONDITIONS];
    unsigned rounds = setup->rounds < ROUNDS_MOST ? setup->rounds : ROUNDS_MOST;
    unsigned steps = setup->quick ? 1 : rates[rate].steps;
    if (setup->quick && rate != QUICK_RATE) {
        result_skip(out, "not measured with --quick");
        return;
    }
    loop = (open_loop){.window = rates[rate].window};
    if (!pair_open(&loop.pair, condition, setup, out))
        return;
    size_t room = 2 * loop.window * steps * rounds;
    loop.gaps = malloc(loop.pair.stream.count * sizeof *loop.gaps);
    if (!schedule_make(loop.gaps, loop.pair.stream.count, rates[rate].per_second) ||
        !latencies_make(&loop.base, room) || !latencies_make(&loop.subject, room)) {
        result_fail(out, "out of memory");
    } else if (attainable(&loop, rates[rate].per_second, out)) {
        measure_rounds(&loop, steps, rounds, out);
        report(&loop, out);
        distribution_plot(out, rates[rate].plot, condition->line, loop.subject.ticks, loop.subject.count,
                          ticks_ns());
    }
    pair_close(&loop.pair, condition, out);
    free(loop.gaps);
    free(loop.base.ticks);
    free(loop.subject.ticks);
}

static bool describe(size_t index, bench_result *out)
{
    static char names[RATES * ORDER_CONDITIONS][24];
    if (index >= RATES * ORDER_CONDITIONS)
        return false;
    snprintf(names[index], sizeof names[index], "open_%s_%s", rates[index / ORDER_CONDITIONS].name,
             order_conditions[index % ORDER_CONDITIONS].name);
    out->name = names[index];
    out->what = order_conditions[index % ORDER_CONDITIONS].what;
    return true;
}

const bench_group group_open_loop = {
    .name = "order path at a rate",
    .method =
        "latency from when an order is due (open loop, exponential gaps); added: compared with the same "
        "percentile with tracing compiled out, A B B A, medians of all rounds with 95 % intervals; "
        "core_alone: "
        "where nothing else used the core",
    .describe = describe,
    .measure = measure,
};
