// SPDX-License-Identifier: Apache-2.0
//
// What tracing adds to an order: bursts of messages, one after the other, A B B A with tracing compiled out.
// This is the precise figure; open_loop.c measures the latency of orders that arrive at their own times.
//
// An interval covers what varies from round to round within one run. It does not cover what is decided once
// per run, such as the addresses of code and data, so the same row of several runs differs by more than its
// interval. Compare several runs before you call a few nanoseconds a difference. The control, an untraced
// engine compared with itself, shows a part of this effect, but not all of it: it has no spans whose
// addresses could matter.
#include <stdio.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "order_path/pair.h"

enum { ROUNDS_MOST = 51, TRIES_MAX = 1024, WARM = 32, BURST_MOST = 400 };

typedef struct service_round {
    bench_noise noise;
    double base, subject; // ns per order
    bool disturbed;
} service_round;

static bool accepted(const service_round *round)
{
    return !round->disturbed && noise_accepts(round->noise);
}

static double time_burst(order_engine *one, const order_message *messages, size_t burst)
{
    one->path->work_off(&one->engine, messages, WARM);
    uint64_t start = ticks_fenced();
    one->path->work_off(&one->engine, messages + WARM, burst);
    uint64_t ticks = ticks_fenced() - start;
    return (double)ticks * ticks_ns() / (double)burst;
}

// A trading thread does not sleep. This one has slept while the ring was drained, and its caches are cold, so
// both engines process two bursts first. `messages` must contain those and the timed ones.
static service_round measure_round(order_pair *pair, const order_message *messages, size_t burst)
{
    const order_message *first = messages + 2 * burst, *second = first + WARM + burst;
    uint64_t losses = pair_losses(pair);
    pair->base.path->work_off(&pair->base.engine, messages, 2 * burst);
    pair->subject.path->work_off(&pair->subject.engine, messages, 2 * burst);
    long switches = noise_switches();
    bench_noise noise = noise_look();
    double base = time_burst(&pair->base, first, burst);
    double subject = time_burst(&pair->subject, first, burst);
    subject += time_burst(&pair->subject, second, burst);
    base += time_burst(&pair->base, second, burst);
    noise = noise_mean(noise, noise_look());
    bool disturbed = noise_switches() != switches || pair_losses(pair) != losses;
    return (service_round){noise, base / 2, subject / 2, disturbed};
}

static size_t measure_rounds(order_pair *pair, unsigned wanted, service_round *rounds, bench_result *out)
{
    // Four bursts may fill at most two thirds of the ring.
    double bytes = pair_bytes(pair, out), most = BURST_MOST;
    if (bytes > 0 && (double)session_ring_bytes() / 6 / bytes - WARM < most)
        most = (double)session_ring_bytes() / 6 / bytes - WARM;
    size_t burst = most > WARM ? (size_t)most : WARM, count = 0, valid = 0;
    unsigned streak = 0;
    while (valid < wanted && count < TRIES_MAX && count < 8 * wanted) {
        noise_pause(streak);
        const order_message *messages = pair_next(pair, 2 * burst + 2 * (WARM + burst), out);
        if (messages == NULL)
            break;
        rounds[count++] = measure_round(pair, messages, burst);
        streak = accepted(&rounds[count - 1]) ? 0 : streak + 1;
        valid = 0;
        for (size_t i = 0; i < count; i++)
            valid += accepted(&rounds[i]);
        progress(out, (unsigned)valid, wanted);
    }
    return count;
}

static void report(const service_round *rounds, size_t count, const struct counters *counters,
                   bench_result *out)
{
    static double order[TRIES_MAX], base[TRIES_MAX], added[TRIES_MAX], ratio[TRIES_MAX], reads[TRIES_MAX];
    size_t valid = 0;
    for (size_t i = 0; i < count; i++) {
        if (!accepted(&rounds[i]))
            continue;
        order[valid] = rounds[i].subject;
        base[valid] = rounds[i].base;
        added[valid] = rounds[i].subject - rounds[i].base;
        reads[valid] = rounds[i].noise.two_reads;
        ratio[valid++] = rounds[i].subject / rounds[i].base;
    }
    out->rounds = (unsigned)valid;
    out->invalid = (unsigned)(count - valid);
    if (valid < ROUNDS_LEAST)
        result_fail(out, "too noisy: %zu of %zu rounds are valid, %d are needed", valid, count, ROUNDS_LEAST);
    result_add(out, "compiled_out_ns", estimate_median(base, valid).value);
    result_add(out, "order_ns", estimate_median(order, valid).value);
    result_add_estimate(out, "added_ns", estimate_median(added, valid));
    result_add_estimate(out, "ratio", estimate_median(ratio, valid));
    result_add(out, "2T_ns", estimate_median(reads, valid).value);
    result_add(out, "traced", (double)counters->orders_traced / (double)counters->orders);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static service_round rounds[TRIES_MAX];
    static order_pair pair;
    const order_condition *condition = &order_conditions[index];
    if (!pair_open(&pair, condition, setup, out))
        return;
    unsigned wanted = setup->rounds < ROUNDS_MOST ? setup->rounds : ROUNDS_MOST;
    size_t count = measure_rounds(&pair, wanted, rounds, out);
    report(rounds, count, &pair.subject.engine.counters, out);
    pair_close(&pair, condition, out);
}

static bool describe(size_t index, bench_result *out)
{
    static char names[ORDER_CONDITIONS][24];
    if (index >= ORDER_CONDITIONS)
        return false;
    snprintf(names[index], sizeof names[index], "order_%s", order_conditions[index].name);
    out->name = names[index];
    out->what = order_conditions[index].what;
    return true;
}

const bench_group group_order_path = {
    .name = "order path",
    .method = "what tracing adds to an order of the example engine: means of bursts, A B B A with the same "
              "engine with tracing compiled out; medians with 95 % intervals",
    .describe = describe,
    .measure = measure,
};
