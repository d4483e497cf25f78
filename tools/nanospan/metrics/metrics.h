// SPDX-License-Identifier: Apache-2.0
//
// The inside of `nanospan metrics`: metrics.c reads its options, exposition.c and roots.c write the figures, serve.c
// answers requests for them.
#ifndef NANOSPAN_METRICS_H
#define NANOSPAN_METRICS_H

#include "support/figures.h"
#include "support/text.h"

// The media type of what metrics_write writes: Prometheus' text format, of the version that every release reads.
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

// Adds the figures of all sessions. with_threads: also those of each thread.
void metrics_write(text *out, const figures *all, bool with_threads);

// Adds how long measured local roots took, in roots.c.
void metrics_roots(text *out, const figures *all);

// ---- what lines are made of ----

void metrics_head(text *out, const char *name, const char *type, const char *help);
// A sample up to where more labels follow, or the end; what follows begins with a comma.
void metrics_begin(text *out, const char *name, const char *suffix, const figures_engine *engine);
void metrics_label(text *out, const char *key, const char *value);
void metrics_finish(text *out, double value);
void metrics_finish_count(text *out, uint64_t value);

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
