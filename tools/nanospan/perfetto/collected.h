// SPDX-License-Identifier: Apache-2.0
//
// What the second reading of the files finds for the spans that are exported. Their attributes come in the order of the
// files and are needed in that of time, so they are encoded at once and lie in a temporary file until then.
#ifndef NANOSPAN_PERFETTO_COLLECTED_H
#define NANOSPAN_PERFETTO_COLLECTED_H

#include "annotations.h"
#include "lanes.h"
#include "perfetto.h"
#include "spool.h"

// An event of a span. Its body, like that of a span, is its name and annotations: fields of TrackEvent.
typedef struct span_instant {
    uint64_t time;
    uint32_t row; // of its span
    uint32_t number;
    spool_place body;
} span_instant;

typedef struct found_link {
    uint64_t trace[2], span;
    uint32_t row; // of the span that has the link
} found_link;

// A span that says which thread it ran on.
typedef struct thread_mark {
    int64_t id;
    uint32_t process; // index
    uint32_t row;
    uint32_t name; // 1 + its number among the names of threads; 0: none
} thread_mark;

typedef struct found_process {
    text name;
    text labels; // fields of ProcessDescriptor
    int64_t pid; // 0: not given
} found_process;

typedef struct collected {
    const trace_store *store;
    interned_names names;
    interning thread_names;
    spool bodies;
    placed_span *spans;   // for each row of the store
    spool_place *encoded; // the same
    span_instant *instants;
    size_t instant_count, instant_capacity;
    found_link *links;
    size_t link_count, link_capacity;
    thread_mark *threads;
    size_t thread_count, thread_capacity;
    found_process *processes; // for each distinct resource; it is also the number of the process's group
    size_t process_count, process_capacity;
    size_t span_count;
    text scratch;
} collected;

// Reads the spans of the traces again. Returns false after printing an error; free it in either case.
bool collect(collected *c, const perfetto_input *in);
void collected_free(collected *c);

#endif
