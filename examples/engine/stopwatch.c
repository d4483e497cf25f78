// SPDX-License-Identifier: Apache-2.0
#include "engine/stopwatch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 1 << 16 };

bool stopwatch_init(struct stopwatch *stopwatch)
{
    if (stopwatch->slower_ns == 0)
        return true;
    stopwatch->slow = malloc(ROOM * sizeof *stopwatch->slow);
    if (stopwatch->slow == NULL) {
        fprintf(stderr, "engine: out of memory\n");
        return false;
    }
    memset(stopwatch->slow, 0, ROOM * sizeof *stopwatch->slow);
    stopwatch->capacity = ROOM;
    return true;
}

void stopwatch_free(struct stopwatch *stopwatch)
{
    free(stopwatch->slow);
    stopwatch->slow = NULL;
}

void stopwatch_take(struct stopwatch *stopwatch, const struct faults *faults, uint64_t id, nsp_ticks start,
                    nsp_ticks end)
{
    struct slow_order order = {.id = id, .fault = faults->struck, .preempted = faults->preempted};
    // Not the ticks times a rate: a span's duration is the difference of two times, and these are rounded.
    order.ns = nsp_ticks_to_unix_ns(end) - nsp_ticks_to_unix_ns(start);
    if (order.ns < stopwatch->slower_ns)
        return;
    if (stopwatch->count < stopwatch->capacity)
        stopwatch->slow[stopwatch->count++] = order;
    else
        stopwatch->lost++;
}

bool stopwatch_write(const struct stopwatch *stopwatch, const struct faults *faults, uint64_t orders,
                     const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        fprintf(stderr, "engine: cannot write '%s': %s\n", path, strerror(errno));
        return false;
    }
    nsp_stats stats = NSP_STATS_INIT;
    const uint64_t switches_lost = nsp_stats_get(&stats) == NSP_OK ? stats.switches_lost : 0;
    fprintf(file,
            "{\"orders\": %" PRIu64 ", \"slower_ns\": %" PRIu64 ", \"lost\": %" PRIu64
            ", \"switches_lost\": %" PRIu64 ", \"held_up\": {",
            orders, stopwatch->slower_ns, stopwatch->lost, switches_lost);
    for (enum fault fault = FAULT_PREEMPTION; fault < FAULTS; fault++)
        fprintf(file, "%s\"%s\": %" PRIu64, fault > FAULT_PREEMPTION ? ", " : "", fault_text(fault),
                faults->held_up[fault]);
    fprintf(file, "}, \"slow\": [");
    for (size_t i = 0; i < stopwatch->count; i++) {
        const struct slow_order *order = &stopwatch->slow[i];
        fprintf(file, "%s\n {\"id\": %" PRIu64 ", \"ns\": %" PRIu64 ", \"fault\": \"%s\", \"preempted\": %s}",
                i != 0 ? "," : "", order->id, order->ns, fault_text(order->fault),
                order->preempted ? "true" : "false");
    }
    fprintf(file, "]}\n");
    return fclose(file) == 0;
}
