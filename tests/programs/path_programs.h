// SPDX-License-Identifier: Apache-2.0
//
// What the programs consist of that core/path/generate_programs.py writes.
#ifndef NSP_TESTS_PATH_PROGRAMS_H
#define NSP_TESTS_PATH_PROGRAMS_H

#include <nanospan/nanospan.h>

// The same in two forms. Their readings are from `base` to `ticks` later.
typedef struct path_program {
    void (*paths)(nsp_ticks base);
    void (*spans)(nsp_ticks base);
    nsp_ticks ticks;
} path_program;

extern const path_program path_programs[];
extern const size_t path_program_count;
extern const unsigned path_program_seed;

// By what the form with paths has more of: its mistakes with marks, and texts that do not fit into their fields.
typedef struct path_expected {
    uint64_t misused, values_cut;
} path_expected;

extern path_expected expected;

// A context of another process, another one for each number, in *context.
const nsp_context *remote(nsp_context *context, unsigned number, bool sampled, const char *tracestate);

// A link to it.
nsp_link link_to(nsp_context *context, unsigned number);

// What a phase of a detached path is.
nsp_span *phase_of(nsp_span *path, nsp_name name, nsp_ticks start);

// Begins and ends a span with this parent.
void child_of(const nsp_context *parent, nsp_name name, nsp_ticks start, nsp_ticks end);

#endif
