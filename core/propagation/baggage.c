// SPDX-License-Identifier: Apache-2.0
//
// W3C Baggage: a list that is stored in the form in which it is sent. Members are independent of each other,
// so one that is not well formed is left out and the others are kept, as the specification allows. Members
// that would make the list longer than NSP_BAGGAGE_MAX are left out too. There is no other limit on their
// number.
#include "propagation/field.h"
#include "propagation/formats.h"
#include "propagation/baggage_value.h"

// ---- text ----

static bool is_token(nsp__slice text)
{
    for (size_t i = 0; i < text.length; i++) {
        char c = text.text[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!plain && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL))
            return false;
    }
    return text.length != 0;
}

static bool is_value(nsp__slice text)
{
    for (size_t i = 0; i < text.length; i++)
        if (!nsp__baggage_octet(text.text[i]))
            return false;
    return true;
}

// Members that are being written after a list; `at` keeps counting when there is no room left.
typedef struct writer {
    nsp_baggage *list;
    size_t at;
} writer;

static void put(writer *to, const char *text, size_t length)
{
    if (to->at <= NSP_BAGGAGE_MAX && length <= NSP_BAGGAGE_MAX - to->at)
        memcpy(to->list->text + to->at, text, length);
    to->at += length;
}

static bool fits(const writer *to)
{
    return to->at <= NSP_BAGGAGE_MAX;
}

// Writes a comma, except before the first member.
static writer begin_member(nsp_baggage *list)
{
    writer to = {list, list->length};
    if (to.at != 0)
        put(&to, ",", 1);
    return to;
}

// What was written becomes part of the list, or is dropped.
static void end_member(writer *to, bool keep)
{
    if (keep)
        to->list->length = (uint32_t)to->at;
    to->list->text[to->list->length] = '\0';
}

// key=value without the blanks around both. False if one of them is not well formed.
static bool put_pair(writer *to, nsp__slice text)
{
    nsp__slice rest = text, key;
    nsp__slice_split(&rest, '=', &key);
    key = nsp__slice_trim(key);
    if (!is_token(key))
        return false;
    put(to, key.text, key.length);
    if (rest.text == NULL)
        return true; // without a value
    nsp__slice value = nsp__slice_trim(rest);
    put(to, "=", 1);
    put(to, value.text, value.length);
    return is_value(value);
}

// Each property with the semicolon before it; empty ones are skipped.
static bool put_properties(writer *to, nsp__slice rest)
{
    nsp__slice property;
    while (nsp__slice_split(&rest, ';', &property)) {
        property = nsp__slice_trim(property);
        if (property.length == 0)
            continue;
        put(to, ";", 1);
        if (!put_pair(to, property))
            return false;
    }
    return true;
}

static nsp_status append_member(nsp_baggage *list, nsp__slice text)
{
    nsp__slice rest = text, pair;
    writer to = begin_member(list);
    nsp__slice_split(&rest, ';', &pair);
    bool good = pair.length != 0 && memchr(pair.text, '=', pair.length) != NULL && put_pair(&to, pair) &&
                put_properties(&to, rest);
    end_member(&to, good && fits(&to));
    return !good ? NSP_ERR_INVALID : fits(&to) ? NSP_OK : NSP_ERR_FULL;
}

// The first error.
static nsp_status append(nsp_baggage *list, nsp__slice text)
{
    nsp_status status = NSP_OK;
    nsp__slice rest = text, member;
    while (nsp__slice_split(&rest, ',', &member)) {
        member = nsp__slice_trim(member);
        nsp_status one = member.length != 0 ? append_member(list, member) : NSP_OK;
        if (status == NSP_OK)
            status = one;
    }
    return status;
}

static void make_empty(nsp_baggage *list)
{
    list->length = 0;
    list->text[0] = '\0';
}

// ---- fields ----

void nsp__baggage_extract(nsp_baggage *out, const nsp_carrier *carrier)
{
    nsp__slice value;
    for (size_t index = 0; nsp__field_get(carrier, NSP__BAGGAGE, index, &value); index++)
        append(out, value);
}

bool nsp__baggage_inject(const nsp_baggage *baggage, const nsp_carrier *carrier)
{
    return baggage->length == 0 || nsp__field_set(carrier, NSP__BAGGAGE, baggage->text, baggage->length);
}

// ---- public ----

nsp_status nsp_baggage_parsen(nsp_baggage *out, const char *text, size_t length)
{
    make_empty(out);
    return text != NULL ? append(out, (nsp__slice){text, length}) : NSP_OK;
}

bool nsp_baggage_next(const nsp_baggage *baggage, size_t *at, nsp_baggage_member *member)
{
    if (baggage->length > NSP_BAGGAGE_MAX || *at >= baggage->length)
        return false;
    nsp__slice rest = {baggage->text + *at, baggage->length - *at}, text = {0}, key = {0}, value = {0};
    nsp__slice_split(&rest, ',', &text);
    *at += text.length + 1;
    rest = text;
    nsp__slice_split(&rest, '=', &key);
    nsp__slice properties = rest.text != NULL ? rest : (nsp__slice){"", 0};
    nsp__slice_split(&properties, ';', &value);
    *member = (nsp_baggage_member){key.text,
                                   key.length,
                                   value.text,
                                   value.length,
                                   properties.text != NULL ? properties.text : "",
                                   properties.length};
    return true;
}

static bool has_key(const nsp_baggage_member *member, nsp__slice key)
{
    return member->key_length == key.length && memcmp(member->key, key.text, key.length) == 0;
}

nsp_status nsp_baggage_get(const nsp_baggage *baggage, const char *key, char *value, size_t size,
                           size_t *length)
{
    nsp_baggage_member member, found = {0};
    nsp__slice wanted = {key, strlen(key)};
    size_t decoded = 0;
    for (size_t at = 0; nsp_baggage_next(baggage, &at, &member);)
        if (has_key(&member, wanted))
            found = member;
    if (size != 0)
        value[0] = '\0';
    if (found.key != NULL)
        decoded = nsp_baggage_decode(found.value, found.value_length, value, size);
    if (length != NULL)
        *length = decoded;
    return found.key == NULL ? NSP_ERR_NOT_FOUND : decoded < size ? NSP_OK : NSP_ERR_FULL;
}

// The size in bytes of the members with this key, each with a comma.
static size_t bytes_of(const nsp_baggage *baggage, nsp__slice key)
{
    nsp_baggage_member member;
    size_t bytes = 0, from = 0, at = 0;
    for (; nsp_baggage_next(baggage, &at, &member); from = at)
        bytes += has_key(&member, key) ? at - from : 0;
    return bytes;
}

// Removes the members with this key that begin before `end`. False: there is none.
static bool remove_before(nsp_baggage *baggage, nsp__slice key, size_t end)
{
    nsp_baggage_member member;
    size_t kept = 0, from = 0, at = 0;
    while (nsp_baggage_next(baggage, &at, &member)) {
        size_t length = at - 1 - from;
        if (from >= end || !has_key(&member, key)) {
            if (kept != 0)
                baggage->text[kept++] = ',';
            memmove(baggage->text + kept, baggage->text + from, length);
            kept += length;
        }
        from = at;
    }
    if (kept == baggage->length)
        return false;
    baggage->length = (uint32_t)kept;
    baggage->text[kept] = '\0';
    return true;
}

nsp_status nsp_baggage_remove(nsp_baggage *baggage, const char *key)
{
    nsp__slice text = {key, strlen(key)};
    return remove_before(baggage, text, SIZE_MAX) ? NSP_OK : NSP_ERR_NOT_FOUND;
}

// A member that is being set; its texts may be parts of the list.
typedef struct setting {
    nsp__slice key, value, properties;
} setting;

// Writes the member after the list. False: the member is not valid, or there is no room for it.
static bool put_setting(writer *to, const setting *member)
{
    size_t encoded;
    put(to, member->key.text, member->key.length);
    put(to, "=", 1);
    size_t room = fits(to) ? NSP_BAGGAGE_MAX - to->at : 0;
    if (!nsp__baggage_encode(member->value.text, member->value.length,
                             room != 0 ? to->list->text + to->at : NULL, room, &encoded))
        return false;
    to->at += encoded;
    return put_properties(to, member->properties);
}

static bool lies_in(const nsp_baggage *baggage, nsp__slice text)
{
    uintptr_t begin = (uintptr_t)baggage->text, at = (uintptr_t)text.text;
    return text.length != 0 && at < begin + sizeof baggage->text && begin < at + text.length;
}

// Works without a copy of the list, which would be too large for a small stack: everything is checked before
// anything is changed. The member is written after the list first, since its texts may be parts of members
// that go; old members are removed before that only if the room is needed.
nsp_status nsp_baggage_set_with(nsp_baggage *baggage, const char *key, const char *value, size_t length,
                                const char *properties)
{
    setting member = {{key, strlen(key)}, {value, length}, {NULL, 0}};
    if (properties != NULL)
        member.properties = (nsp__slice){properties, strlen(properties)};
    if (!is_token(member.key))
        return NSP_ERR_INVALID;
    writer counted = {baggage, NSP_BAGGAGE_MAX + 1}; // writes nothing
    if (!put_setting(&counted, &member))
        return NSP_ERR_INVALID;
    size_t bytes = counted.at - (NSP_BAGGAGE_MAX + 1);
    size_t before = baggage->length, all = before != 0 ? before + 1 : 0; // with a comma after each
    if (all - bytes_of(baggage, member.key) + bytes > NSP_BAGGAGE_MAX)
        return NSP_ERR_FULL;
    if (all + bytes > NSP_BAGGAGE_MAX) {
        if (lies_in(baggage, member.value) || lies_in(baggage, member.properties))
            return NSP_ERR_FULL;
        remove_before(baggage, member.key, SIZE_MAX);
        before = baggage->length;
    }
    writer to = begin_member(baggage);
    put_setting(&to, &member);
    end_member(&to, true);
    remove_before(baggage, member.key, before);
    return NSP_OK;
}

nsp_status nsp_baggage_set(nsp_baggage *baggage, const char *key, const char *value)
{
    return nsp_baggage_set_with(baggage, key, value, strlen(value), NULL);
}

size_t nsp_baggage_decode(const char *value, size_t length, char *out, size_t size)
{
    size_t decoded = nsp__baggage_decode(value, length, NULL);
    if (decoded < size) {
        nsp__baggage_decode(value, length, out);
        out[decoded] = '\0';
    }
    return decoded;
}
