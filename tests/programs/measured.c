// SPDX-License-Identifier: Apache-2.0
//
// An engine whose local roots are measured: of several names, with durations that spread over a few powers of
// ten. It prints "ready" when all of them are sent, then what nsp_latency_get says of each name, a line of
// JSON each, and waits for the end of its input. All else is the environment's.
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "trace/latency.h"

static uint64_t chance = 88172645463325252;

static double even(void)
{
    chance ^= chance << 13;
    chance ^= chance >> 7;
    chance ^= chance << 17;
    return ((double)(chance >> 11) + 0.5) * 0x1p-53;
}

static const struct {
    const char *name;
    double median_us, spread;
} kinds[] = {{"order", 3, 0.7}, {"quote", 0.8, 0.3}, {"rebalance", 20000, 0.5}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static void record(nsp_name name, double median_us, double spread, double tick_ns)
{
    const double normal = sqrt(-2 * log(even())) * cos(2 * M_PI * even());
    const uint64_t ticks = (uint64_t)(median_us * 1000 / tick_ns * exp(spread * normal));
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    const nsp_ticks end = nsp_now();
    options.start = end - ticks;
    nsp_span_end_at(nsp_span_begin_with(name, &options), end);
    nsp__latency_add(nsp__producer_self(), name, ticks);
}

static void print(const char *name)
{
    nsp_latency l = NSP_LATENCY_INIT;
    if (nsp_latency_get(name, &l) != NSP_OK)
        abort();
    printf("{\"name\": \"%s\", \"count\": %" PRIu64 ", \"sum_ns\": %" PRIu64 ", \"p50\": %" PRIu64
           ", \"p90\": %" PRIu64 ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64 ", \"max\": %" PRIu64 "}\n",
           name, l.count, l.sum_ns, l.p50_ns, l.p90_ns, l.p99_ns, l.p999_ns, l.max_ns);
}

int main(int argc, char **argv)
{
    const int roots = argc > 1 ? atoi(argv[1]) : 10000;
    if (nsp_init(NULL) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        return 1;
    const double tick_ns = 1e9 / (double)(nsp_ticks_from_unix_ns(2000000000000000000) -
                                          nsp_ticks_from_unix_ns(1999999999000000000));
    for (int i = 0; i < roots; i++) {
        for (size_t k = 0; k < KINDS; k++)
            record(nsp_intern(kinds[k].name, strlen(kinds[k].name)), kinds[k].median_us, kinds[k].spread,
                   tick_ns);
        if (i % 500 == 499 && nsp_flush(UINT64_C(60000000000)) != NSP_OK)
            return 1;
    }
    if (nsp_flush(UINT64_C(60000000000)) != NSP_OK)
        return 1;
    puts("ready");
    for (size_t k = 0; k < KINDS; k++)
        print(kinds[k].name);
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return nsp_shutdown(UINT64_C(60000000000)) == NSP_OK ? 0 : 1;
}
