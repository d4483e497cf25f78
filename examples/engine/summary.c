// SPDX-License-Identifier: Apache-2.0
#include "engine/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/span_accounting.h"

struct quantile {
    const char *name;
    double fraction;
};

static const struct quantile quantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}, {"max", 1.0},
};

enum { QUANTILES = sizeof quantiles / sizeof quantiles[0] };

void summary_progress(const struct engine *engine, double seconds)
{
    static uint64_t last; // one thread prints
    const struct counters *counters = &engine->counters;
    uint64_t orders = counted(&counters->orders);
    printf("engine: %8.0f orders/s  orders %" PRIu64 "  fills %" PRIu64 "  rejected %" PRIu64
           "  resting %" PRIu64 "\n",
           (double)(orders - last) / seconds, orders, counted(&counters->fills), counted(&counters->rejected),
           counted(&counters->resting));
    fflush(stdout);
    last = orders;
}

static double orders_per_second(const struct engine *engine, double ns_per_tick)
{
    double ns = (double)(engine->last_order - engine->first_order) * ns_per_tick;
    return ns > 0 ? (double)engine->counters.orders * 1e9 / ns : 0;
}

static double latency_us(const struct engine *engine, double fraction, double ns_per_tick)
{
    return (double)histogram_quantile(&engine->tick_to_trade, fraction) * ns_per_tick / 1000;
}

bool summary_print(const struct engine *engine, double ns_per_tick)
{
    const struct counters *counters = &engine->counters;
    bool conserved = accounts_sound(&engine->accounts, engine->pool.used == 0);
    printf("engine\n");
    printf("  %-24s %12" PRIu64 "  including %" PRIu64 " cancels; %.0f orders/s\n", "orders",
           counters->orders, counters->cancels, orders_per_second(engine, ns_per_tick));
    printf("  %-24s %12" PRIu64 "\n", "accepted", counters->accepted);
    printf("  %-24s %12" PRIu64 "\n", "rejected", counters->rejected);
    printf("  %-24s %12" PRIu64 "  %" PRIu64 " units\n", "fills", counters->fills, counters->filled_units);
    printf("  %-24s %12" PRIu64 "  taken off the books when the feed disconnected\n", "withdrawn",
           counters->withdrawn);
    printf("  %-24s %12" PRIu64 "\n", "drop copy records", engine->drop_copy.sequence);
    printf("  %-24s %12s  cash and units compared with the start\n", "accounts",
           conserved ? "OK" : "NOT BALANCED");
    printf("  %-24s %12" PRIu64 "  %" PRIu64 " messages carried a context; %" PRIu64 " order_life spans\n",
           "orders traced", counters->orders_traced, counters->with_context, counters->lives_traced);
    printf("  tick to trade, us");
    for (unsigned i = 0; i < QUANTILES; i++)
        printf("  %s %.1f", quantiles[i].name, latency_us(engine, quantiles[i].fraction, ns_per_tick));
    printf("\n");
    bool balanced = span_accounting_print(stdout, "the engine");
    fflush(stdout);
    return conserved && balanced;
}

bool summary_write_json(const struct engine *engine, double ns_per_tick, const char *path)
{
    const struct counters *counters = &engine->counters;
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "engine: cannot write '%s': %s\n", path, strerror(errno));
        return false;
    }
    fprintf(file,
            "{\"orders\": %" PRIu64 ", \"cancels\": %" PRIu64 ", \"accepted\": %" PRIu64
            ", \"rejected\": %" PRIu64,
            counters->orders, counters->cancels, counters->accepted, counters->rejected);
    fprintf(file, ", \"fills\": %" PRIu64 ", \"filled_units\": %" PRIu64 ", \"withdrawn\": %" PRIu64,
            counters->fills, counters->filled_units, counters->withdrawn);
    fprintf(file,
            ", \"with_context\": %" PRIu64 ", \"orders_traced\": %" PRIu64 ", \"lives_traced\": %" PRIu64,
            counters->with_context, counters->orders_traced, counters->lives_traced);
    fprintf(file, ", \"drop_copy_records\": %" PRIu64 ", \"conserved\": %s", engine->drop_copy.sequence,
            accounts_sound(&engine->accounts, engine->pool.used == 0) ? "true" : "false");
    fprintf(file, ", \"orders_per_second\": %.1f, \"tick_to_trade_us\": {",
            orders_per_second(engine, ns_per_tick));
    for (unsigned i = 0; i < QUANTILES; i++)
        fprintf(file, "%s\"%s\": %.3f", i ? ", " : "", quantiles[i].name,
                latency_us(engine, quantiles[i].fraction, ns_per_tick));
    fprintf(file, "}, \"spans\": ");
    span_accounting_json(file);
    fprintf(file, "}\n");
    return fclose(file) == 0;
}
