// SPDX-License-Identifier: Apache-2.0
//
// A backend in trouble must not slow the trading thread down. Sessions with a healthy backend and with one in
// trouble take turns, A B B A. Everything except the measured thread, including the receiver, runs on the
// other CPU.
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "harness/receiver.h"
#include "harness/rounds.h"
#include "harness/session.h"
#include "pipeline/bursts.h"
#include "pipeline/load.h"

// A session's pool of batches holds 65536 spans, which is enough for 53 rounds; with more, a backend that
// takes nothing would let the ring run full.
enum { BURST = 600, SESSIONS = 4, ROUNDS_MOST = 24, FILL_TRIES = 400 };

// The receiver of a backend; without one, connections are refused.
typedef struct backend {
    const char *name, *what;
    bool runs;
    receiver_options options;
} backend;

static const backend backends[] = {
    {"healthy", "a backend that takes everything", true, {.mode = RECEIVER_TAKES}},
    {"refuses", "nobody listens: connection refused", false, {0}},
    {"silent", "accepts the connection, but never reads or answers", true, {.mode = RECEIVER_SILENT}},
    {"slow", "answers after 200 ms", true, {.mode = RECEIVER_TAKES, .delay_ms = 200}},
    {"busy", "answers 503", true, {.mode = RECEIVER_REFUSES}},
};
enum { HEALTHY = 0, BACKENDS = sizeof backends / sizeof backends[0] };

// A port that is bound, but without a listener, so that no other process can get it.
static int closed_port(char *url, size_t size)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (holder >= 0 && (bind(holder, (struct sockaddr *)&address, length) != 0 ||
                        getsockname(holder, (struct sockaddr *)&address, &length) != 0)) {
        close(holder);
        return -1;
    }
    snprintf(url, size, "http://127.0.0.1:%u", ntohs(address.sin_port));
    return holder;
}

// Records until the pool of batches and the ring are full.
static bool fill_up(const bench_operation *operation)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    for (int i = 0; i < FILL_TRIES; i++) {
        uint64_t losses = session_losses();
        operation->run(20000);
        uint64_t before = session_losses();
        nanosleep(&pause, NULL);
        operation->run(100);
        if (before != losses && session_losses() - before == 100)
            return true; // still full after the collector had time to drain
    }
    return false;
}

// Ends the session and checks its span counters. If the backend is in trouble, the spans that it did not get
// are counted too.
static void end(const backend *the, nsp_stats *stats, bench_result *out)
{
    const uint64_t patience = the == &backends[HEALTHY] ? UINT64_C(10000000000) : 1000000;
    nsp_status status = nsp_shutdown(patience);
    nsp_stats_get(stats);
    uint64_t settled = stats->open + stats->dropped + stats->discarded + stats->in_rings + stats->in_batches +
                       stats->unconfirmed + stats->rejected + stats->exported + stats->spooled;
    if (stats->attempted != settled)
        result_fail(out, "the span counters do not balance: %llu attempted, %llu accounted for",
                    (unsigned long long)stats->attempted, (unsigned long long)settled);
    if (the == &backends[HEALTHY] && (status != NSP_OK || stats->exported != stats->attempted))
        result_fail(out, "the healthy backend did not receive all spans");
}

// One session: rounds while there is room, and rounds when batches and ring are full.
static bool measure_session(const backend *the, const bench_setup *setup, burst_rounds *to,
                            burst_rounds *full, nsp_stats *stats, bench_result *out)
{
    const bench_operation *operation = operation_find("span3");
    char problem[100], url[64];
    receiver sink = {.alive = -1};
    receiver_options wanted = the->options;
    wanted.cpu = setup->collector_cpu;
    wanted.spans_expected = 1000000;
    int holder = the->runs ? -1 : closed_port(url, sizeof url);
    if (the->runs && !receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return false;
    }
    pipeline_options options = {.url = the->runs ? sink.url : url, .pinned = true};
    bool fine = pipeline_start(setup, &options, out);
    if (fine) {
        nsp_thread_attach(NULL);
        operation->run(16);
        unsigned rounds = setup->rounds / (SESSIONS / 2) + 1;
        rounds = rounds < ROUNDS_MOST ? rounds : ROUNDS_MOST;
        bursts_add(to, operation->run, BURST, 1, LOSES_NOTHING, rounds, setup, out);
        if (full != NULL && fill_up(operation))
            bursts_add(full, operation->run, BURST, 1, MAY_LOSE, rounds, setup, out);
        end(the, stats, out);
    }
    receiver_stop(&sink);
    if (holder >= 0)
        close(holder);
    return fine;
}

// A median relative to that of the healthy backend, with the widest interval that both intervals allow.
static estimate relative(estimate cost, estimate base)
{
    return (estimate){cost.value / base.value, cost.low / base.high, cost.high / base.low};
}

// Both medians in rounds where nothing else used the core: the sessions take turns, but a neighbour that is
// busy during one of them would make it look twice as slow.
static estimate relative_alone(const burst_rounds *troubled, const burst_rounds *healthy)
{
    return relative(rounds_alone(troubled->ratio, troubled->additions, troubled->count),
                    rounds_alone(healthy->ratio, healthy->additions, healthy->count));
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static burst_rounds healthy, troubled, full;
    const backend *the = &backends[index];
    healthy.count = healthy.measured = troubled.count = troubled.measured = full.count = full.measured = 0;
    nsp_stats stats = NSP_STATS_INIT, last = NSP_STATS_INIT;
    static const bool turn[SESSIONS] = {false, true, true, false};
    for (unsigned i = 0; i < SESSIONS && setup->rounds != 0; i++) {
        bool of_it = turn[i];
        nsp_stats *into = of_it ? &stats : &last;
        if (!measure_session(of_it ? the : &backends[HEALTHY], setup, of_it ? &troubled : &healthy,
                             of_it && index != HEALTHY ? &full : NULL, into, out))
            return;
    }
    burst_cost base = bursts_cost(&healthy, out), cost = bursts_cost(&troubled, out);
    out->stats = stats;
    result_add_estimate(out, "ratio", cost.ratio);
    result_add_estimate(out, "span_ns", cost.ns);
    result_add_estimate(out, "to_healthy", relative(cost.ratio, base.ratio));
    result_add_estimate(out, "core_alone_to_healthy", relative_alone(&troubled, &healthy));
    if (full.measured != 0)
        result_add_estimate(out, "full_ns", bursts_cost(&full, out).ns);
    rounds_by_core(out, rounds_core, troubled.ratio, troubled.additions, troubled.count);
}

BENCH_DESCRIBE(backends, BACKENDS)

const bench_group group_backend = {
    .name = "backend",
    .method =
        "cost of a span (span3) while the backend is in trouble; sessions A B B A with a healthy one; "
        "ratio to two clock reads (2T); full_ns: when batches and ring are full, and spans are lost and "
        "counted; core_alone: the ratio in rounds where nothing else used the core; core_alone_to_healthy: "
        "both "
        "medians in such rounds, if at least 15 of each kind of session were",
    .describe = describe,
    .measure = measure,
};
