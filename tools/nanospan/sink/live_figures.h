// SPDX-License-Identifier: Apache-2.0
//
// What the live page shows by name: how many traces have come, how many of them failed, how long they took, since the
// start and in the last seconds, and which were the slowest. Traces are counted at their root: a span without a
// parent; apart from those, local roots whose parent is in another process are counted by their names too. Not
// thread-safe.
#ifndef NANOSPAN_SINK_LIVE_FIGURES_H
#define NANOSPAN_SINK_LIVE_FIGURES_H

#include "duration_histogram.h"
#include "held_traces.h"

// Names come from the network: those beyond the first ones are counted together, and only the beginning of a long one
// is kept.
enum {
    LIVE_NAMES = 128,
    LIVE_NAME_BYTES = 200,
    LIVE_SECONDS = 10, // what is recent
    LIVE_SLOWEST = 5,  // of each name
    LIVE_LATEST = 20,
};

// A trace to choose from.
typedef struct live_trace {
    uint64_t id[2];
    uint64_t start, duration; // of its root
    uint32_t figure;
    char *service; // owned, or NULL
    bool failed;   // the root
} live_trace;

typedef struct live_second {
    uint64_t second; // what it is of; others are old
    uint64_t traces, failed, longest;
    uint32_t counts[DURATION_STEPS];
} live_second;

typedef struct live_figure {
    text name;
    bool continued; // local roots that continue a trace of another process
    uint64_t traces, failed, longest;
    uint64_t counts[DURATION_STEPS];
    live_second recent[LIVE_SECONDS];
    live_trace slowest[LIVE_SLOWEST]; // the slowest first; all of them are kept
    size_t slowest_count;
} live_figure;

typedef struct live_figures {
    held_traces *held;
    live_figure *figures[LIVE_NAMES + 1]; // the last one has all other names
    uint32_t count;
    uint64_t traces, failed;                                    // counted at roots
    live_trace latest[LIVE_LATEST], latest_failed[LIVE_LATEST]; // rings
    uint64_t latest_count, latest_failed_count;                 // ever
} live_figures;

// The last seconds of a figure, put together.
typedef struct live_recent {
    uint64_t traces, failed, longest;
    uint64_t counts[DURATION_STEPS];
} live_recent;

void live_figures_init(live_figures *figures, held_traces *held);
void live_figures_free(live_figures *figures);

// Takes a span that has just been added to its trace. `second`: of a clock that never goes back.
void live_figures_add(live_figures *figures, held_trace *trace, const line_span *span, slice service,
                      uint64_t second);

// Forgets the least of the slowest traces, as far as copies take too many bytes.
void live_figures_fit(live_figures *figures);

void live_figure_recent(const live_figure *figure, uint64_t second, live_recent *out);

#endif
