// SPDX-License-Identifier: Apache-2.0
//
// Fields are read where they lie, without a tree of messages: that would take many times the memory of what it
// is made from, and what it is made from is not trusted.
#include "otlp/decode/decode.h"
#include "otlp/protobuf/wire.h"

typedef struct field {
    unsigned number, wire;
    uint64_t value;       // VARINT, FIXED64, FIXED32
    const uint8_t *bytes; // BYTES
    size_t length;
} field;

typedef struct message {
    const uint8_t *at, *end;
    bool damaged;
} message;

static message message_of(const field *from)
{
    return (message){from->bytes, from->bytes + from->length, false};
}

static bool read_varint(message *in, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; in->at < in->end && shift < 70; shift += 7) {
        *value |= (uint64_t)(*in->at & 0x7f) << shift;
        if ((*in->at++ & 0x80) == 0)
            return true;
    }
    return false;
}

static bool read_fixed(message *in, size_t size, uint64_t *value)
{
    if ((size_t)(in->end - in->at) < size)
        return false;
    *value = 0;
    memcpy(value, in->at, size);
    *value = le64toh(*value);
    in->at += size;
    return true;
}

// If fewer bytes are there than there should be, `out` has them all the same.
static bool read_bytes(message *in, field *out)
{
    uint64_t length;
    if (!read_varint(in, &length))
        return false;
    const uint64_t there = (uint64_t)(in->end - in->at);
    out->bytes = in->at;
    out->length = (size_t)(length < there ? length : there);
    in->at += out->length;
    return length <= there;
}

// Reads the next field. False at the end, and if the message is damaged; then it must not be called again.
static bool next(message *in, field *out)
{
    uint64_t tag;
    *out = (field){0};
    if (in->at == in->end)
        return false;
    bool sound = read_varint(in, &tag) && tag >> 3 != 0 && tag <= UINT32_MAX;
    if (sound) {
        *out = (field){.number = (unsigned)(tag >> 3), .wire = (unsigned)(tag & 7)};
        switch (out->wire) {
        case NSP__WIRE_VARINT: sound = read_varint(in, &out->value); break;
        case NSP__WIRE_FIXED64: sound = read_fixed(in, 8, &out->value); break;
        case NSP__WIRE_FIXED32: sound = read_fixed(in, 4, &out->value); break;
        case NSP__WIRE_BYTES: sound = read_bytes(in, out); break;
        default: sound = false;
        }
    }
    in->damaged = !sound;
    return sound;
}

// The number and wire type of a field in one number, for switches. Fields that we do not write are skipped.
#define FIELD(number, wire) ((unsigned)(number) << 3 | (wire))
static unsigned kind_of(const field *of)
{
    return of->number < 32 ? FIELD(of->number, of->wire) : 0;
}

static void read_id(nsp__made_record *made, const field *from, void *id, size_t size)
{
    if (from->length == size)
        memcpy(id, from->bytes, size);
    else
        made->wrong = true;
}

// ---- attributes ----

// An AnyValue that is no array. False: it is none of ours.
static bool read_scalar(nsp__made_record *made, const field *value)
{
    uint64_t word = value->value;
    uint8_t truth = word != 0;
    switch (kind_of(value)) {
    case FIELD(1, NSP__WIRE_BYTES):
        nsp__made_value(made, NSP_TYPE_STR, value->bytes, value->length);
        return true;
    case FIELD(2, NSP__WIRE_VARINT): nsp__made_value(made, NSP_TYPE_BOOL, &truth, 1); return true;
    case FIELD(3, NSP__WIRE_VARINT): nsp__made_value(made, NSP_TYPE_I64, &word, 8); return true;
    case FIELD(4, NSP__WIRE_FIXED64): nsp__made_value(made, NSP_TYPE_F64, &word, 8); return true;
    case FIELD(7, NSP__WIRE_BYTES):
        nsp__made_value(made, NSP_TYPE_BYTES, value->bytes, value->length);
        return true;
    default: return false;
    }
}

// The one field of an AnyValue.
static bool only_field(const field *any, field *out)
{
    message in = message_of(any);
    return next(&in, out) && in.at == in.end;
}

static bool read_array(nsp__made_record *made, const field *array)
{
    message in = message_of(array);
    field element, value;
    bool sound = true;
    nsp__made_array_begin(made);
    while (sound && next(&in, &element))
        sound = kind_of(&element) == FIELD(1, NSP__WIRE_BYTES) && only_field(&element, &value) &&
                read_scalar(made, &value);
    nsp__made_array_end(made);
    return sound && !in.damaged;
}

static bool read_value(nsp__made_record *made, const field *any)
{
    field value;
    if (!only_field(any, &value))
        return false;
    return kind_of(&value) == FIELD(5, NSP__WIRE_BYTES) ? read_array(made, &value)
                                                        : read_scalar(made, &value);
}

static void read_attribute(nsp__made_record *made, const field *from)
{
    message in = message_of(from);
    field member;
    nsp_name key = 0;
    nsp__made_attribute_begin(made);
    while (next(&in, &member)) {
        if (kind_of(&member) == FIELD(1, NSP__WIRE_BYTES))
            key = nsp__made_name(made, member.bytes, member.length);
        else if (kind_of(&member) == FIELD(2, NSP__WIRE_BYTES) && !read_value(made, &member))
            made->wrong = true;
    }
    made->wrong = made->wrong || in.damaged;
    nsp__made_attribute_end(made, key);
}

// ---- spans ----

static void read_event(nsp__made_record *made, const field *from)
{
    message in = message_of(from);
    field member;
    nsp_name name = 0;
    uint64_t time_ns = 0, dropped = 0;
    nsp__made_event_begin(made);
    while (next(&in, &member))
        switch (kind_of(&member)) {
        case FIELD(1, NSP__WIRE_FIXED64): time_ns = member.value; break;
        case FIELD(2, NSP__WIRE_BYTES): name = nsp__made_name(made, member.bytes, member.length); break;
        case FIELD(3, NSP__WIRE_BYTES): read_attribute(made, &member); break;
        case FIELD(4, NSP__WIRE_VARINT): dropped = member.value; break;
        default: break;
        }
    made->wrong = made->wrong || in.damaged;
    nsp__made_event_end(made, name, time_ns, dropped);
}

static void read_link(nsp__made_record *made, const field *from)
{
    message in = message_of(from);
    field member;
    nsp_item_link link = {.remote = 0};
    nsp__made_link_begin(made);
    while (next(&in, &member))
        switch (kind_of(&member)) {
        case FIELD(1, NSP__WIRE_BYTES): read_id(made, &member, link.trace_id, sizeof link.trace_id); break;
        case FIELD(2, NSP__WIRE_BYTES): read_id(made, &member, link.span_id, sizeof link.span_id); break;
        case FIELD(3, NSP__WIRE_BYTES): nsp__made_link_state(made, member.bytes, member.length); break;
        case FIELD(4, NSP__WIRE_BYTES): read_attribute(made, &member); break;
        case FIELD(5, NSP__WIRE_VARINT): link.dropped_attributes = nsp__made_count(member.value); break;
        case FIELD(6, NSP__WIRE_FIXED32):
            link.flags = (uint8_t)member.value;
            link.remote = (member.value & 0x200) != 0;
            break;
        default: break;
        }
    made->wrong = made->wrong || in.damaged;
    nsp__made_link_end(made, &link);
}

static void read_status(nsp__made_record *made, const field *from)
{
    message in = message_of(from);
    field member;
    while (next(&in, &member)) {
        if (kind_of(&member) == FIELD(2, NSP__WIRE_BYTES))
            nsp__made_text(made, NSP_ITEM_STATUS_MESSAGE, member.bytes, member.length);
        else if (kind_of(&member) == FIELD(3, NSP__WIRE_VARINT))
            made->record->status = nsp__otlp_status(member.value);
    }
    made->wrong = made->wrong || in.damaged;
}

// False: nothing more is to be read.
static bool read_span(nsp__otlp_decoding *decoding, const field *from)
{
    nsp__made_record *made = &decoding->made;
    nsp__record *record = made->record;
    message in = message_of(from);
    field member;
    uint32_t flags = 0;
    nsp__made_begin(made);
    while (next(&in, &member))
        switch (kind_of(&member)) {
        case FIELD(1, NSP__WIRE_BYTES): read_id(made, &member, record->trace_id, NSP_TRACE_ID_SIZE); break;
        case FIELD(2, NSP__WIRE_BYTES): read_id(made, &member, &record->span_id, NSP_SPAN_ID_SIZE); break;
        case FIELD(3, NSP__WIRE_BYTES):
            nsp__made_text(made, NSP_ITEM_TRACESTATE, member.bytes, member.length);
            break;
        case FIELD(4, NSP__WIRE_BYTES): read_id(made, &member, &record->parent_id, NSP_SPAN_ID_SIZE); break;
        case FIELD(5, NSP__WIRE_BYTES):
            record->name = nsp__made_name(made, member.bytes, member.length);
            break;
        case FIELD(6, NSP__WIRE_VARINT): record->kind = nsp__otlp_kind(member.value); break;
        case FIELD(7, NSP__WIRE_FIXED64): record->start = member.value; break;
        case FIELD(8, NSP__WIRE_FIXED64): record->end = member.value; break;
        case FIELD(9, NSP__WIRE_BYTES): read_attribute(made, &member); break;
        case FIELD(10, NSP__WIRE_VARINT): made->dropped.attributes = nsp__made_count(member.value); break;
        case FIELD(11, NSP__WIRE_BYTES): read_event(made, &member); break;
        case FIELD(12, NSP__WIRE_VARINT): made->dropped.events = nsp__made_count(member.value); break;
        case FIELD(13, NSP__WIRE_BYTES): read_link(made, &member); break;
        case FIELD(14, NSP__WIRE_VARINT): made->dropped.links = nsp__made_count(member.value); break;
        case FIELD(15, NSP__WIRE_BYTES): read_status(made, &member); break;
        case FIELD(16, NSP__WIRE_FIXED32): flags = (uint32_t)member.value; break;
        default: break;
        }
    made->wrong = made->wrong || in.damaged;
    return nsp__otlp_decoded(decoding, flags);
}

// Goes through the messages from a request down to its spans: ResourceSpans are field 1 of a request,
// ScopeSpans field 2 of those, and spans field 2 of these. `depth`: levels above the spans. Of a batch that was cut
// short, the spans are read that are still whole. False: nothing more is to be read.
static bool read_level(nsp__otlp_decoding *decoding, message in, unsigned depth)
{
    const unsigned wanted = depth == 2 ? FIELD(1, NSP__WIRE_BYTES) : FIELD(2, NSP__WIRE_BYTES);
    field member;
    bool more = true;
    while (more && next(&in, &member))
        if (kind_of(&member) == wanted)
            more = depth == 0 ? read_span(decoding, &member)
                              : read_level(decoding, message_of(&member), depth - 1);
    if (in.damaged && depth != 0 && kind_of(&member) == wanted && member.bytes != NULL)
        read_level(decoding, message_of(&member), depth - 1);
    return more && !in.damaged;
}

void nsp__otlp_decode_protobuf(nsp__otlp_decoding *decoding)
{
    // Before a batch is closed its spans lie side by side, each a field 2; closing puts what is around them
    // before them. A process may die between that and saying that the batch is closed.
    message in = {decoding->bytes, decoding->bytes + decoding->length, false};
    bool whole = decoding->closed || (decoding->length != 0 && *decoding->bytes == FIELD(1, NSP__WIRE_BYTES));
    if (decoding->taken < decoding->wanted)
        read_level(decoding, in, whole ? 2 : 0);
}
