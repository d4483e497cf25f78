// SPDX-License-Identifier: Apache-2.0
#include "otlp_decoder.h"

void decoder_fail(decoder *d, const uint8_t *at, const char *why)
{
    if (d->failed)
        return;
    d->failed = true;
    size_t offset = at >= d->start && at <= d->start + d->length ? (size_t)(at - d->start) : 0;
    snprintf(d->request->error, sizeof d->request->error,
             "malformed protobuf: %s (near byte %zu of %zu, span %zu)", why, offset, d->length,
             d->request->key_count);
}

void take_message(decoder *d, const wire_field *field, const char *name, wire *out)
{
    wire previous = *out;
    take_bytes(d, field, name, out);
    if (d->failed || previous.at == NULL)
        return;
    size_t before = (size_t)(previous.end - previous.at), more = (size_t)(out->end - out->at);
    joint *whole = need_memory(sizeof *whole + before + more);
    whole->next = d->joints;
    d->joints = whole;
    memcpy(whole->bytes, previous.at, before);
    memcpy(whole->bytes + before, out->at, more);
    *out = (wire){whole->bytes, whole->bytes + before + more};
}

void each(decoder *d, const char *name, uint32_t number, run elements, const uint8_t *end, element *visit)
{
    if (d->failed || !elements.count)
        return;
    if (d->json != NULL) {
        key(d->json, name);
        text_char(d->json, '[');
    }
    wire rest = {elements.first, end};
    wire_field field;
    for (size_t left = elements.count; left && next(d, &rest, &field);)
        if (field.number == number) {
            visit(d, field.bytes);
            left--;
        }
    if (d->json != NULL)
        text_char(d->json, ']');
}
