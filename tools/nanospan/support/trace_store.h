// SPDX-License-Identifier: Apache-2.0
//
// The spans of one or more files. Each takes 64 bytes, which hold what sorting and filtering need. Everything
// else stays in the files and is read again for the spans that are shown.
#ifndef NANOSPAN_SUPPORT_TRACE_STORE_H
#define NANOSPAN_SUPPORT_TRACE_STORE_H

#include "text.h"

enum { STATUS_ERROR = 2 };

// What nanospan.kept says of a local root: why its trace was kept although the head had left it out.
typedef enum kept_why {
    KEPT_NOT,
    KEPT_SLOW,
    KEPT_SLOWEST,
    KEPT_ERROR,
    KEPT_ASKED,
    KEPT_HISTORY,
    KEPT_SNAPSHOT,
    KEPT_RECOVERED,
    KEPT_OTHERWISE, // another word, of another release
    KEPT_WORDS
} kept_why;

// A time that a span's thread was off its CPU: an event of the span, `preempted` or `waited`.
typedef struct off_cpu {
    uint64_t start; // Unix time, ns
    uint64_t duration;
    bool preempted;
} off_cpu;

typedef struct span_row {
    uint64_t id;     // never 0
    uint64_t parent; // 0: a root
    uint64_t start;  // Unix time, ns
    uint64_t duration;
    uint32_t trace; // index of its trace
    uint32_t name;  // index of a string
    uint32_t service;
    uint32_t line;    // index of its line
    uint32_t ordinal; // among the spans of its line
    uint8_t kind;     // OTLP's value
    uint8_t status;
    uint8_t kept;         // kept_why
    uint8_t matches;      // a bit for each condition that an attribute of the span or of its resource meets
    uint32_t pause_count; // of its times off the CPU
    uint32_t first_pause; // in the store's pauses
} span_row;

typedef struct trace {
    uint64_t id[2];
    uint32_t first; // its first row, once the store is arranged
    uint32_t count;
    uint32_t errors;
    uint32_t root;     // the row that represents it: its root, or its earliest span if there is no root
    uint32_t source;   // number of the file in which that row is
    uint64_t start;    // start of the earliest span
    uint64_t end;      // end of the span that ends last
    uint64_t duration; // duration of the root, or from start to end if there is none
    bool rooted;
    uint8_t kept; // kept_why of its root, or of the earliest of its local roots that has one
    // How long its spans' threads were off their CPUs, as far as that has become events.
    uint64_t preempted, waited;
} trace;

// A hash table with open addressing that holds indices into one of the arrays below.
typedef struct index_table {
    uint32_t *slots; // index + 1; 0: free
    size_t mask;
    size_t count;
} index_table;

typedef struct trace_store {
    span_row *rows;
    size_t row_count, row_capacity;
    trace *traces;
    size_t trace_count, trace_capacity;
    slice *strings; // owned copies; string 0 is ""
    size_t string_count, string_capacity;
    off_cpu *pauses;
    size_t pause_count, pause_capacity;
    uint64_t *lines; // where each line starts in its file; the lines of all files, one file after the other
    size_t line_count, line_capacity;
    uint32_t *sources; // the first line of each file
    size_t source_count, source_capacity;
    index_table trace_index, string_index;
    size_t seen_traces;  // traces that have a row; a malformed line may leave only an id behind
    uint64_t duplicates; // further copies of spans, which are left out
} trace_store;

void trace_store_init(trace_store *store);
void trace_store_free(trace_store *store);

// The attribute's value; "" for KEPT_NOT.
const char *kept_word(kept_why why);
kept_why kept_from(slice word);

uint32_t trace_store_string(trace_store *store, slice value);
uint32_t trace_store_trace(trace_store *store, uint64_t high, uint64_t low);
// The same for a trace that may not be there: then UINT32_MAX.
uint32_t trace_store_find(const trace_store *store, uint64_t high, uint64_t low);
span_row *trace_store_row(trace_store *store);

// To be called before the first line of each file.
void trace_store_begin_file(trace_store *store);

// The number of the file that has this line, from 0.
uint32_t trace_store_source(const trace_store *store, uint32_t line);

// To be called after the last row. Groups the rows by trace and sorts them by start, drops duplicates, and
// finds roots and durations.
void trace_store_arrange(trace_store *store);

#endif
