// SPDX-License-Identifier: Apache-2.0
//
// nanospan and other tracers, in one run and one harness: bursts like those of an application, with pauses in
// which the peer's own thread empties its queue.
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "harness/distribution.h"
#include "harness/noise.h"
#include "harness/ticks.h"
#include "peers/child.h"

enum { BURST = 400, WARM = 32, ROUNDS_MOST = 51 };
// Single operations are split into ROUNDS_LEAST rounds of 20,000 operations each, or half of that with
// --quick.

static const char batch[] = "batch processor, queue 2048, batches of 512, parent-based sampler; OTLP/HTTP";

const peer peers[] = {
    {"nanospan", "default configuration; encodes OTLP",
     PEER_HAS_UNSAMPLED | PEER_HAS_DISABLED | PEER_SPEAKS_OTLP, &peer_nanospan, NULL},
    {"ck_ring", "hand-written record through ck_ring, 8192 slots; no OTLP", 0, &peer_ck_ring, NULL},
    {"mutex_queue", "hand-written record, mutex and condition variable, 8192 slots; no OTLP", 0,
     &peer_mutex_queue, NULL},
    {"lttng", "two events per span, default user space channel, per-user buffers, trace in a file",
     PEER_HAS_DISABLED | PEER_WRITES_TRACE, NULL, NULL},
    {"fastrace", "root spans, report interval 1 s; OTLP/HTTP through fastrace-opentelemetry",
     PEER_HAS_UNSAMPLED | PEER_HAS_DISABLED | PEER_SPEAKS_OTLP, NULL, NULL},
    {"opentelemetry-rust", batch, PEER_HAS_UNSAMPLED | PEER_HAS_DISABLED | PEER_SPEAKS_OTLP, NULL, NULL},
    {"opentelemetry-go", batch, PEER_HAS_UNSAMPLED | PEER_HAS_DISABLED | PEER_SPEAKS_OTLP, NULL, NULL},
    {"opentelemetry-cpp", batch, PEER_HAS_UNSAMPLED | PEER_HAS_DISABLED | PEER_SPEAKS_OTLP, NULL, NULL},
    {"quill", "two log calls per span without ids, default unbounded queue, formatted text in a file",
     PEER_HAS_DISABLED, NULL, NULL},
    {"tracy", "a zone per span without ids, not on demand, to a process that reads and counts them", 0, NULL,
     NULL},
    {"dpdk", "two rte_trace points per span without ids, overwriting 1 MiB that nobody reads",
     PEER_HAS_DISABLED, NULL, NULL},
    {"empty", "the harness alone", 0, &peer_nothing, NULL},
};
const size_t peer_count_all = sizeof peers / sizeof peers[0];

// ---- in the child: means ----

static const peer_calls *current;
static int current_operation;

static void run_current(size_t count)
{
    current->run(current_operation, count);
}

// Long enough for every peer to take 832 spans out of its queue.
static void pause_between(const peer_page *page)
{
    struct timespec pause = {.tv_nsec = 3 * 1000 * 1000};
    nanosleep(&pause, NULL);
    if (current->drained != NULL && page->mode == PEER_SAMPLED)
        current->drained();
    peer_settle(page);
    ticks_spin(20000);
}

static void measure_means(peer_page *page, int operation)
{
    peer_rounds *out = &page->rounds[operation];
    unsigned wanted = page->setup->rounds < ROUNDS_MOST ? page->setup->rounds : ROUNDS_MOST;
    current_operation = operation;
    __atomic_store_n(&page->of, wanted, __ATOMIC_RELAXED);
    for (out->count = 0; out->count < wanted; out->count++) {
        pause_between(page);
        run_current(WARM);
        bench_noise noise = noise_look();
        double ns = noise_time(run_current, BURST);
        ns = (ns + noise_time(run_current, BURST)) / 2;
        noise = noise_mean(noise, noise_look());
        page->recorded += WARM + 2 * BURST;
        out->ns[out->count] = ns;
        out->ratio[out->count] = ns / noise.two_reads;
        out->additions[out->count] = noise.additions;
        __atomic_store_n(&page->done, out->count + 1, __ATOMIC_RELAXED);
    }
}

// ---- in the child: single operations ----

static void measure_samples(peer_page *page)
{
    size_t wanted = page->setup->quick ? PEER_SAMPLES / 2 : PEER_SAMPLES;
    __atomic_store_n(&page->of, (unsigned)(wanted / BURST), __ATOMIC_RELAXED);
    for (; page->sampled < wanted; page->sampled += BURST) {
        pause_between(page);
        run_current(WARM);
        current->sample(PEER_SPAN3, page->samples + page->sampled, BURST);
        page->recorded += WARM + BURST;
        __atomic_store_n(&page->done, (unsigned)(page->sampled / BURST), __ATOMIC_RELAXED);
    }
}

static void job_sampled(const peer_calls *calls, peer_page *page)
{
    current = calls;
    measure_means(page, PEER_SPAN0);
    measure_means(page, PEER_SPAN3);
    measure_samples(page);
}

static void job_means(const peer_calls *calls, peer_page *page)
{
    current = calls;
    measure_means(page, PEER_SPAN3);
}

// ---- the rows ----

static void add_means(const peer_page *page, int operation, const char *ns_name, const char *ratio_name,
                      bench_result *out)
{
    const peer_rounds *rounds = &page->rounds[operation];
    rounds_note(out, rounds->count, rounds->count);
    result_add_estimate(out, ns_name, estimate_median(rounds->ns, rounds->count));
    result_add_estimate(out, ratio_name, estimate_median(rounds->ratio, rounds->count));
}

// Adds medians over rounds; the line of the plot shows all samples.
static void add_samples(const peer_page *page, bench_result *out)
{
    static uint32_t all[PEER_SAMPLES];
    static const struct {
        const char *name;
        double part;
    } points[] = {{"p50_ns", 0.5}, {"p99_ns", 0.99}, {"p99.9_ns", 0.999}, {"p99.99_ns", 0.9999}};
    size_t size = page->sampled / ROUNDS_LEAST, rounds = ROUNDS_LEAST;
    memcpy(all, page->samples, page->sampled * sizeof *all);
    for (size_t r = 0; r < rounds; r++)
        sort_u32(all + r * size, size);
    for (size_t p = 0; p < sizeof points / sizeof points[0]; p++) {
        double at[ROUNDS_LEAST];
        for (size_t r = 0; r < rounds; r++)
            at[r] = percentile(all + r * size, size, points[p].part) * ticks_ns();
        result_add(out, points[p].name, estimate_median(at, rounds).value);
    }
    sort_u32(all, page->sampled);
    distribution_plot(out, "peers, span with 3 attributes", out->name, all, page->sampled, ticks_ns());
}

static bool measure_sampled(const peer *which, const bench_setup *setup, bench_result *out)
{
    const peer_page *page = peer_work(which, &(peer_task){job_sampled, PEER_SAMPLED, NULL, true}, setup, out);
    if (page == NULL)
        return false;
    if (which->calls != &peer_nothing) {
        add_means(page, PEER_SPAN0, "span0_ns", "span0", out);
        add_means(page, PEER_SPAN3, "span3_ns", "span3", out);
    }
    add_samples(page, out);
    if (which->calls != &peer_nothing) {
        int64_t lost = page->counts.dropped >= 0 ? page->counts.dropped
                                                 : (int64_t)(page->recorded - page->counts.exported);
        result_add(out, "recorded_count", (double)page->recorded);
        result_add(out, "dropped_count", (double)lost);
        const peer_rounds *rounds = &page->rounds[PEER_SPAN3];
        rounds_by_core(out, rounds_core, rounds->ratio, rounds->additions, rounds->count);
    }
    out->stats = page->stats;
    if (which->calls == &peer_nanospan && page->counts.dropped != 0)
        result_fail(out, "%lld spans were lost", (long long)page->counts.dropped);
    return true;
}

static void measure_other(const peer *which, peer_mode mode, const char *ns_name, const char *ratio_name,
                          const bench_setup *setup, bench_result *out)
{
    const peer_page *page = peer_work(which, &(peer_task){job_means, mode, NULL, true}, setup, out);
    if (page != NULL)
        add_means(page, PEER_SPAN3, ns_name, ratio_name, out);
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const peer *which = &peers[index];
    static char about[sizeof peers / sizeof peers[0]][256];
    char version[120];
    if (!peer_about(which, version, sizeof version)) {
        result_skip(out, "%s", version);
        return;
    }
    snprintf(about[index], sizeof about[index], "%s%s%s", version, version[0] != '\0' ? ": " : "",
             which->configured);
    out->what = about[index];
    if (!measure_sampled(which, setup, out))
        return;
    if (which->features & PEER_HAS_UNSAMPLED)
        measure_other(which, PEER_UNSAMPLED, "unsampled3_ns", "unsampled3", setup, out);
    if (which->features & PEER_HAS_DISABLED)
        measure_other(which, PEER_DISABLED, "disabled3_ns", "disabled3", setup, out);
}

static bool describe(size_t index, bench_result *out)
{
    if (index >= peer_count_all)
        return false;
    out->name = peers[index].name;
    out->what = peers[index].configured;
    return true;
}

const bench_group group_peers = {
    .name = "peers",
    .method =
        "each peer in its own process, bursts of 400 with pauses, A B B A with two clock reads (2T); figures "
        "without a unit are ratios to 2T, medians of all rounds; percentiles of single spans with 3 "
        "attributes, "
        "including fences; core_alone: span3 where nothing else used the core",
    .describe = describe,
    .measure = measure,
};
