// SPDX-License-Identifier: Apache-2.0
//
// nanospan as one of the peers: the default configuration, and the operations of the hot-path benchmarks.
#include <stdio.h>

#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/operations.h"
#include "peers/child.h"

static void (*runs[2])(size_t count); // by operation

static const char *start(const char *endpoint, int mode)
{
    static bench_result out;
    // The collector's CPU is the one to which the process is pinned at this time.
    const bench_setup setup = {.collector_cpu = -1};
    runs[PEER_SPAN0] = operation_find("span0")->run;
    runs[PEER_SPAN3] = operation_find("span3")->run;
    if (mode == PEER_DISABLED)
        return NULL;
    nsp_config config;
    session_configure(&setup, &config);
    config.sample_rate = mode == PEER_SAMPLED ? 1.0 : 0.0;
    if (endpoint != NULL) {
        config.custom_exporter = NULL;
        config.exporter = "otlp";
        config.endpoint = endpoint;
    }
    return session_start_with(&config, &out) ? NULL : out.problem;
}

static void run(int operation, size_t count)
{
    runs[operation](count);
}

static void sample(int operation, uint32_t *ticks, size_t count)
{
    ticks_each(runs[operation], ticks, count);
}

static void stop(void)
{
    nsp_shutdown(UINT64_C(10) * 1000 * 1000 * 1000);
}

static void count(peer_counts *out)
{
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    *out = (peer_counts){.exported = stats.exported,
                         .dropped = (int64_t)(stats.dropped + stats.roots_refused + stats.discarded +
                                              stats.rejected + stats.unconfirmed)};
}

const peer_calls peer_nanospan = {start, run, sample, stop, count, session_drained};

// ---- the empty harness ----

static const char *nothing_start(const char *endpoint, int mode)
{
    (void)endpoint, (void)mode;
    runs[PEER_SPAN0] = runs[PEER_SPAN3] = run_empty;
    return NULL;
}

static void nothing_stop(void) {}

static void nothing_count(peer_counts *out)
{
    *out = (peer_counts){0};
}

const peer_calls peer_nothing = {nothing_start, run, sample, nothing_stop, nothing_count, NULL};
