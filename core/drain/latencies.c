// SPDX-License-Identifier: Apache-2.0
#include "drain/latencies.h"

#include <math.h>

#include "clock/clock.h"

_Static_assert((int)NSP_LATENCY_STEPS == (int)NSP__LATENCY_STEPS, "the same steps inside and outside");

// What other processes have written is added up here too, so no number is too large.
static uint64_t in_ns(double ticks, double tick_ns)
{
    const double ns = ticks * tick_ns + 0.5;
    return ns >= 0x1p64 ? UINT64_MAX : (uint64_t)ns;
}

void nsp__latencies_add(nsp_latency *out, uint64_t *ticks, const nsp__latency_place *place)
{
    const uint32_t latest = nsp__latency_latest(place);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // LT2
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++) {
        const uint32_t count = nsp__latency_count(place, step);
        out->counts[step] += count;
        out->count += count;
    }
    *ticks += __atomic_load_n(&place->ticks, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // LT2: acquires LT1: who finds it counted finds another latest
    // If it is still the latest, it was not counted before; otherwise whoever looks next finds it counted.
    if (latest == NSP__LATENCY_STEPS || nsp__latency_latest(place) != latest)
        return;
    out->counts[latest]++;
    out->count++;
}

void nsp__latencies_total(nsp_latency *out, uint64_t ticks, uint64_t tick_rate)
{
    out->tick_ns = ldexp((double)tick_rate, -NSP__CLOCK_RATE_BITS);
    out->sum_ns = in_ns((double)ticks, out->tick_ns);
    out->p50_ns = nsp_latency_quantile_ns(out, 0.5);
    out->p90_ns = nsp_latency_quantile_ns(out, 0.9);
    out->p99_ns = nsp_latency_quantile_ns(out, 0.99);
    out->p999_ns = nsp_latency_quantile_ns(out, 0.999);
    out->max_ns = nsp_latency_quantile_ns(out, 1);
}

uint64_t nsp_latency_step_ns(const nsp_latency *latency, size_t step)
{
    const uint32_t known = step < NSP__LATENCY_STEPS ? (uint32_t)step : NSP__LATENCY_STEPS;
    return in_ns((double)nsp__latency_step_ticks(known), latency->tick_ns);
}

// The middle of the step in which the root of that rank lies.
uint64_t nsp_latency_quantile_ns(const nsp_latency *latency, double share)
{
    double roots = 0, below = 0;
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++)
        roots += (double)latency->counts[step];
    const double rank = fmin(fmax(ceil(share * roots), 1), roots);
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS && roots != 0; step++) {
        below += (double)latency->counts[step];
        if (below >= rank) {
            const uint64_t first = nsp__latency_step_ticks(step),
                           last = nsp__latency_step_ticks(step + 1) - 1;
            return in_ns(((double)first + (double)last) / 2, latency->tick_ns);
        }
    }
    return 0;
}
