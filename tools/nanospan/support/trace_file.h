// SPDX-License-Identifier: Apache-2.0
//
// Reads files of OTLP JSON lines, as `nanospan sink`, the file exporter and the Collector's file exporter write them.
#ifndef NANOSPAN_SUPPORT_TRACE_FILE_H
#define NANOSPAN_SUPPORT_TRACE_FILE_H

#include "trace_store.h"
#include <stdio.h>

typedef struct trace_file {
    FILE *stream;
    const char *name;
    uint64_t size; // 0: not known
    uint64_t bad_lines;
    uint64_t bad_spans; // without identity, left out
    uint64_t bad_notes; // spans that were shown in part
    bool show_progress;
    char *line; // the one being read
    size_t line_capacity;
} trace_file;

// What is shown of a span besides its row.
typedef enum note_type { NOTE_ATTRIBUTE, NOTE_EVENT, NOTE_LINK, NOTE_STATUS, NOTE_DROPPED } note_type;

typedef struct note {
    note_type type;
    text text;     // fit for a terminal: no control characters
    uint64_t time; // of an event: Unix time, ns
} note;

typedef struct span_notes {
    const span_row *row;
    note *notes;
    size_t count, capacity;
} span_notes;

// "-" is standard input, which is copied to a temporary file. False after complaining.
bool trace_file_open(trace_file *file, const char *name);
void trace_file_close(trace_file *file);

// Reads all spans; malformed lines are complained of, counted and skipped. False after complaining where reading failed.
bool trace_file_read(trace_file *file, trace_store *store);

// Reads the notes of the spans that `wanted` names, sorted by line and ordinal. False after complaining.
bool trace_file_notes(trace_file *file, const trace_store *store, span_notes *wanted, size_t count);

#endif
