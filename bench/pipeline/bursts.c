// SPDX-License-Identifier: Apache-2.0
#include "pipeline/bursts.h"

#include <math.h>

#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"

const burst_cost burst_cost_unknown = {{NAN, NAN, NAN}, {NAN, NAN, NAN}};

void bursts_add_one(burst_rounds *to, double ns, bench_noise noise)
{
    if (to->count == ROUNDS_LIMIT)
        return;
    size_t i = to->count++;
    to->ns[i] = ns;
    to->ratio[i] = ns / noise.two_reads;
    to->two_reads[i] = noise.two_reads;
    to->additions[i] = noise.additions;
}

void bursts_add_round(burst_rounds *to, void (*run)(size_t), size_t count, unsigned spans,
                      burst_losses losses)
{
    // Warms up caches and branch predictors, which another program may have used.
    ticks_spin(20000);
    noise_time(run_two_reads, 100);
    run(32);
    uint64_t lost = session_losses();
    bench_noise noise = noise_look();
    double ns = noise_time(run, count);
    ns = (ns + noise_time(run, count)) / 2 / spans;
    noise = noise_mean(noise, noise_look());
    to->measured++;
    if (losses == MAY_LOSE || session_losses() == lost)
        bursts_add_one(to, ns, noise);
}

void bursts_add(burst_rounds *to, void (*run)(size_t), size_t count, unsigned spans, burst_losses losses,
                unsigned rounds, const bench_setup *setup, bench_result *out)
{
    for (unsigned i = 0; i < rounds && setup->rounds != 0; i++) {
        noise_pause();
        if (losses == LOSES_NOTHING && !session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            return;
        }
        bursts_add_round(to, run, count, spans, losses);
        progress(out, i + 1, rounds);
    }
}

burst_cost bursts_cost(const burst_rounds *from, bench_result *out)
{
    rounds_note(out, from->count, from->measured);
    return (burst_cost){estimate_median(from->ratio, from->count), estimate_median(from->ns, from->count)};
}
