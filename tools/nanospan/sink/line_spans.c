// SPDX-License-Identifier: Apache-2.0
#include "line_spans.h"

#include "common/json_read.h"
#include "support/trace_notes.h"
#include <stdlib.h>

// Of Span.flags: whether the parent is in another process is known, and it is.
enum { PARENT_IS_REMOTE = 0x300 };

typedef struct reader {
    line_spans *out;
    char *line;
    nsp__json_reader json;
} reader;

static uint32_t place(const reader *in)
{
    return (uint32_t)(in->json.at - in->line);
}

static line_part part_since(const reader *in, uint32_t from)
{
    return (line_part){from, place(in) - from};
}

static bool read_failed(nsp__json_reader *json)
{
    slice name;
    uint64_t code = 0;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "code"))
            code = nsp__json_number(json);
        else
            nsp__json_skip(json);
    return code == STATUS_ERROR;
}

static void read_span(reader *in, uint32_t scope)
{
    nsp__json_reader *json = &in->json;
    const uint32_t from = place(in);
    line_span span = {.scope = scope, .name = {"", 0}};
    uint64_t parent = 0, end = 0, flags = 0;
    slice name;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "traceId"))
            nsp__json_id(json, span.trace, 2);
        else if (nsp__slice_is(name, "spanId"))
            nsp__json_id(json, &span.id, 1);
        else if (nsp__slice_is(name, "parentSpanId"))
            nsp__json_id(json, &parent, 1);
        else if (nsp__slice_is(name, "name"))
            nsp__json_scalar(json, &span.name);
        else if (nsp__slice_is(name, "startTimeUnixNano"))
            span.start = nsp__json_number(json);
        else if (nsp__slice_is(name, "endTimeUnixNano"))
            end = nsp__json_number(json);
        else if (nsp__slice_is(name, "flags"))
            flags = nsp__json_number(json);
        else if (nsp__slice_is(name, "status"))
            span.failed = read_failed(json);
        else
            nsp__json_skip(json);
    }
    span.object = part_since(in, from);
    if (json->wrong != NULL || span.id == 0 || (span.trace[0] | span.trace[1]) == 0)
        return;
    span.duration = end > span.start ? end - span.start : 0;
    span.root = parent == 0;
    span.continued = !span.root && (flags & PARENT_IS_REMOTE) == PARENT_IS_REMOTE;
    line_spans *out = in->out;
    out->spans = need_room(out->spans, out->count, &out->capacity, sizeof *out->spans);
    out->spans[out->count++] = span;
}

static void read_scope(reader *in)
{
    line_spans *out = in->out;
    out->scopes = need_room(out->scopes, out->scope_count, &out->scope_capacity, sizeof *out->scopes);
    const uint32_t scope = (uint32_t)out->scope_count++;
    out->scopes[scope] = (line_scope){.service = {"", 0}};
    slice name;
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name))
        if (nsp__slice_is(name, "spans")) {
            nsp__json_enter(&in->json, '[');
            while (nsp__json_element(&in->json))
                read_span(in, scope);
        } else {
            const uint32_t from = place(in);
            nsp__json_skip(&in->json);
            if (nsp__slice_is(name, "scope"))
                out->scopes[scope].scope = part_since(in, from);
        }
}

static slice read_service(nsp__json_reader *json)
{
    slice name, key, value, service = {"", 0};
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (!nsp__slice_is(name, "attributes")) {
            nsp__json_skip(json);
            continue;
        }
        nsp__json_enter(json, '[');
        while (nsp__json_element(json)) {
            trace_notes_string_attribute(json, &key, &value);
            if (nsp__slice_is(key, "service.name"))
                service = value;
        }
    }
    return service;
}

static void read_resource_spans(reader *in)
{
    const size_t first = in->out->scope_count;
    line_part resource = {0};
    slice name, service = {"", 0};
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name))
        if (nsp__slice_is(name, "resource")) {
            const uint32_t from = place(in);
            service = read_service(&in->json);
            resource = part_since(in, from);
        } else if (nsp__slice_is(name, "scopeSpans")) {
            nsp__json_enter(&in->json, '[');
            while (nsp__json_element(&in->json))
                read_scope(in);
        } else {
            nsp__json_skip(&in->json);
        }
    // The resource may come after its spans.
    for (size_t i = first; i < in->out->scope_count; i++) {
        in->out->scopes[i].resource = resource;
        in->out->scopes[i].service = service;
    }
}

bool line_spans_read(line_spans *out, char *line, size_t length)
{
    reader in = {.out = out, .line = line};
    slice name;
    out->count = out->scope_count = 0;
    if (length > UINT32_MAX)
        return false;
    nsp__json_begin(&in.json, line, length);
    nsp__json_enter(&in.json, '{');
    while (nsp__json_key(&in.json, &name)) {
        if (!nsp__slice_is(name, "resourceSpans")) {
            nsp__json_skip(&in.json);
            continue;
        }
        nsp__json_enter(&in.json, '[');
        while (nsp__json_element(&in.json))
            read_resource_spans(&in);
    }
    return nsp__json_finish(&in.json);
}

void line_spans_free(line_spans *spans)
{
    free(spans->spans);
    free(spans->scopes);
    *spans = (line_spans){0};
}
