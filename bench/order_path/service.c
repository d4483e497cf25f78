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

enum { ROUNDS_MOST = 51, WARM = 32, BURST_MOST = 400 };

// By round. Times are nanoseconds per order.
typedef struct service_rounds {
    double base[ROUNDS_MOST], subject[ROUNDS_MOST], added[ROUNDS_MOST], ratio[ROUNDS_MOST];
    double two_reads[ROUNDS_MOST], additions[ROUNDS_MOST];
    size_t count;
    double ring_bytes; // of an order
} service_rounds;

static double time_burst(order_engine *one, const order_message *messages, size_t burst)
{
    one->path->work_off(&one->engine, messages, WARM);
    uint64_t start = ticks_fenced();
    one->path->work_off(&one->engine, messages + WARM, burst);
    uint64_t ticks = ticks_fenced() - start;
    return (double)ticks * ticks_ns() / (double)burst;
}

// A trading thread does not sleep. This one has slept while the ring was drained, and its caches are cold, so
// both engines process two bursts first. `messages` must contain those and the timed ones. Adds a round,
// unless spans were lost in it.
static void measure_round(order_pair *pair, const order_message *messages, size_t burst, service_rounds *out)
{
    const order_message *first = messages + 2 * burst, *second = first + WARM + burst;
    uint64_t losses = pair_losses(pair);
    pair->base.path->work_off(&pair->base.engine, messages, 2 * burst);
    pair->subject.path->work_off(&pair->subject.engine, messages, 2 * burst);
    bench_noise noise = noise_look();
    double base = time_burst(&pair->base, first, burst);
    double subject = time_burst(&pair->subject, first, burst);
    subject += time_burst(&pair->subject, second, burst);
    base += time_burst(&pair->base, second, burst);
    noise = noise_mean(noise, noise_look());
    if (pair_losses(pair) != losses)
        return;
    size_t i = out->count++;
    out->base[i] = base / 2;
    out->subject[i] = subject / 2;
    out->added[i] = (subject - base) / 2;
    out->ratio[i] = subject / base;
    out->two_reads[i] = noise.two_reads;
    out->additions[i] = noise.additions;
}

static void measure_rounds(order_pair *pair, unsigned wanted, service_rounds *rounds, bench_result *out)
{
    // Four bursts may fill at most two thirds of the ring.
    double bytes = pair_bytes(pair, out), most = BURST_MOST;
    if (bytes > 0 && (double)session_ring_bytes() / 6 / bytes - WARM < most)
        most = (double)session_ring_bytes() / 6 / bytes - WARM;
    size_t burst = most > WARM ? (size_t)most : WARM;
    unsigned done = 0;
    rounds->ring_bytes = bytes;
    for (; done < wanted; done++) {
        noise_pause();
        const order_message *messages = pair_next(pair, 2 * burst + 2 * (WARM + burst), out);
        if (messages == NULL)
            break;
        measure_round(pair, messages, burst, rounds);
        progress(out, done + 1, wanted);
    }
    rounds_note(out, rounds->count, done);
}

static void report(const service_rounds *in, const struct counters *counters, bench_result *out)
{
    static const round_names core = {"core_alone_added_ns", "core_alone_percent", "core_shared_added_ns"};
    result_add(out, "compiled_out_ns", estimate_median(in->base, in->count).value);
    result_add(out, "order_ns", estimate_median(in->subject, in->count).value);
    result_add_estimate(out, "added_ns", estimate_median(in->added, in->count));
    result_add_estimate(out, "ratio", estimate_median(in->ratio, in->count));
    result_add(out, "2T_ns", estimate_median(in->two_reads, in->count).value);
    result_add(out, "traced", (double)counters->orders_traced / (double)counters->orders);
    result_add(out, "ring_bytes", in->ring_bytes);
    rounds_by_core(out, core, in->added, in->additions, in->count);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static service_rounds rounds;
    static order_pair pair;
    const order_condition *condition = &order_conditions[index];
    rounds.count = 0;
    if (!pair_open(&pair, condition, setup, out))
        return;
    unsigned wanted = setup->rounds < ROUNDS_MOST ? setup->rounds : ROUNDS_MOST;
    measure_rounds(&pair, wanted, &rounds, out);
    report(&rounds, &pair.subject.engine.counters, out);
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
    .method =
        "what tracing adds to an order of the example engine: means of bursts, A B B A with the same "
        "engine with tracing compiled out; medians of all rounds with 95 % intervals; ring_bytes: of an "
        "order; core_alone: where "
        "nothing else used the core",
    .describe = describe,
    .measure = measure,
};
