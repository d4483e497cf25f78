// SPDX-License-Identifier: Apache-2.0
//
// Saturated, end to end: one thread records as fast as it can, and a receiver on the same machine counts what
// arrives.
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "common/time.h"
#include "harness/receiver.h"
#include "harness/ticks.h"
#include "peers/child.h"

// A peer with an unbounded queue is stopped before it uses up the machine's memory.
enum { CHUNK = 256, MEMORY_MOST_KIB = 1 << 20, RUNS = 3 };

static uint64_t resident_kib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)usage.ru_maxrss;
}

static void job_saturate(const peer_calls *calls, peer_page *page)
{
    const bench_setup *setup = page->setup;
    double wanted_ns = setup->quick ? 1e9 : 2e9;
    page->begun_ns = nsp__monotonic_ns();
    uint64_t from = ticks_fenced(), ticks = 0;
    double looked_ns = 0;
    while ((page->took_ns = (double)ticks * ticks_ns()) < wanted_ns) {
        calls->run(PEER_SPAN3, CHUNK);
        page->recorded += CHUNK;
        ticks = ticks_fenced() - from;
        if (page->took_ns - looked_ns < 10e6)
            continue;
        looked_ns = page->took_ns;
        if (resident_kib() > MEMORY_MOST_KIB)
            break;
    }
    page->took_ns = (double)(ticks_fenced() - from) * ticks_ns();
}

// ---- the rows ----

// One run of a peer.
typedef struct saturation {
    double recorded, received, took_ns, rate, refused, memory_kib; // rate: spans received per second
    nsp_stats stats;
} saturation;

static void check(const peer *which, const peer_page *page, const receiver_counts *seen, bench_result *out)
{
    if (seen->malformed != 0 || seen->distinct != seen->spans)
        result_fail(out, "%llu malformed messages, %llu duplicate spans", (unsigned long long)seen->malformed,
                    (unsigned long long)(seen->spans - seen->distinct));
    if (which->calls != &peer_nanospan)
        return;
    uint64_t told = page->counts.exported + (uint64_t)page->counts.dropped;
    if (told != page->recorded || page->counts.exported != seen->distinct)
        result_fail(out, "%llu recorded, %llu accounted for, %llu exported, %llu received",
                    (unsigned long long)page->recorded, (unsigned long long)told,
                    (unsigned long long)page->counts.exported, (unsigned long long)seen->distinct);
}

static bool run_once(const peer *which, const bench_setup *setup, saturation *run, bench_result *out)
{
    receiver sink;
    receiver_options wanted = {.cpu = -1, .spans_expected = 16 * 1000 * 1000};
    char problem[100];
    if (!receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return false;
    }
    const peer_page *page =
        peer_work(which, &(peer_task){job_saturate, PEER_SAMPLED, sink.url, false}, setup, out);
    receiver_counts seen = receiver_stop(&sink);
    if (page == NULL)
        return false;
    bool trace = (which->features & PEER_WRITES_TRACE) != 0;
    double whole_ns = trace ? page->took_ns : (double)(seen.last_ns - page->begun_ns);
    *run = (saturation){.recorded = (double)page->recorded,
                        .received = (double)(trace ? page->counts.exported : seen.distinct),
                        .took_ns = page->took_ns,
                        .refused = (double)seen.refused,
                        .memory_kib = (double)page->memory_kib,
                        .stats = page->stats};
    run->rate = run->received / whole_ns * 1e9;
    if (!trace)
        check(which, page, &seen, out);
    if (run->received == 0)
        result_fail(out, "nothing arrived");
    return run->received != 0;
}

static int by_rate(const void *a, const void *b)
{
    double left = ((const saturation *)a)->rate, right = ((const saturation *)b)->rate;
    return (left > right) - (left < right);
}

// Reports all figures of the median run, because they belong together.
static void report(const peer *which, saturation *runs, unsigned count, bench_result *out)
{
    qsort(runs, count, sizeof *runs, by_rate);
    const saturation *middle = &runs[count / 2];
    double lost = middle->recorded - middle->received;
    result_add(out, "attempted_millions", middle->recorded / 1e6);
    result_add(out, "received_millions", middle->received / 1e6);
    result_add(out, "dropped_millions", lost / 1e6);
    result_add(out, "dropped", lost / middle->recorded);
    result_add(out, "hot_ns", middle->took_ns / middle->recorded);
    result_add(out, "received_per_s_millions", middle->rate / 1e6);
    result_add(out, "least_per_s_millions", runs[0].rate / 1e6);
    result_add(out, "most_per_s_millions", runs[count - 1].rate / 1e6);
    if (which->features & PEER_SPEAKS_OTLP)
        result_add(out, "refused_count", middle->refused); // requests
    result_add(out, "memory_mib", middle->memory_kib / 1024);
    out->rounds = count;
    out->stats = middle->stats;
}

// The index-th of the peers whose records leave the process.
static const peer *peer_of(size_t index)
{
    for (size_t i = 0; i < peer_count_all; i++)
        if ((peers[i].features & (PEER_SPEAKS_OTLP | PEER_WRITES_TRACE)) != 0 && index-- == 0)
            return &peers[i];
    return NULL;
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const peer *which = peer_of(index);
    char text[120];
    if (!peer_about(which, text, sizeof text)) {
        result_skip(out, "%s", text);
        return;
    }
    saturation runs[RUNS];
    unsigned wanted = setup->quick ? 1 : RUNS, count = 0;
    while (count < wanted && setup->rounds != 0 && run_once(which, setup, &runs[count], out))
        progress(out, ++count, wanted);
    if (count == wanted)
        report(which, runs, count, out);
}

static bool describe(size_t index, bench_result *out)
{
    static char names[16][40];
    const peer *which = peer_of(index);
    if (which == NULL)
        return false;
    snprintf(names[index], sizeof names[index], "delivered_%s", which->name);
    out->name = names[index];
    out->what = which->configured;
    return true;
}

const bench_group group_peers_end_to_end = {
    .name = "peers end to end",
    .method = "one thread records spans with 3 attributes as fast as it can for 2 s, median of three runs "
              "(--quick: one run of 1 s); nothing is pinned, peer and receiver share the two CPUs; received: "
              "distinct span ids in the receiver",
    .describe = describe,
    .measure = measure,
};
