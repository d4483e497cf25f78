// SPDX-License-Identifier: Apache-2.0
//
// The walk over a span's items that all encoders share: which items there are, and which attribute counts if
// a key was set twice (the last one).
//
// Each attribute gets a number that is larger than all before it, and last[key] holds the number of the key's
// latest appearance. So one look at the table tells a repeated key from an entry that an earlier span left,
// and nothing has to be cleared between spans.
#ifndef NSP_ENCODE_WALK_H
#define NSP_ENCODE_WALK_H

#include <nanospan/exporter.h>
#include <string.h>

#include "common/hex.h"
#include "encode/names.h"

enum {
    NSP__KEY_SLOTS = NSP_NAME_MAX, // larger keys exist only in a recovery: none of them is there twice
    NSP__ITEMS_MAX = 65536         // more than one span can have
};

typedef struct nsp__keys {
    uint32_t clock; // the latest number
    uint32_t last[NSP__KEY_SLOTS];
    bool named[NSP__KEY_SLOTS]; // the key is known to have a text; false: it has to be looked up
    nsp__name_table table;
} nsp__keys;

// A walk over the attributes of a span, an event or a link.
typedef struct nsp__scope {
    nsp__keys *keys;
    nsp_item_cursor cursor;
    uint32_t number;  // of the attribute passed last
    uint32_t left;    // attributes still to come, including repeated ones
    uint32_t unnamed; // those without a key, among all: they are left out and count as dropped
    bool repeated;    // some key occurs twice
} nsp__scope;

// The items of a span, by kind. Pointers borrow from the view.
typedef struct nsp__parts {
    nsp__scope attributes; // must be walked before any other scope is entered
    uint32_t events, links;
    const uint8_t *tracestate; // NULL: none
    const uint8_t *message;    // of the status; NULL: none
    uint16_t tracestate_length, message_length;
} nsp__parts;

// Does the payload fit the type? A record may be damaged, above all one that a dead process left behind.
static inline bool nsp__item_sound(const nsp_item *item)
{
    switch (item->type) {
    case NSP_TYPE_I64:
    case NSP_TYPE_F64: return item->length == 8;
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S: return item->length % 8 == 0;
    case NSP_ITEM_EVENT: return item->length >= sizeof(nsp_item_event);
    case NSP_ITEM_LINK: return item->length >= sizeof(nsp_item_link);
    default: return true;
    }
}

// Takes the next item whose payload fits its type.
static inline bool nsp__item_next(nsp_item_cursor *cursor, nsp_item *item)
{
    bool found = nsp_item_next(cursor, item);
    while (found && NSP__UNLIKELY(!nsp__item_sound(item)))
        found = nsp_item_next(cursor, item);
    return found;
}

static inline void nsp__items_skip(nsp_item_cursor *cursor, uint32_t count)
{
    nsp_item item;
    while (count-- && nsp__item_next(cursor, &item)) {
    }
}

// The attributes that belong to an event or link item.
static inline uint32_t nsp__item_attributes(const nsp_item *item)
{
    uint16_t count;
    size_t offset = item->type == NSP_ITEM_EVENT ? offsetof(nsp_item_event, attribute_count)
                                                 : offsetof(nsp_item_link, attribute_count);
    memcpy(&count, item->payload + offset, sizeof count);
    return count;
}

// Begins a span. Returns a number that is below those of all its attributes.
static inline uint32_t nsp__keys_begin(nsp__keys *keys)
{
    if (NSP__UNLIKELY(keys->clock > UINT32_MAX - NSP__ITEMS_MAX))
        memset(keys, 0, offsetof(nsp__keys, named));
    return keys->clock;
}

// The rare half of nsp__key_named: looks the key up. One without a text may be one that is not known yet, so
// it is looked up again the next time.
bool nsp__key_look_up(nsp__keys *keys, nsp_name key);

// Is the key a text that is not empty? By the specification, attributes with an empty key are not sent.
static inline bool nsp__key_named(nsp__keys *keys, nsp_name key)
{
    return NSP__LIKELY(key < NSP__KEY_SLOTS && keys->named[key]) || nsp__key_look_up(keys, key);
}

// Gives an attribute its number. True if its key has appeared since `base`.
static inline bool nsp__keys_note(nsp__keys *keys, nsp_name key, uint32_t base)
{
    keys->clock++;
    if (NSP__UNLIKELY(key >= NSP__KEY_SLOTS))
        return false;
    bool repeated = keys->last[key] > base;
    keys->last[key] = keys->clock;
    return repeated;
}

// Goes through all items of a span once.
static inline void nsp__parts_find(nsp__keys *keys, const nsp_span_view *view, nsp__parts *parts)
{
    uint32_t base = nsp__keys_begin(keys);
    nsp_item_cursor begin = {view->items, view->items + view->items_bytes};
    *parts = (nsp__parts){.attributes = {.keys = keys, .cursor = begin, .number = base}};
    nsp_item_cursor cursor = begin;
    nsp_item item;
    while (nsp__item_next(&cursor, &item)) {
        if (NSP__LIKELY(item.type < NSP_ITEM_EVENT)) {
            parts->attributes.repeated |= nsp__keys_note(keys, item.key, base);
            parts->attributes.unnamed += !nsp__key_named(keys, item.key);
            continue;
        }
        switch (item.type) {
        case NSP_ITEM_EVENT:
            parts->events++;
            nsp__items_skip(&cursor, nsp__item_attributes(&item));
            break;
        case NSP_ITEM_LINK:
            parts->links++;
            nsp__items_skip(&cursor, nsp__item_attributes(&item));
            break;
        case NSP_ITEM_STATUS_MESSAGE:
            parts->message = item.payload;
            parts->message_length = item.length;
            break;
        case NSP_ITEM_TRACESTATE:
            parts->tracestate = item.payload;
            parts->tracestate_length = item.length;
            break;
        default: break;
        }
    }
    parts->attributes.left = keys->clock - base;
}

// Enters the attributes of an event or link. The cursor is behind that item, and is moved past the
// attributes.
static inline nsp__scope nsp__scope_enter(nsp__keys *keys, nsp_item_cursor *cursor, const nsp_item *owner)
{
    nsp__scope scope = {.keys = keys, .cursor = *cursor, .number = keys->clock};
    nsp_item item;
    for (uint32_t count = nsp__item_attributes(owner); count && nsp__item_next(cursor, &item); count--) {
        scope.repeated |= nsp__keys_note(keys, item.key, scope.number);
        scope.unnamed += !nsp__key_named(keys, item.key);
        scope.left++;
    }
    return scope;
}

// Takes the next attribute that counts.
static inline bool nsp__scope_next(nsp__scope *scope, nsp_item *item)
{
    while (scope->left && nsp__item_next(&scope->cursor, item)) {
        if (NSP__UNLIKELY(item->type >= NSP_ITEM_EVENT)) {
            if (item->type == NSP_ITEM_EVENT || item->type == NSP_ITEM_LINK)
                nsp__items_skip(&scope->cursor, nsp__item_attributes(item));
            continue;
        }
        scope->left--;
        scope->number++;
        if (NSP__UNLIKELY(!nsp__key_named(scope->keys, item->key)))
            continue;
        if (NSP__LIKELY(!scope->repeated) || item->key >= NSP__KEY_SLOTS ||
            scope->keys->last[item->key] == scope->number)
            return true;
    }
    return false;
}

// Takes the next event (or link) of a span, and leaves the cursor between that item and its attributes.
static inline bool nsp__owner_next(nsp_item_cursor *cursor, uint8_t type, nsp_item *item)
{
    while (nsp__item_next(cursor, item)) {
        if (item->type == type)
            return true;
        if (item->type == NSP_ITEM_EVENT || item->type == NSP_ITEM_LINK)
            nsp__items_skip(cursor, nsp__item_attributes(item));
    }
    return false;
}

// An element of an array attribute, or a scalar. Its bytes have the form of an item of that type; a BOOL is
// one byte.
typedef struct nsp__element {
    nsp_type type;
    const uint8_t *bytes;
    size_t length;
} nsp__element;

// Takes the next element. *from starts as the item's payload.
static inline bool nsp__element_next(const nsp_item *item, const uint8_t **from, nsp__element *out)
{
    uint16_t length;
    size_t left = (size_t)(item->payload + item->length - *from);
    if (left == 0)
        return false;
    switch (item->type) {
    case NSP_TYPE_STRS:
        if (left < sizeof length)
            return false;
        memcpy(&length, *from, sizeof length);
        if (left - sizeof length < length)
            return false;
        *out = (nsp__element){NSP_TYPE_STR, *from + sizeof length, length};
        break;
    case NSP_TYPE_BOOLS: *out = (nsp__element){NSP_TYPE_BOOL, *from, 1}; break;
    case NSP_TYPE_I64S: *out = (nsp__element){NSP_TYPE_I64, *from, 8}; break;
    default: *out = (nsp__element){NSP_TYPE_F64, *from, 8}; break;
    }
    *from = out->bytes + out->length;
    return true;
}

// What the probability sampler contributes to a tracestate: "ot=th:" and the threshold's digits without
// trailing zeros. Returns its length. The threshold must be below 2^56.
enum { NSP__THRESHOLD_TEXT_MAX = 6 + 14 };
static inline size_t nsp__threshold_text(uint8_t out[NSP__THRESHOLD_TEXT_MAX], uint64_t threshold)
{
    memcpy(out, "ot=th:", 6);
    return 6 + nsp__hex_trimmed((char *)out + 6, threshold << 8);
}

// The flags field of a span or link.
static inline uint32_t nsp__wire_flags(uint8_t trace_flags, bool remote)
{
    return trace_flags | 0x100u | (remote ? 0x200u : 0u);
}

// OTLP's number of the kind; a number that is not a kind counts as internal.
static inline uint8_t nsp__wire_kind(uint8_t kind)
{
    return kind <= NSP_KIND_CONSUMER ? (uint8_t)(kind + 1) : NSP_KIND_INTERNAL + 1;
}

// OTLP's number of the status; a number that is not a status counts as unset.
static inline uint8_t nsp__wire_status(uint8_t status)
{
    return status <= NSP_SPAN_STATUS_ERROR ? status : NSP_SPAN_STATUS_UNSET;
}

static inline bool nsp__id_zero(const uint8_t id[NSP_SPAN_ID_SIZE])
{
    uint64_t value;
    memcpy(&value, id, sizeof value);
    return value == 0;
}

#endif
