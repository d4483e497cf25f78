// SPDX-License-Identifier: Apache-2.0
//
// The engine's own look at how long each order takes, to compare with what arrives in traces: it gets the readings that
// the order's span gets, and converts them in the way of whoever exports that span. So it finds an order slow exactly if
// the span is.
#ifndef ENGINE_STOPWATCH_H
#define ENGINE_STOPWATCH_H

#include <nanospan/nanospan.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/faults.h"

struct slow_order {
    uint64_t id, ns;
    enum fault fault; // what held it up on purpose
    bool preempted;   // the kernel says that it was, while that held it up
};

struct stopwatch {
    uint64_t slower_ns; // orders that take so long, or longer; 0: nobody looks
    struct slow_order *slow;
    size_t count, capacity;
    uint64_t lost; // slow orders for which there was no room
};

// Allocates room, if slower_ns is set. On failure, prints a line on standard error and returns false.
bool stopwatch_init(struct stopwatch *stopwatch);
void stopwatch_free(struct stopwatch *stopwatch);

// Takes the time of the order that is being processed, which began and ended at these readings.
void stopwatch_take(struct stopwatch *stopwatch, const struct faults *faults, uint64_t id, nsp_ticks start,
                    nsp_ticks end);

// Writes the slow orders to a file, as JSON. On failure, prints a line on standard error and returns false.
bool stopwatch_write(const struct stopwatch *stopwatch, const struct faults *faults, uint64_t orders,
                     const char *path);

#endif
