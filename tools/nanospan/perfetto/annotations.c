// SPDX-License-Identifier: Apache-2.0
#include "annotations.h"

#include "proto.h"
#include "schema.h"
#include <inttypes.h>
#include <stdio.h>

void interned_names_free(interned_names *names)
{
    interning_free(&names->events);
    interning_free(&names->annotations);
}

void annotate_name(text *out, interned_names *names, slice name)
{
    proto_number(out, EVENT_NAME_IID, interning_add(&names->events, name, NULL) + UINT64_C(1));
}

static size_t begin(text *out, uint32_t field, interned_names *names, slice key)
{
    const size_t opened = proto_open(out, field);
    proto_number(out, ANNOTATION_NAME_IID, interning_add(&names->annotations, key, NULL) + UINT64_C(1));
    return opened;
}

void annotate_text(text *out, uint32_t field, interned_names *names, slice key, slice value)
{
    const size_t opened = begin(out, field, names, key);
    proto_string(out, ANNOTATION_STRING, value);
    proto_close(out, opened);
}

void annotate_count(text *out, uint32_t field, interned_names *names, const char *key, uint64_t value)
{
    const size_t opened = begin(out, field, names, nsp__slice_of(key));
    proto_number(out, ANNOTATION_UINT, value);
    proto_close(out, opened);
}

void annotate_attribute(text *out, uint32_t field, interned_names *names, const attribute *a)
{
    const size_t opened = begin(out, field, names, a->key);
    switch (a->type) {
    case VALUE_INT: proto_number(out, ANNOTATION_INT, (uint64_t)a->integer); break;
    case VALUE_DOUBLE: proto_double(out, ANNOTATION_DOUBLE, a->real); break;
    case VALUE_BOOL: proto_number(out, ANNOTATION_BOOL, a->integer != 0); break;
    case VALUE_STRING:
    case VALUE_OTHER: proto_string(out, ANNOTATION_STRING, a->text); break;
    }
    proto_close(out, opened);
}

void annotate_known_text(text *out, uint32_t field, interned_names *names, const char *key, uint64_t number)
{
    const size_t opened = begin(out, field, names, nsp__slice_of(key));
    proto_number(out, ANNOTATION_STRING_IID, number);
    proto_close(out, opened);
}

void annotate_span_id(text *out, uint32_t field, interned_names *names, const char *key, uint64_t id)
{
    char digits[17];
    snprintf(digits, sizeof digits, "%016" PRIx64, id);
    annotate_text(out, field, names, nsp__slice_of(key), (slice){digits, 16});
}

void annotate_links(text *out, uint32_t field, interned_names *names, const span_details *details)
{
    const size_t opened = begin(out, field, names, nsp__slice_of("links"));
    for (uint32_t i = 0; i < details->link_count; i++) {
        const span_link *link = &details->links[i];
        const size_t element = proto_open(out, ANNOTATION_ARRAY);
        char digits[33];
        snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, link->trace[0], link->trace[1]);
        annotate_text(out, ANNOTATION_DICT, names, nsp__slice_of("trace_id"), (slice){digits, 32});
        annotate_span_id(out, ANNOTATION_DICT, names, "span_id", link->span);
        for (uint32_t k = 0; k < link->attribute_count; k++)
            annotate_attribute(out, ANNOTATION_DICT, names, &details->attributes[link->first_attribute + k]);
        proto_close(out, element);
    }
    proto_close(out, opened);
}
