// SPDX-License-Identifier: Apache-2.0
//
// For tests of decoding: batches that the encoders fill with generated spans, and what a decoder makes of them.
#ifndef NSP_TESTS_CODED_BATCH_H
#define NSP_TESTS_CODED_BATCH_H

#include <nanospan/exporter.h>

#include "otlp/encoding.h"
#include "support/span_generator.h"

enum { CODED_BATCH_CAPACITY = 1 << 20, CODED_BATCH_ENCODINGS = 2, CODED_RECORD_MAX = 256 * 1024 };

extern const nsp__otlp_encoding *const coded_batch_encodings[CODED_BATCH_ENCODINGS]; // protobuf, JSON
extern void *coded_batch_encoders[CODED_BATCH_ENCODINGS];

// Of a group of tests: creates and destroys the encoders.
int coded_batch_setup(void **state);
int coded_batch_teardown(void **state);

typedef struct coded_batch {
    nsp_batch encoded;
    int encoding;
} coded_batch;

coded_batch coded_batch_open(int encoding);
bool coded_batch_append(coded_batch *to, const nsp_span_view *view);
void coded_batch_close(coded_batch *of);
void coded_batch_free(coded_batch *of);
void coded_batch_same_bytes(const coded_batch *a, const coded_batch *b);
// Fills a batch in each encoding with the same spans. Returns their number.
uint32_t coded_batch_fill(coded_batch batches[CODED_BATCH_ENCODINGS], uint32_t spans);
// A generated span within the limits of records.
void coded_batch_span(generated_span *span);

// What a visit collects.
typedef struct visited {
    coded_batch *again; // the spans are encoded into it; NULL: not
    uint64_t stop_at;   // refuses the span with this number
    uint64_t count;
    uint8_t *records; // all of them, one behind the other
    size_t bytes;
} visited;

visited visited_all(void);
// Decodes at most that many spans, and checks each record. Returns their number.
uint64_t coded_batch_decode(const nsp_batch *from, bool closed, uint32_t spans, visited *to);
// The record as a span; its ticks are nanoseconds.
nsp_span_view coded_record_view(const nsp__record *record);
nsp_name coded_batch_intern(void *argument, const char *text, size_t length);
bool coded_batch_visit(void *argument, const nsp__record *record);

#endif
