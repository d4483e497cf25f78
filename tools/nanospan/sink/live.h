// SPDX-License-Identifier: Apache-2.0
//
// What the live page shows, beside the receiving: a thread of its own reads the accepted lines from a queue. If it
// falls behind, lines are left out here, which is counted and shown; whoever receives never waits for it.
#ifndef NANOSPAN_SINK_LIVE_H
#define NANOSPAN_SINK_LIVE_H

#include "accounting.h"
#include "live_figures.h"

enum { LIVE_SAMPLES = 61 }; // a minute

// The totals at an instant.
typedef struct live_sample {
    uint64_t at_ns; // since the start
    sink_totals totals;
    uint64_t traces;
} live_sample;

typedef struct live_entry {
    struct live_entry *next;
    text line;
    bool *repeated; // of each span: it had come before
    uint64_t spans;
} live_entry;

typedef struct sink_live {
    sink_accounting *accounting;
    pthread_t thread;
    uint64_t started_ns;

    pthread_mutex_t queue_lock;
    pthread_cond_t arrival;
    live_entry *first, *last;
    uint64_t queued_bytes, most_queued;
    uint64_t skipped_lines, skipped_spans;
    bool waiting, ending;

    pthread_mutex_t lock; // of what follows
    held_traces held;
    live_figures figures;
    live_sample samples[LIVE_SAMPLES]; // a ring
    uint64_t sample_count;             // ever
    uint64_t read_spans;               // of the lines that were taken from the queue
} sink_live;

// Returns NULL after printing an error.
sink_live *live_start(sink_accounting *accounting, uint64_t most_bytes);
void live_stop(sink_live *live);

// Gives it an accepted line, which is then taken from `line`, with one mark for each of its spans, which becomes its
// own too.
void live_offer(sink_live *live, text *line, bool *repeated, uint64_t spans);

// All figures as a JSON object.
void live_state(sink_live *live, text *out);

// Adds what is held of a trace, as lines of OTLP JSON. *missing: how many spans have come of it that are not held any
// more. False if there is nothing of it.
bool live_trace_lines(sink_live *live, const uint64_t id[2], text *out, uint64_t *missing);

#endif
