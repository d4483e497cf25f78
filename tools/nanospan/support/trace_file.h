// SPDX-License-Identifier: Apache-2.0
//
// Reads files of OTLP JSON lines, which `nanospan sink`, the file exporter and the Collector's file exporter
// write.
#ifndef NANOSPAN_SUPPORT_TRACE_FILE_H
#define NANOSPAN_SUPPORT_TRACE_FILE_H

#include "attribute_filter.h"
#include "trace_store.h"
#include <stdio.h>

typedef struct trace_file {
    FILE *stream;
    const char *name;
    uint64_t size;                   // 0: unknown
    uint32_t first_line, line_count; // its lines in the store
    uint64_t good_lines, bad_lines;  // neither are blank ones
    uint64_t bad_spans;              // spans without an id, left out
    uint64_t bad_notes;              // spans that were shown only in part
    bool show_progress;
    attribute_filter *where; // conditions that become bits of the rows' `matches`; NULL: none
    char *line;              // the current line
    size_t line_capacity;
} trace_file;

// What is shown of a span in addition to its row.
typedef enum note_type { NOTE_ATTRIBUTE, NOTE_EVENT, NOTE_LINK, NOTE_STATUS, NOTE_DROPPED } note_type;

typedef struct note {
    note_type type;
    text text;     // safe for a terminal: no control characters
    uint64_t time; // of an event: Unix time, ns
} note;

typedef struct span_notes {
    const span_row *row;
    note *notes;
    size_t count, capacity;
} span_notes;

// "-" is standard input, which is copied to a temporary file. Returns false after printing an error.
bool trace_file_open(trace_file *file, const char *name);

// Opens bytes in memory as a file. They have to stay there until it is closed. Returns false after printing an
// error.
bool trace_file_memory(trace_file *file, const void *data, size_t size, const char *name);
void trace_file_close(trace_file *file);

// Reads all spans. Several files may be read into one store, one after the other. Malformed lines are reported, counted and skipped. Returns false after printing an error
// if the file cannot be read.
bool trace_file_read(trace_file *file, trace_store *store);

// Reads the notes of the spans that `wanted` names, sorted by line and ordinal. Returns false after printing
// an error.
bool trace_file_notes(trace_file *file, const trace_store *store, span_notes *wanted, size_t count);

// The same for spans of several files, which are in the order in which they were read.
bool trace_files_notes(trace_file *files, size_t file_count, const trace_store *store, span_notes *wanted,
                       size_t count);

#endif
