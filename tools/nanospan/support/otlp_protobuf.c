// SPDX-License-Identifier: Apache-2.0
//
// Decodes OTLP in protobuf into ids, tallies and a line of JSON, directly from the bytes and without building
// a tree. Each message is read once for its singular fields; its repeated fields are then visited in place,
// in whatever order they came. Unknown fields are skipped. A known field of the wrong wire type, a bad length
// or text that is not UTF-8 is an error.
#include "otlp_decoder.h"
#include <stdlib.h>

static void event(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    uint64_t time = 0, dropped = 0;
    wire name = {0};
    run attributes = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_number(d, &field, WIRE_FIXED64, "Event.time_unix_nano", &time); break;
        case 2: take_text(d, &field, "Event.name", &name); break;
        case 3: take_element(d, &field, "Event.attributes", &attributes); break;
        case 4: take_number(d, &field, WIRE_VARINT, "Event.dropped_attributes_count", &dropped); break;
        default: break;
        }
    open_object(d);
    put_nanoseconds(d, "timeUnixNano", time);
    put_text(d, "name", name);
    each(d, "attributes", 3, attributes, end, key_value);
    put_small(d, "droppedAttributesCount", dropped);
    close_object(d);
}

static void link(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    uint64_t dropped = 0, flags = 0;
    wire trace_id = {0}, span_id = {0}, state = {0};
    run attributes = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_id(d, &field, "Link.trace_id", 16, &trace_id); break;
        case 2: take_id(d, &field, "Link.span_id", 8, &span_id); break;
        case 3: take_text(d, &field, "Link.trace_state", &state); break;
        case 4: take_element(d, &field, "Link.attributes", &attributes); break;
        case 5: take_number(d, &field, WIRE_VARINT, "Link.dropped_attributes_count", &dropped); break;
        case 6: take_number(d, &field, WIRE_FIXED32, "Link.flags", &flags); break;
        default: break;
        }
    open_object(d);
    put_id(d, "traceId", trace_id);
    put_id(d, "spanId", span_id);
    put_text(d, "traceState", state);
    each(d, "attributes", 4, attributes, end, key_value);
    put_small(d, "droppedAttributesCount", dropped);
    put_small(d, "flags", flags);
    close_object(d);
}

// Returns the status code. The caller has checked that the message is present.
static uint64_t status(decoder *d, wire message)
{
    uint64_t code = 0;
    wire description = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 2: take_text(d, &field, "Status.message", &description); break;
        case 3: take_number(d, &field, WIRE_VARINT, "Status.code", &code); break;
        default: break;
        }
    if (d->json != NULL) {
        key(d->json, "status");
        text_char(d->json, '{');
    }
    put_text(d, "message", description);
    put_enum(d, "code", code);
    close_object(d);
    return code;
}

static bool all_zero(wire id)
{
    while (id.at < id.end)
        if (*id.at++)
            return false;
    return true;
}

static void span(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    uint64_t kind = 0, start = 0, finish = 0, flags = 0;
    uint64_t dropped_attributes = 0, dropped_events = 0, dropped_links = 0;
    wire trace_id = {0}, span_id = {0}, state = {0}, parent = {0}, name = {0}, outcome = {0};
    run attributes = {0}, events = {0}, links = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_id(d, &field, "Span.trace_id", 16, &trace_id); break;
        case 2: take_id(d, &field, "Span.span_id", 8, &span_id); break;
        case 3: take_text(d, &field, "Span.trace_state", &state); break;
        case 4: take_id(d, &field, "Span.parent_span_id", 8, &parent); break;
        case 5: take_text(d, &field, "Span.name", &name); break;
        case 6: take_number(d, &field, WIRE_VARINT, "Span.kind", &kind); break;
        case 7: take_number(d, &field, WIRE_FIXED64, "Span.start_time_unix_nano", &start); break;
        case 8: take_number(d, &field, WIRE_FIXED64, "Span.end_time_unix_nano", &finish); break;
        case 9: take_element(d, &field, "Span.attributes", &attributes); break;
        case 10:
            take_number(d, &field, WIRE_VARINT, "Span.dropped_attributes_count", &dropped_attributes);
            break;
        case 11: take_element(d, &field, "Span.events", &events); break;
        case 12: take_number(d, &field, WIRE_VARINT, "Span.dropped_events_count", &dropped_events); break;
        case 13: take_element(d, &field, "Span.links", &links); break;
        case 14: take_number(d, &field, WIRE_VARINT, "Span.dropped_links_count", &dropped_links); break;
        case 15: take_message(d, &field, "Span.status", &outcome); break;
        case 16: take_number(d, &field, WIRE_FIXED32, "Span.flags", &flags); break;
        default: break;
        }
    if (d->failed)
        return;
    // A span without ids is left out of the line, but its other fields must still be well formed.
    bool identified = !all_zero(trace_id) && !all_zero(span_id);
    text *json = d->json;
    if (!identified)
        d->json = NULL;
    open_object(d);
    put_id(d, "traceId", trace_id);
    put_id(d, "spanId", span_id);
    put_text(d, "traceState", state);
    put_id(d, "parentSpanId", parent);
    put_small(d, "flags", flags);
    put_text(d, "name", name);
    put_enum(d, "kind", kind);
    put_nanoseconds(d, "startTimeUnixNano", start);
    put_nanoseconds(d, "endTimeUnixNano", finish);
    each(d, "attributes", 9, attributes, end, key_value);
    put_small(d, "droppedAttributesCount", dropped_attributes);
    each(d, "events", 11, events, end, event);
    put_small(d, "droppedEventsCount", dropped_events);
    each(d, "links", 13, links, end, link);
    put_small(d, "droppedLinksCount", dropped_links);
    uint64_t code = outcome.at != NULL ? status(d, outcome) : 0;
    close_object(d);
    d->json = json;
    if (identified) {
        otlp_add_key(d->request, trace_id.at, span_id.at);
        d->service->spans++;
        d->service->errors += (uint32_t)code == 2;
    } else {
        d->request->rejected++;
    }
}

// InstrumentationScope.
static void scope(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    uint64_t dropped = 0;
    wire name = {0}, version = {0};
    run attributes = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_text(d, &field, "InstrumentationScope.name", &name); break;
        case 2: take_text(d, &field, "InstrumentationScope.version", &version); break;
        case 3: take_element(d, &field, "InstrumentationScope.attributes", &attributes); break;
        case 4:
            take_number(d, &field, WIRE_VARINT, "InstrumentationScope.dropped_attributes_count", &dropped);
            break;
        default: break;
        }
    if (d->json != NULL) {
        key(d->json, "scope");
        text_char(d->json, '{');
    }
    put_text(d, "name", name);
    put_text(d, "version", version);
    each(d, "attributes", 3, attributes, end, key_value);
    put_small(d, "droppedAttributesCount", dropped);
    close_object(d);
}

static void scope_spans(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    wire about = {0}, schema = {0};
    run spans = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_message(d, &field, "ScopeSpans.scope", &about); break;
        case 2: take_element(d, &field, "ScopeSpans.spans", &spans); break;
        case 3: take_text(d, &field, "ScopeSpans.schema_url", &schema); break;
        default: break;
        }
    open_object(d);
    if (about.at != NULL)
        scope(d, about);
    each(d, "spans", 2, spans, end, span);
    put_text(d, "schemaUrl", schema);
    close_object(d);
}

// Sets *service_name if this attribute is service.name with a string value.
static void look_for_service(decoder *d, wire message, wire *service_name)
{
    wire name = {0}, held = {0}, found = {0};
    wire_field field;
    while (next(d, &message, &field))
        if (field.number == 1)
            take_bytes(d, &field, "KeyValue.key", &name);
        else if (field.number == 2)
            take_bytes(d, &field, "KeyValue.value", &held);
    if (!nsp__slice_is(text_of(name), "service.name"))
        return;
    while (next(d, &held, &field))
        if (field.number == 1)
            take_bytes(d, &field, "AnyValue.string_value", &found);
    if (found.at != NULL)
        *service_name = found;
}

static void resource(decoder *d, wire message, wire *service_name)
{
    const uint8_t *end = message.end;
    uint64_t dropped = 0;
    run attributes = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1:
            take_element(d, &field, "Resource.attributes", &attributes);
            if (!d->failed)
                look_for_service(d, field.bytes, service_name);
            break;
        case 2: take_number(d, &field, WIRE_VARINT, "Resource.dropped_attributes_count", &dropped); break;
        default: break;
        }
    if (d->json != NULL) {
        key(d->json, "resource");
        text_char(d->json, '{');
    }
    each(d, "attributes", 1, attributes, end, key_value);
    put_small(d, "droppedAttributesCount", dropped);
    close_object(d);
}

static void resource_spans(decoder *d, wire message)
{
    const uint8_t *end = message.end;
    wire about = {0}, schema = {0}, service_name = {0};
    run scopes = {0};
    wire_field field;
    while (next(d, &message, &field))
        switch (field.number) {
        case 1: take_message(d, &field, "ResourceSpans.resource", &about); break;
        case 2: take_element(d, &field, "ResourceSpans.scope_spans", &scopes); break;
        case 3: take_text(d, &field, "ResourceSpans.schema_url", &schema); break;
        default: break;
        }
    open_object(d);
    if (about.at != NULL)
        resource(d, about, &service_name);
    if (!d->failed)
        d->service = otlp_service(d->request, text_of(service_name));
    each(d, "scopeSpans", 2, scopes, end, scope_spans);
    put_text(d, "schemaUrl", schema);
    close_object(d);
}

bool otlp_decode_protobuf(otlp_request *request, const uint8_t *bytes, size_t length)
{
    // An empty body is an empty request.
    static const uint8_t NOTHING[1];
    bytes = length ? bytes : NOTHING;
    decoder d = {.request = request,
                 .json = request->want_json ? &request->json : NULL,
                 .start = bytes,
                 .length = length};
    wire message = {bytes, bytes + length};
    const uint8_t *end = message.end;
    run resources = {0};
    wire_field field;
    while (next(&d, &message, &field))
        if (field.number == 1)
            take_element(&d, &field, "resource_spans", &resources);
    if (d.json != NULL)
        text_char(d.json, '{');
    each(&d, "resourceSpans", 1, resources, end, resource_spans);
    close_object(&d);
    while (d.joints != NULL) {
        joint *after = d.joints->next;
        free(d.joints);
        d.joints = after;
    }
    return !d.failed;
}
