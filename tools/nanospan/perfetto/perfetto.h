// SPDX-License-Identifier: Apache-2.0
//
// Traces as a file for Perfetto (ui.perfetto.dev): TrackEvent packets of its public schema.
#ifndef NANOSPAN_PERFETTO_PERFETTO_H
#define NANOSPAN_PERFETTO_PERFETTO_H

#include "support/trace_file.h"

typedef struct perfetto_input {
    trace_file *files; // in the order in which they were read
    size_t file_count;
    const trace_store *store;
    const trace *const *traces; // which to write
    size_t trace_count;
} perfetto_input;

// Writes them to the file `path`, which appears when it is complete; "-" is standard output. Then says in one line on
// stderr what it holds. Returns false after printing an error.
bool perfetto_write(const perfetto_input *in, const char *path);

#endif
