// SPDX-License-Identifier: Apache-2.0
//
// Exported spans of programs/crash_engine.c, from OTLP JSON lines or OTLP protobuf, in a form that a test can
// compare with the journal.
#ifndef NSP_TESTS_CRASH_SPANS_H
#define NSP_TESTS_CRASH_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct crash_span {
    uint64_t trace_id[2], span_id, parent_id; // as in memory; parent 0: none
    uint64_t start_ns, end_ns;
    bool vendor_state; // the tracestate is that of JOURNAL_REMOTE_STATE
    bool unfinished;   // has the attribute nanospan.unfinished, which is not in the text
    uint32_t batch;    // number of the batch that it came in
    char *text;        // see journal_text
} crash_span;

typedef struct crash_spans {
    crash_span *spans;
    size_t count, room;
    uint32_t batches;
    char trouble[256]; // "": everything could be read
} crash_spans;

// Takes one batch: a line of OTLP JSON, or a protobuf request. Its resource has to have this service name.
void crash_spans_add_json(crash_spans *to, const char *line, size_t length, const char *service);
void crash_spans_add_protobuf(crash_spans *to, const uint8_t *bytes, size_t length, const char *service);

void crash_spans_free(crash_spans *spans);

#endif
