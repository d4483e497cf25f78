// SPDX-License-Identifier: Apache-2.0
#include "pipeline/bursts.h"

#include <math.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

static bool accepted(const burst_round *round)
{
    return !round->disturbed && noise_accepts(round->noise);
}

static burst_round measure_round(void (*run)(size_t), size_t count, burst_losses losses)
{
    // Warms up caches and branch predictors, which another program may have used.
    ticks_spin(20000);
    noise_time(run_two_reads, 100);
    run(32);
    uint64_t lost = session_losses();
    long switches = noise_switches();
    bench_noise noise = noise_look();
    double ns = noise_time(run, count);
    ns = (ns + noise_time(run, count)) / 2;
    noise = noise_mean(noise, noise_look());
    bool disturbed = noise_switches() != switches || (losses == LOSES_NOTHING && session_losses() != lost);
    return (burst_round){noise, ns, disturbed};
}

void bursts_add(burst_rounds *to, void (*run)(size_t), size_t count, burst_losses losses, unsigned wanted,
                unsigned tries, const bench_setup *setup, bench_result *out)
{
    unsigned streak = 0, valid = 0;
    for (unsigned i = 0; i < tries && valid < wanted && to->count < BURSTS_MAX && setup->rounds != 0; i++) {
        noise_pause(streak);
        if (losses == LOSES_NOTHING && !session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            return;
        }
        burst_round *round = &to->items[to->count++];
        *round = measure_round(run, count, losses);
        streak = accepted(round) ? 0 : streak + 1;
        valid += accepted(round);
    }
}

size_t bursts_valid(const burst_rounds *from)
{
    size_t valid = 0;
    for (size_t i = 0; i < from->count; i++)
        valid += accepted(&from->items[i]);
    return valid;
}

burst_cost bursts_cost(const burst_rounds *from, bench_result *out)
{
    static double ratio[BURSTS_MAX], ns[BURSTS_MAX];
    burst_cost cost = {{NAN, NAN, NAN}, {NAN, NAN, NAN}, 0};
    for (size_t i = 0; i < from->count; i++) {
        if (!accepted(&from->items[i]))
            continue;
        ns[cost.valid] = from->items[i].ns;
        ratio[cost.valid++] = from->items[i].ns / from->items[i].noise.two_reads;
    }
    if (cost.valid < ROUNDS_LEAST) {
        result_fail(out, "too noisy: %zu of %zu rounds are valid, %d are needed", cost.valid, from->count,
                    ROUNDS_LEAST);
        return cost;
    }
    cost.ratio = estimate_median(ratio, cost.valid);
    cost.ns = estimate_median(ns, cost.valid);
    return cost;
}
