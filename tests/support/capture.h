// SPDX-License-Identifier: Apache-2.0
//
// An exporter that keeps the decoded spans, and the log lines, for a test to examine.
//
//     nsp_config config;
//     capture_config(&config);                  // defaults, this exporter, this log
//     assert_int_equal(nsp_init(&config), NSP_OK);
//     ... spans ...
//     capture_settle();                         // flush: all spans that have ended are here now
//     const captured_span *span = capture_named("decode");
//     assert_string_equal(captured_text(span, "symbol"), "AAPL");
//     capture_end();                            // shutdown, accounting balanced, everything forgotten
//
// Spans take the same way as with any exporter: `append` copies them into the session's batch, and `send`, on
// the sender's thread, decodes the batch. On malformed items the process aborts with a line that says why.
// There is one capture per process; a forked child starts with an empty one at its first span.
#ifndef NSP_TESTS_CAPTURE_H
#define NSP_TESTS_CAPTURE_H

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

typedef struct captured_attribute {
    const char *key;
    nsp_type type;
    size_t count; // bytes of STR and BYTES, elements of an array, otherwise 1
    // The value as text: STR as it is (zero terminated), BYTES as hex, true or false, I64 in decimal, F64 by
    // %.17g, arrays as [a,b,c] with their elements written so.
    const char *text;
} captured_attribute;

typedef struct captured_event {
    const char *name;
    uint64_t time_ns;
    const captured_attribute *attributes;
    size_t attribute_count;
    unsigned dropped_attributes;
} captured_event;

typedef struct captured_link {
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint8_t span_id[NSP_SPAN_ID_SIZE];
    uint8_t flags;
    bool remote;
    const char *tracestate; // "" for none
    const captured_attribute *attributes;
    size_t attribute_count;
    unsigned dropped_attributes;
} captured_link;

typedef struct captured_span {
    const char *name;
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint8_t span_id[NSP_SPAN_ID_SIZE];
    uint8_t parent_id[NSP_SPAN_ID_SIZE]; // all zero: a root
    uint8_t local_root_id[NSP_SPAN_ID_SIZE];
    uint64_t start_ns, end_ns;
    uint64_t threshold;
    uint8_t kind, status, trace_flags;
    bool parent_remote;
    unsigned dropped_attributes, dropped_events, dropped_links;
    const char *tracestate;               // "" for none
    const char *status_message;           // the last one; "" for none
    const captured_attribute *attributes; // in the order in which they were set, repeated keys too
    size_t attribute_count;
    const captured_event *events;
    size_t event_count;
    const captured_link *links;
    size_t link_count;
} captured_span;

// ---- set up ----

// Sets the defaults and the environment's settings, then this exporter, this log, service "test", one poll
// per millisecond, and batches that a flush closes. Change members before nsp_init.
void capture_config(nsp_config *config);

// The exporter itself, for a configuration made in another way.
extern const nsp_exporter capture_exporter;

// Calls nsp_init; fails the test with the error detail if that fails.
void capture_start(const nsp_config *config);

// capture_config, the sample rate, capture_start.
void capture_begin(double sample_rate);

// Calls nsp_flush, which must succeed within a minute.
void capture_settle(void);

// Calls nsp_shutdown, which must succeed, then capture_balance, which must find nothing open, then
// capture_forget.
void capture_end(void);

// A cmocka setup: nothing is open on this thread, and a session samples all. And a teardown: what is open is given up,
// and the session ends.
int capture_sampled(void **state);
int capture_reset(void **state);

// A cmocka teardown: stops what a failed test has left running, so that the next test starts clean.
int capture_teardown(void **state);

// Reads the statistics and fails the test unless the counters balance exactly. No spans may be in progress.
nsp_stats capture_balance(void);

// Frees all spans and lines.
void capture_forget(void);

// ---- received spans ----

// The spans in order of arrival, valid until capture_forget. Read them only after capture_settle or
// nsp_shutdown.
size_t capture_count(void);
const captured_span *capture_at(size_t index);
// The first span of this name; fails the test if there is none.
const captured_span *capture_named(const char *name);
size_t capture_count_named(const char *name);
// The number of distinct span ids; less than capture_count if one arrived twice.
size_t capture_distinct(void);

// The text of the last attribute with this key; NULL if there is none.
const char *captured_text(const captured_span *span, const char *key);
const captured_attribute *captured_attribute_of(const captured_span *span, const char *key);
bool captured_child_of(const captured_span *child, const captured_span *parent); // same trace, parent's id

// ---- behaviour ----

// Sets what `send` returns from now on (initially EXPORTED). Spans are kept only with EXPORTED and UNKNOWN.
void capture_answer(nsp_send_result result);
// Sets whether spans are kept (initially true) or only decoded and counted, for tests with millions of them.
void capture_keep(bool keep);
uint64_t capture_received(void); // spans decoded, kept or not

// ---- the log ----

// The number of lines so far, and of those that contain this text. Thread-safe.
size_t capture_lines(void);
size_t capture_lines_with(const char *text);
const char *capture_line(size_t index); // the first 256 lines are kept
// Waits until there is a line with this text: the collector logs what it noticed after the flush that it was part of.
void capture_await_line_with(const char *text);

#endif
