// SPDX-License-Identifier: Apache-2.0
//
// Generates spans of every shape from a seed, each with a model of what a receiver must see.
//
// The model is made from the same random draws as the record, never by reading the record. It is a JSON
// object:
//     traceId spanId parentSpanId   hex ("" on a root)
//     traceState name               text
//     start end                     decimal text
//     kind flags droppedAttributes droppedEvents droppedLinks   numbers as in OTLP
//     status    {code, message}
//     attributes   [[key, type, value]...]: repeated keys as their last one; type is str bool i64 f64 bytes strs bools i64s
//                  f64s; i64 is decimal text, f64 the hex of its bits, bytes hex, an array a list of these
//     events    [{time, name, attributes, dropped}]
//     links     [{traceId, spanId, traceState, attributes, dropped, flags}]
#ifndef NSP_TESTS_SPAN_GENERATOR_H
#define NSP_TESTS_SPAN_GENERATOR_H

#include <jansson.h>

#include "support/span_builder.h"
#include "support/text_generator.h"

typedef struct generated_span {
    built_span built;
    json_t *model;
} generated_span;

void generated_span_make(generated_span *span);
void generated_span_free(generated_span *span);

// The resource of every test, with hostile texts, and its model, [[key, text]...].
const nsp_exporter_context *generated_context(void);
json_t *generated_resource(void);

#endif
