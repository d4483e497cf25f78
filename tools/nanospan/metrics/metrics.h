// SPDX-License-Identifier: Apache-2.0
//
// The inside of `nanospan metrics`: metrics.c reads its options, exposition.c writes the figures, serve.c answers
// requests for them.
#ifndef NANOSPAN_METRICS_H
#define NANOSPAN_METRICS_H

#include "support/figures.h"
#include "support/text.h"

// The media type of what metrics_write writes: Prometheus' text format, of the version that every release reads.
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

// Adds the figures of all sessions. with_threads: also those of each thread.
void metrics_write(text *out, const figures *all, bool with_threads);

typedef struct metrics_options {
    const char *listen; // HOST:PORT or PORT; NULL: print once
    const char *port_file;
    const char *shm_dir; // NULL: the environment's
    bool with_threads;
    bool quiet;
} metrics_options;

// Answers requests until SIGINT or SIGTERM. Returns the exit code.
int metrics_serve(const metrics_options *options);

#endif
