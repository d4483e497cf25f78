// SPDX-License-Identifier: Apache-2.0
//
// What is written here are the bytes that append writes for the same spans, one by one. Whatever is not the usual case
// (a name that is not known yet, a key that occurs twice, too little room) is left to it.
#include "otlp/protobuf/path.h"

#include <stdlib.h>

#include "common/utf8.h"

#include "otlp/protobuf/span.h"

enum {
    KEY_FRAME = 3 + NSP__SHORT_KEY + 4, // bytes of a KeyValue with a short key, before the value's
    COPIED = 32,                        // at once; readable behind whatever is copied
    // Of the head of a phase: all of it that is the same for all phases of a path.
    COMMON = 3 + 2 + NSP_TRACE_ID_SIZE + 2 + NSP_SPAN_ID_SIZE + 2 + NSP__THRESHOLD_TEXT_MAX,
    SPAN_ID_AT = 3 + 2 + NSP_TRACE_ID_SIZE + 2,
    // The rest: parent, name, kind, times.
    PARENT_AT = 2,
    NAME_AT = PARENT_AT + NSP_SPAN_ID_SIZE + 1,
    TIMES = 2 * (1 + 8),
    FLAGS = 6
};

// A field's KeyValue up to its value, and where the value lies in the body.
typedef struct path_field {
    uint64_t unset;
    nsp_name key;
    uint16_t offset, safe; // safe: of a text, so many of its bytes can be copied in whole words
    uint8_t type;
    uint8_t size; // of the frame; 0: the key is not short
    uint8_t frame[KEY_FRAME + COPIED];
} path_field;

typedef struct path_phase {
    uint32_t rest_at, rest_size; // in `rests`: from the parent's field to the end of the end time
    uint32_t first, end;         // fields
    size_t most;                 // bytes of the span
} path_phase;

struct nsp__otlp_path {
    const nsp_path_shape *shape;
    path_phase phases[1 + NSP_PATH_PHASES_MAX]; // the first is the path's own span, which has no head here
    uint8_t *rests;
    path_field fields[];
};

// ---- making ----

static bool is_named(nsp__otlp_encoder *encoder, nsp_name name)
{
    size_t length = 0;
    nsp__name_table_text(&encoder->keys.table, name, &length);
    return length != 0 && name < NSP__NAME_SLOTS;
}

// True if each span has each key once, and all names are known.
static bool is_plain(nsp__otlp_encoder *encoder, const nsp_path_shape *shape)
{
    for (uint32_t i = 0; i < shape->phase_count; i++)
        if (!is_named(encoder, shape->phase_names[i]))
            return false;
    for (uint32_t span = 0; span <= shape->phase_count; span++)
        for (uint32_t i = shape->first_fields[span]; i < shape->first_fields[span + 1]; i++) {
            if (!is_named(encoder, shape->fields[i].key))
                return false;
            for (uint32_t before = shape->first_fields[span]; before < i; before++)
                if (shape->fields[before].key == shape->fields[i].key)
                    return false;
        }
    return true;
}

// The lengths in the frame are those without what depends on the value.
static void make_frame(path_field *to, nsp__form key)
{
    uint8_t *at = to->frame;
    if (key.size - 1 >= NSP__SHORT_KEY)
        return;
    switch (to->type) {
    case NSP_TYPE_I64:
        at = nsp__put_short_frame(at, NSP__TAG(9, NSP__WIRE_BYTES), key, 1);
        *at++ = NSP__TAG(3, NSP__WIRE_VARINT);
        break;
    case NSP_TYPE_F64:
        at = nsp__put_short_frame(at, NSP__TAG(9, NSP__WIRE_BYTES), key, 9);
        *at++ = NSP__TAG(4, NSP__WIRE_FIXED64);
        break;
    case NSP_TYPE_BOOL:
        at = nsp__put_short_frame(at, NSP__TAG(9, NSP__WIRE_BYTES), key, 2);
        *at++ = NSP__TAG(2, NSP__WIRE_VARINT);
        break;
    default: // STR
        at = nsp__put_short_frame(at, NSP__TAG(9, NSP__WIRE_BYTES), key, 2);
        *at++ = NSP__TAG(1, NSP__WIRE_BYTES);
        *at++ = 0;
    }
    to->size = (uint8_t)(at - to->frame);
}

static size_t make_fields(nsp__otlp_encoder *encoder, nsp__otlp_path *path, uint32_t first, uint32_t end)
{
    size_t most = 0;
    for (uint32_t i = first; i < end; i++) {
        const nsp_path_field *from = &path->shape->fields[i];
        path_field *to = &path->fields[i];
        const nsp__form key = nsp__names_get(encoder->names, from->key);
        const uint32_t text_at = from->offset + (uint32_t)sizeof(uint16_t);
        *to =
            (path_field){.unset = from->unset, .key = from->key, .offset = from->offset, .type = from->type};
        if (from->type == NSP_TYPE_STR) {
            const uint32_t safe = (path->shape->bytes - text_at) & ~7u;
            to->safe = (uint16_t)(safe < NSP__SHORT_TEXT ? safe : NSP__SHORT_TEXT);
        }
        make_frame(to, key);
        most += 3 * (1 + NSP__VARINT_MAX) + key.size + COPIED +
                (from->type == NSP_TYPE_STR ? (size_t)NSP__UTF8_GROWTH * from->size : 0);
    }
    return most;
}

static void make_phase(nsp__otlp_encoder *encoder, nsp__otlp_path *path, uint32_t phase)
{
    static const uint8_t parent[NSP_SPAN_ID_SIZE];
    path_phase *to = &path->phases[phase];
    uint8_t *at = path->rests + to->rest_at;
    at = nsp__put_id(at, NSP__TAG(4, NSP__WIRE_BYTES), parent, sizeof parent);
    *at++ = NSP__TAG(5, NSP__WIRE_BYTES);
    at = nsp__put_form(at, nsp__names_get(encoder->names, path->shape->phase_names[phase - 1]));
    *at++ = NSP__TAG(6, NSP__WIRE_VARINT);
    *at++ = nsp__wire_kind(NSP_KIND_INTERNAL);
    *at++ = NSP__TAG(7, NSP__WIRE_FIXED64);
    at = nsp__put_fixed64(at, 0);
    *at++ = NSP__TAG(8, NSP__WIRE_FIXED64);
    at = nsp__put_fixed64(at, 0);
    to->rest_size = (uint32_t)(at - (path->rests + to->rest_at));
}

static const nsp__otlp_path *make_path(nsp__otlp_encoder *encoder, const nsp_path_shape *shape)
{
    nsp__otlp_path **place = &encoder->paths[shape->number - 1];
    if (!is_plain(encoder, shape))
        return NULL;
    size_t bytes = sizeof **place + shape->field_count * sizeof(path_field);
    const size_t rests = bytes;
    for (uint32_t i = 0; i < shape->phase_count; i++)
        bytes +=
            NAME_AT + nsp__names_get(encoder->names, shape->phase_names[i]).size + 2 + TIMES + 2 * COPIED;
    nsp__otlp_path *path = calloc(1, bytes);
    if (path == NULL)
        return NULL;
    path->shape = shape;
    path->rests = (uint8_t *)path + rests;
    for (uint32_t span = 0, at = 0; span <= shape->phase_count; span++) {
        path_phase *to = &path->phases[span];
        to->first = shape->first_fields[span];
        to->end = shape->first_fields[span + 1];
        to->most = make_fields(encoder, path, to->first, to->end) + FLAGS;
        if (span == 0)
            continue;
        to->rest_at = at;
        make_phase(encoder, path, span);
        to->most += COMMON + to->rest_size;
        at += to->rest_size + 2 * COPIED;
    }
    free(*place);
    *place = path;
    return path;
}

// ---- writing ----

// In whole blocks of 16 bytes: up to COPIED - 1 more than asked for.
static inline __attribute__((always_inline)) void copy_blocks(uint8_t *to, const uint8_t *from, size_t size)
{
    memcpy(to, from, COPIED);
    for (size_t done = COPIED; NSP__UNLIKELY(done < size); done += COPIED)
        memcpy(to + done, from + done, COPIED);
}

// As nsp__put_varint, without a branch for each byte.
static inline uint8_t *put_varint(uint8_t *at, uint64_t value, size_t size)
{
    if (NSP__UNLIKELY(size > sizeof value))
        return nsp__put_varint(at, value);
    value = (value & 0x000000000fffffff) | (value & 0x00fffffff0000000) << 4;
    value = (value & 0x00003fff00003fff) | (value & 0x0fffc0000fffc000) << 2;
    value = (value & 0x007f007f007f007f) | (value & 0x3f803f803f803f80) << 1;
    value |= UINT64_C(0x8080808080808080) >> (8 * (sizeof value - size)) >> 8;
    nsp__put_fixed64(at, value);
    return at + size;
}

// Any text, which is set.
static __attribute__((noinline)) uint8_t *put_any_text(nsp__otlp_encoder *encoder, uint8_t *at,
                                                       const uint8_t *limit, const path_field *field,
                                                       const uint8_t *text, uint16_t length)
{
    const nsp_item item = {.key = field->key, .type = NSP_TYPE_STR, .length = length, .payload = text};
    return nsp__put_attribute(at, limit, NSP__TAG(9, NSP__WIRE_BYTES),
                              nsp__names_get(encoder->names, field->key), &item);
}

static inline __attribute__((always_inline)) uint8_t *put_text(nsp__otlp_encoder *encoder, uint8_t *at,
                                                               const uint8_t *limit, const path_field *field,
                                                               const uint8_t *value)
{
    uint16_t length;
    memcpy(&length, value, sizeof length);
    const uint8_t *text = value + sizeof length;
    if (length == UINT16_MAX)
        return at;
    if (NSP__UNLIKELY(field->size == 0 || length > field->safe))
        return put_any_text(encoder, at, limit, field, text, length);
    uint64_t seen = 0, word;
    uint8_t *to = at + field->size;
    copy_blocks(at, field->frame, field->size);
    at[1] = (uint8_t)(at[1] + length);
    to[-3] = (uint8_t)(to[-3] + length);
    to[-1] = (uint8_t)length;
    for (size_t done = 0; done < length; done += sizeof word) {
        memcpy(&word, text + done, sizeof word);
        memcpy(to + done, &word, sizeof word);
        word = le64toh(word);
        if (done + sizeof word > length)
            word <<= 8 * (done + sizeof word - length);
        seen |= word;
    }
    return NSP__LIKELY(!(seen & 0x8080808080808080u)) ? to + length
                                                      : put_any_text(encoder, at, limit, field, text, length);
}

// A number with a key that is not short.
static __attribute__((noinline)) uint8_t *put_any_number(nsp__otlp_encoder *encoder, uint8_t *at,
                                                         const uint8_t *limit, const path_field *field,
                                                         const uint64_t *value)
{
    const nsp_item item = {.key = field->key,
                           .type = field->type,
                           .small = *value != 0,
                           .length = field->type == NSP_TYPE_BOOL ? 0 : sizeof *value,
                           .payload = (const uint8_t *)value};
    return nsp__put_attribute(at, limit, NSP__TAG(9, NSP__WIRE_BYTES),
                              nsp__names_get(encoder->names, field->key), &item);
}

static inline __attribute__((always_inline)) uint8_t *put_number(nsp__otlp_encoder *encoder, uint8_t *at,
                                                                 const uint8_t *limit,
                                                                 const path_field *field, const uint8_t *from)
{
    uint64_t value = *from;
    if (field->type != NSP_TYPE_BOOL)
        memcpy(&value, from, sizeof value);
    if (value == field->unset)
        return at;
    if (NSP__UNLIKELY(field->size == 0))
        return put_any_number(encoder, at, limit, field, &value);
    uint8_t *to = at + field->size;
    copy_blocks(at, field->frame, field->size);
    if (field->type == NSP_TYPE_F64)
        return nsp__put_fixed64(to, value);
    if (field->type == NSP_TYPE_BOOL) {
        *to = value != 0;
        return to + 1;
    }
    const size_t size = nsp__varint_size(value);
    at[1] = (uint8_t)(at[1] + size);
    to[-2] = (uint8_t)(to[-2] + size);
    return put_varint(to, value, size);
}

// There is room for all of them.
static inline __attribute__((always_inline)) uint8_t *put_fields(nsp__otlp_encoder *encoder, uint8_t *at,
                                                                 const uint8_t *limit,
                                                                 const nsp__otlp_path *path,
                                                                 const path_phase *span, const uint8_t *body)
{
    for (uint32_t i = span->first; i < span->end; i++) {
        const path_field *field = &path->fields[i];
        const uint8_t *value = body + field->offset;
        at = field->type == NSP_TYPE_STR ? put_text(encoder, at, limit, field, value)
                                         : put_number(encoder, at, limit, field, value);
    }
    return at;
}

// The path's own span; NULL if there is more to it than fields and short attributes, each key once.
static uint8_t *put_own(nsp__otlp_encoder *encoder, uint8_t *at, const uint8_t *limit,
                        const nsp__otlp_path *path, const nsp_path_view *view)
{
    const nsp_span_view *root = view->root;
    nsp__keys *keys = &encoder->keys;
    if (NSP__UNLIKELY(root->status | root->dropped_attributes | root->dropped_events | root->dropped_links))
        return NULL;
    uint8_t *body = nsp__open_length(at, NSP__TAG(2, NSP__WIRE_BYTES));
    at = nsp__put_span_head(encoder, body, limit, root, nsp__names_get(encoder->names, root->name), NULL, 0);
    at = put_fields(encoder, at, limit, path, &path->phases[0], view->body);
    if (root->items_bytes != 0) {
        const uint32_t base = nsp__keys_begin(keys);
        for (uint32_t i = path->phases[0].first; i < path->phases[0].end; i++)
            nsp__keys_note(keys, path->fields[i].key, base);
        at = nsp__put_plain_attributes(encoder, at, limit, root, base);
        if (NSP__UNLIKELY(at == NULL))
            return NULL;
    }
    at = nsp__put_span_flags(at, nsp__wire_flags(root->trace_flags, root->parent_remote));
    return nsp__close_length(body, at);
}

// What all phases of a path begin with. Returns its size.
static size_t make_common(nsp__otlp_encoder *encoder, uint8_t *common, const nsp_span_view *root)
{
    uint8_t *at = nsp__open_length(common, NSP__TAG(2, NSP__WIRE_BYTES));
    at = nsp__put_id(at, NSP__TAG(1, NSP__WIRE_BYTES), root->trace_id, NSP_TRACE_ID_SIZE);
    at = nsp__put_id(at, NSP__TAG(2, NSP__WIRE_BYTES), root->span_id, NSP_SPAN_ID_SIZE);
    return (size_t)(nsp__put_threshold(encoder, at, root->threshold) - common);
}

static size_t most_of(const nsp__otlp_path *path, const nsp_path_view *view)
{
    size_t most = path->phases[0].most + NSP__SPAN_FIXED + NSP__SLACK;
    for (uint32_t i = 0; i < view->phase_count; i++)
        most += path->phases[view->phases[i].phase].most;
    return most;
}

nsp_path_result nsp__otlp_encoder_append_path(void *state, nsp_batch *batch, const nsp_path_view *view)
{
    nsp__otlp_encoder *encoder = state;
    const nsp_path_shape *shape = view->shape;
    const nsp_span_view *root = view->root;
    const nsp__otlp_path *path = encoder->paths[(shape->number - 1) % NSP__OTLP_PATHS];
    if (NSP__UNLIKELY(path == NULL || path->shape != shape) && (path = make_path(encoder, shape)) == NULL)
        return NSP_PATH_ONE_BY_ONE;
    const size_t own =
        NSP__SPAN_FIXED + nsp__names_get(encoder->names, root->name).size + path->phases[0].most;
    if (NSP__UNLIKELY(batch->capacity - batch->length < most_of(path, view) + own))
        return NSP_PATH_ONE_BY_ONE;

    uint8_t common[COMMON + 2 * COPIED];
    const size_t common_size = make_common(encoder, common, root);
    const uint32_t flags = nsp__wire_flags(root->trace_flags, false);
    const uint8_t *limit = batch->data + batch->capacity - NSP__SLACK;
    uint8_t *at = batch->data + batch->length;
    for (uint32_t i = 0; i < view->phase_count; i++) {
        const nsp_path_phase *phase = &view->phases[i];
        const path_phase *span = &path->phases[phase->phase];
        uint8_t *body = at + 1 + NSP__LENGTH_GUESS;
        memcpy(at, common, 2 * COPIED);
        memcpy(at + SPAN_ID_AT, &phase->span_id, sizeof phase->span_id);
        at += common_size;
        copy_blocks(at, path->rests + span->rest_at, span->rest_size);
        memcpy(at + PARENT_AT, root->span_id, NSP_SPAN_ID_SIZE);
        at += span->rest_size;
        nsp__put_fixed64(at - 17, phase->start_ns);
        nsp__put_fixed64(at - 8, phase->end_ns);
        at = put_fields(encoder, at, limit, path, span, view->body);
        at = nsp__put_span_flags(at, flags);
        at = nsp__close_length(body, at);
    }
    at = put_own(encoder, at, limit, path, view);
    if (NSP__UNLIKELY(at == NULL))
        return NSP_PATH_ONE_BY_ONE;
    batch->length = (size_t)(at - batch->data);
    return NSP_PATH_APPENDED;
}
