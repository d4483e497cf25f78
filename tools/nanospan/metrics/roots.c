// SPDX-License-Identifier: Apache-2.0
//
// How long local roots took, as histograms.
#include "metrics.h"

#include <stdio.h>

#define ROOTS "nanospan_local_root_duration_seconds"

static double in_seconds(uint64_t nanoseconds)
{
    return (double)nanoseconds * 1e-9;
}

// The upper bounds of the buckets, in seconds: the same for all engines and for ever, so that they can be
// added up and compared. A step of the histogram lies in the bucket in which its middle lies.
static const double BOUNDS[] = {1e-7, 2e-7, 5e-7, 1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3,
                                2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,  0.2,  0.5,  1,    2,    5,    10};

static void root_bucket(text *out, const figures_engine *engine, const char *root, const char *bound,
                        uint64_t count)
{
    metrics_begin(out, ROOTS, "_bucket", engine);
    text_char(out, ',');
    metrics_label(out, "span_name", root);
    text_format(out, ",le=\"%s\"", bound);
    metrics_finish_count(out, count);
}

static void root_durations(text *out, const figures_engine *engine, const figures_latency *of)
{
    uint64_t count = 0;
    size_t step = 0;
    for (size_t i = 0; i < sizeof BOUNDS / sizeof BOUNDS[0]; i++) {
        char bound[32];
        snprintf(bound, sizeof bound, "%g", BOUNDS[i]);
        while (step < NSP_LATENCY_STEPS &&
               in_seconds(nsp_latency_step_ns(&of->all, step) + nsp_latency_step_ns(&of->all, step + 1)) /
                       2 <=
                   BOUNDS[i])
            count += of->all.counts[step++];
        root_bucket(out, engine, of->name, bound, count);
    }
    root_bucket(out, engine, of->name, "+Inf", of->all.count);
    metrics_begin(out, ROOTS, "_sum", engine);
    text_char(out, ',');
    metrics_label(out, "span_name", of->name);
    metrics_finish(out, in_seconds(of->all.sum_ns));
    metrics_begin(out, ROOTS, "_count", engine);
    text_char(out, ',');
    metrics_label(out, "span_name", of->name);
    metrics_finish_count(out, of->all.count);
}

// Of all roots that an outlier rule concerns, sampled or not.
void metrics_roots(text *out, const figures *all)
{
    metrics_head(out, ROOTS, "histogram",
                 "How long local roots took that an outlier rule concerns, sampled or not.");
    for (size_t e = 0; e < all->count; e++)
        for (size_t i = 0; i < all->engines[e].seen.latency_count; i++)
            root_durations(out, &all->engines[e], &all->engines[e].latencies[i]);
}
