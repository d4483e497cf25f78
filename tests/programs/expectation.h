// SPDX-License-Identifier: Apache-2.0
//
// Spans with a note of each. These functions write down whatever they set on a span, so that any receiver's
// output can be compared with it. They use only the public headers. A failed allocation ends the program.
#ifndef NSP_PROGRAMS_EXPECTATION_H
#define NSP_PROGRAMS_EXPECTATION_H

#include <jansson.h>
#include <nanospan/nanospan.h>

// A span and its note. `note` is NULL if the span will not be exported; nothing is noted then.
typedef struct noted {
    nsp_span *span;
    json_t *note;
} noted;

// Limits that go into nsp_config. What exceeds them must be dropped and counted.
enum {
    LIMIT_ATTRIBUTES = 32,
    LIMIT_EVENTS = 6,
    LIMIT_LINKS = 5,
    LIMIT_OWN_ATTRIBUTES = 4, // of an event, of a link
    LIMIT_TEXT = 300          // bytes
};

// Spans that should have been recorded but were not, because their trace was refused or there was no room.
extern unsigned unrecorded;

// Parses a context; ends the program if the text is invalid.
nsp_context context_of(const char *traceparent, const char *tracestate);

// The position of a new span in its trace.
typedef struct place {
    const noted *parent;       // a span of this process; NULL: none
    const nsp_context *remote; // instead, a span of another process; NULL: none
    const char *tracestate; // as it should be exported, "": none; of a parent in this process it is inherited
} place;

// Notes a span that has just begun at the reading `start`.
noted note_begun(nsp_span *span, const char *name, nsp_kind kind, place at, nsp_ticks start);
// Notes that the span ends at this reading; the caller ends it.
void note_end(noted one, nsp_ticks end);

void set_str(noted one, const char *key, const char *value);
// `expected` is the value that a receiver should see.
void set_text(noted one, const char *key, const char *value, size_t length, const char *expected);
void set_bool(noted one, const char *key, bool value);
void set_i64(noted one, const char *key, int64_t value);
void set_f64(noted one, const char *key, double value);
void set_bytes(noted one, const char *key, const void *value, size_t length);
void set_strs(noted one, const char *key, const char *const *values, size_t count);
void set_bools(noted one, const char *key, const bool *values, size_t count);
void set_i64s(noted one, const char *key, const int64_t *values, size_t count);
void set_f64s(noted one, const char *key, const double *values, size_t count);
void set_status(noted one, nsp_span_status status, const char *message);

// Attributes of an event or a link, with their keys as text.
typedef struct noted_attr {
    const char *key;
    nsp_attr attr; // a STR, BOOL, I64 or F64; its key is filled in
} noted_attr;

void add_event(noted one, const char *name, nsp_ticks at, noted_attr *attributes, size_t count);
// Notes a link, and adds it unless the span's options contained it already.
void add_link(noted one, const nsp_context *context, const char *tracestate, noted_attr *attributes,
              size_t count, bool by_options);

// Converts the ticks to times by the session's clock map, which is valid until shutdown.
void expectation_date(void);
// Writes all notes and the counters. Returns false if the file cannot be written.
bool expectation_write(const char *path, const nsp_stats *stats);
void expectation_free(void);
size_t expectation_count(void);

#endif
