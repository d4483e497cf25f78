// SPDX-License-Identifier: Apache-2.0
#include "attribute_filter.h"

#include "trace_notes.h"
#include "units.h"
#include <fnmatch.h>

bool attribute_filter_add(attribute_filter *filter, const char *given)
{
    const char *equals = strchr(given, '=');
    const slice key = {given, equals != NULL ? (size_t)(equals - given) : strlen(given)};
    if (!key.length) {
        complain("--where takes KEY=VALUE, or KEY alone for any value, not '%s'", given);
        return false;
    }
    if (filter->count == MOST_CONDITIONS) {
        complain("--where can be given at most %d times", MOST_CONDITIONS);
        return false;
    }
    attribute_condition *added = &filter->conditions[filter->count++];
    *added = (attribute_condition){.pattern = equals != NULL ? equals + 1 : NULL};
    trace_notes_plain(&added->key, key);
    // What is shown with a backslash may be any one of several characters in the file.
    if (memchr(key.text, '\\', key.length) == NULL)
        text_format(&added->member, "\"%.*s\"", (int)key.length, key.text);
    return true;
}

void attribute_filter_free(attribute_filter *filter)
{
    for (size_t i = 0; i < filter->count; i++) {
        text_free(&filter->conditions[i].key);
        text_free(&filter->conditions[i].member);
    }
    text_free(&filter->copy);
    text_free(&filter->key);
    text_free(&filter->value);
}

uint8_t attribute_filter_all(const attribute_filter *filter)
{
    return (uint8_t)((1u << filter->count) - 1);
}

bool attribute_filter_may_match(const attribute_filter *filter, slice json)
{
    if (!filter->count || !json.length)
        return false;
    for (size_t i = 0; i < filter->count; i++) {
        const text *member = &filter->conditions[i].member;
        if (!member->length || memmem(json.text, json.length, member->data, member->length) != NULL)
            return true;
    }
    return memchr(json.text, '\\', json.length) != NULL; // a key may be written with escapes
}

// A string with blanks is shown in quotes, which the pattern may leave out.
static bool value_matches(const char *pattern, const text *value)
{
    char *shown = value->data; // terminated by the caller
    if (pattern == NULL || fnmatch(pattern, shown, 0) == 0)
        return true;
    if (value->length < 2 || shown[0] != '"' || shown[value->length - 1] != '"')
        return false;
    shown[value->length - 1] = '\0';
    const bool matches = fnmatch(pattern, shown + 1, 0) == 0;
    shown[value->length - 1] = '"';
    return matches;
}

static uint8_t match_attribute(attribute_filter *filter, nsp__json_reader *json)
{
    uint8_t bits = 0;
    filter->key.length = filter->value.length = 0;
    trace_notes_key_value(json, &filter->key, &filter->value);
    text_char(&filter->value, '\0');
    filter->value.length--;
    for (size_t i = 0; i < filter->count && json->wrong == NULL; i++) {
        attribute_condition *condition = &filter->conditions[i];
        if (filter->key.length != condition->key.length ||
            memcmp(filter->key.data, condition->key.data, filter->key.length) != 0)
            continue;
        condition->seen++;
        if (!value_matches(condition->pattern, &filter->value))
            continue;
        condition->met++;
        bits |= (uint8_t)(1u << i);
    }
    return bits;
}

static uint8_t match_list(attribute_filter *filter, nsp__json_reader *json)
{
    uint8_t bits = 0;
    nsp__json_enter(json, '[');
    while (nsp__json_element(json))
        bits |= match_attribute(filter, json);
    return bits;
}

// Reading changes the text, so it reads a copy.
static void begin(attribute_filter *filter, nsp__json_reader *json, slice from)
{
    filter->copy.length = 0;
    text_slice(&filter->copy, from);
    nsp__json_begin(json, filter->copy.data, filter->copy.length);
}

uint8_t attribute_filter_list(attribute_filter *filter, slice json)
{
    nsp__json_reader reader;
    if (!attribute_filter_may_match(filter, json))
        return 0;
    begin(filter, &reader, json);
    return match_list(filter, &reader);
}

uint8_t attribute_filter_object(attribute_filter *filter, slice json)
{
    uint8_t bits = 0;
    slice name;
    nsp__json_reader reader;
    if (!attribute_filter_may_match(filter, json))
        return 0;
    begin(filter, &reader, json);
    nsp__json_enter(&reader, '{');
    while (nsp__json_key(&reader, &name))
        if (nsp__slice_is(name, "attributes"))
            bits |= match_list(filter, &reader);
        else
            nsp__json_skip(&reader);
    return bits;
}

void attribute_filter_complain(const attribute_filter *filter)
{
    for (size_t i = 0; i < filter->count; i++) {
        const attribute_condition *condition = &filter->conditions[i];
        char seen[UNITS_SIZE];
        units_count(seen, condition->seen);
        if (!condition->seen)
            complain("no span or resource has an attribute %.*s", (int)condition->key.length,
                     condition->key.data);
        else if (!condition->met)
            complain("the attribute %.*s was seen %s time%s, but never with a value that matches '%s'",
                     (int)condition->key.length, condition->key.data, seen, condition->seen == 1 ? "" : "s",
                     condition->pattern);
    }
}
