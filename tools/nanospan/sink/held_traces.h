// SPDX-License-Identifier: Apache-2.0
//
// The traces that the sink holds for its live page, in bounded memory. The window has the newest requests,
// whole; the spans of a trace may come in several of them. Some traces are kept beyond it: their spans are
// copied, those that have come and those that still come. Not thread-safe.
#ifndef NANOSPAN_SINK_HELD_TRACES_H
#define NANOSPAN_SINK_HELD_TRACES_H

#include "line_spans.h"

typedef struct held_span held_span;
typedef struct held_line held_line;

// A resource or scope that was written: where it is in the text, and from where in which line it came.
typedef struct written_part {
    size_t at, length;
    uint64_t line;
    uint32_t from;
} written_part;

// Lines of OTLP JSON that are made of single spans; those of one resource that follow one another share a line, so
// that a large resource of many spans is there once.
typedef struct trace_lines {
    text text;
    written_part resource, scope; // the last ones
    uint64_t spans;
} trace_lines;

typedef struct held_trace {
    uint64_t id[2];
    struct held_trace *next; // with the same hash
    held_span *first, *last; // in the window, the oldest first
    uint64_t count;          // of these
    uint64_t received;       // spans, held or not
    trace_lines *copy;       // of a trace that is kept; NULL: it is not
    // For whoever counts the traces (live_figures.h). They are forgotten with the trace.
    uint32_t figure;     // its name's, if the trace is counted
    bool counted;        // its root has come
    bool counted_failed; // and the trace contains an error
    bool failed;
    bool copy_full; // what comes further of it is not copied
} held_trace;

typedef struct held_traces {
    held_line *oldest, *newest;
    uint64_t lines; // ever
    held_trace **buckets;
    size_t mask;
    uint64_t seed;
    uint64_t most_window, most_copies; // bytes
    uint64_t window_bytes, copy_bytes; // with what is needed to find the spans
    uint64_t window_spans, copied_spans, traces, copied_traces;
} held_traces;

void held_init(held_traces *held, uint64_t most_bytes);
void held_free(held_traces *held);

// Adds a line, which stays the caller's, with those of its spans that `repeated` does not mark (NULL: none is). `found`
// gets the trace of each span, NULL for those that were marked, and has room for all of them. The traces stay until
// held_trim, which must follow.
void held_add(held_traces *held, const char *line, size_t length, const line_spans *spans,
              const bool *repeated, held_trace **found);

// Lets the oldest lines go, as far as there are too many bytes. The memory of traces that are gone with them is
// freed.
void held_trim(held_traces *held);

// Copies the trace's spans, and from now on those that come. held_forget ends that; the trace may be freed with it.
void held_keep(held_traces *held, held_trace *trace);
void held_forget(held_traces *held, held_trace *trace);

// NULL: there is no span of it.
held_trace *held_find(const held_traces *held, const uint64_t id[2]);

// How many spans of it are held.
uint64_t held_span_count(const held_trace *trace);

// Adds what is held of the trace, as lines of OTLP JSON.
void held_write(const held_trace *trace, text *out);

#endif
