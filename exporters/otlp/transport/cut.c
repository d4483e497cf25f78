// SPDX-License-Identifier: Apache-2.0
#include "otlp/transport/cut.h"

#include <string.h>

#include "otlp/protobuf/wire.h"

// ---- protobuf: one ResourceSpans of one ScopeSpans ----

static const uint8_t *read_varint(const uint8_t *at, const uint8_t *end, size_t *value)
{
    *value = 0;
    for (unsigned shift = 0; at < end && shift < 35; shift += 7) {
        *value |= (size_t)(*at & 0x7f) << shift;
        if (!(*at++ & 0x80))
            return at;
    }
    return NULL;
}

// Where the content of the length-delimited field with this number begins, if that field is at `at`; NULL if
// not.
static const uint8_t *read_field(const uint8_t *at, const uint8_t *end, unsigned number, size_t *length)
{
    if (at >= end || *at != NSP__TAG(number, NSP__WIRE_BYTES))
        return NULL;
    const uint8_t *content = read_varint(at + 1, end, length);
    return content != NULL && *length <= (size_t)(end - content) ? content : NULL;
}

static bool find_protobuf(nsp__otlp_request *out, const uint8_t *bytes, size_t length)
{
    const uint8_t *end = bytes + length;
    size_t size;
    *out = (nsp__otlp_request){.bytes = bytes, .length = length, .end = end};
    out->resource = read_field(bytes, end, 1, &size); // the ResourceSpans
    if (out->resource == NULL || size != (size_t)(end - out->resource))
        return false;
    const uint8_t *content = read_field(out->resource, end, 1, &size);
    if (content == NULL)
        return false;
    out->resource_size = (size_t)(content + size - out->resource);
    out->scope = read_field(content + size, end, 2, &size); // the ScopeSpans
    if (out->scope == NULL || size != (size_t)(end - out->scope))
        return false;
    content = read_field(out->scope, end, 1, &size);
    if (content == NULL)
        return false;
    out->scope_size = (size_t)(content + size - out->scope);
    out->spans = content + size;
    return true;
}

static size_t protobuf_span_size(const nsp__otlp_request *request, const uint8_t *at)
{
    size_t size;
    const uint8_t *content = read_field(at, request->end, 2, &size);
    return content != NULL ? (size_t)(content + size - at) : 0;
}

static uint8_t *put_bytes(uint8_t *out, const void *bytes, size_t size)
{
    memcpy(out, bytes, size);
    return out + size;
}

static size_t write_protobuf(uint8_t *out, const nsp__otlp_request *request, const uint8_t *from,
                             const uint8_t *to)
{
    size_t spans = (size_t)(to - from), scope_spans = request->scope_size + spans;
    size_t resource_spans = request->resource_size + 1 + nsp__varint_size(scope_spans) + scope_spans;
    uint8_t *at = out;
    *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, resource_spans);
    at = put_bytes(at, request->resource, request->resource_size);
    *at++ = NSP__TAG(2, NSP__WIRE_BYTES);
    at = nsp__put_varint(at, scope_spans);
    at = put_bytes(at, request->scope, request->scope_size);
    at = put_bytes(at, from, spans);
    return (size_t)(at - out);
}

const nsp__otlp_cutter nsp__otlp_protobuf_cutter = {find_protobuf, protobuf_span_size, write_protobuf};

// ---- JSON: one object, one list of spans ----

static const char list_begins[] = "\"spans\":[", list_ends[] = "]}]}]}\n";

// Within a string the quotes would be escaped, so what is found is the member.
static bool find_json(nsp__otlp_request *out, const uint8_t *bytes, size_t length)
{
    const size_t before = sizeof list_begins - 1, behind = sizeof list_ends - 1;
    *out = (nsp__otlp_request){.bytes = bytes, .length = length};
    const uint8_t *found = length ? memmem(bytes, length, list_begins, before) : NULL;
    if (found == NULL || length - (size_t)(found + before - bytes) < behind ||
        memcmp(bytes + length - behind, list_ends, behind) != 0)
        return false;
    out->spans = found + before;
    out->end = bytes + length - behind;
    return true;
}

static size_t json_span_size(const nsp__otlp_request *request, const uint8_t *from)
{
    unsigned depth = 0;
    bool text = false;
    for (const uint8_t *at = from; at < request->end; ++at) {
        if (text && *at == '\\')
            ++at;
        else if (*at == '"')
            text = !text;
        else if (!text && (*at == '{' || *at == '['))
            ++depth;
        else if (!text && (*at == '}' || *at == ']') && (depth == 0 || --depth == 0))
            return (size_t)(at + 1 - from) + (at + 1 < request->end && at[1] == ',');
    }
    return 0;
}

static size_t write_json(uint8_t *out, const nsp__otlp_request *request, const uint8_t *from,
                         const uint8_t *to)
{
    uint8_t *at = put_bytes(out, request->bytes, (size_t)(request->spans - request->bytes));
    at = put_bytes(at, from, (size_t)(to - from));
    if (to > from && at[-1] == ',')
        --at;
    at = put_bytes(at, list_ends, sizeof list_ends - 1);
    return (size_t)(at - out);
}

const nsp__otlp_cutter nsp__otlp_json_cutter = {find_json, json_span_size, write_json};

size_t nsp__otlp_cut_off(const nsp__otlp_cutter *cutter, uint8_t *out, const uint8_t *bytes, size_t length,
                         uint64_t spans)
{
    nsp__otlp_request request;
    if (!cutter->find(&request, bytes, length))
        return 0;
    const uint8_t *at = request.spans;
    for (; spans != 0 && at < request.end; spans--) {
        const size_t size = cutter->span_size(&request, at);
        if (size == 0)
            return 0;
        at += size;
    }
    return at < request.end ? cutter->write(out, &request, at, request.end) : 0;
}
