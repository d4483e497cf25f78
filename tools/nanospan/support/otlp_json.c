// SPDX-License-Identifier: Apache-2.0
//
// Reads OTLP in JSON from a sender. The tables list the members of each message and their forms; the whole
// document is checked against them before anything is counted. Unknown members are kept and ignored.
#include "otlp_request.h"
#include "common/base64.h"
#include "common/hex.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEEPEST_VALUE = 64 };

typedef enum value_form {
    STRING,
    ID_16,    // hexadecimal digits of 16 bytes, or ""
    ID_8,     // hexadecimal digits of 8 bytes, or ""
    UNSIGNED, // 64 bits, as a string or a number
    SIGNED,   // 64 bits, as a string or a number
    SMALL,    // 32 bits, unsigned
    ENUM,     // a number, never a name
    BOOLEAN,
    DOUBLE, // a number, "NaN", "Infinity" or "-Infinity", or digits in a string
    BASE64,
    MESSAGE,
    LIST, // of messages
} value_form;

typedef struct member {
    const char *name;
    value_form form;
    const struct member *of; // the members of a MESSAGE, or of a LIST's elements
} member;

static const member ANY_VALUE[8], KEY_VALUE[3];

static const member ARRAY_VALUE[] = {{"values", LIST, ANY_VALUE}, {0}};
static const member KEY_VALUE_LIST[] = {{"values", LIST, KEY_VALUE}, {0}};
static const member ANY_VALUE[] = {
    {"stringValue", STRING, NULL},        {"boolValue", BOOLEAN, NULL},
    {"intValue", SIGNED, NULL},           {"doubleValue", DOUBLE, NULL},
    {"arrayValue", MESSAGE, ARRAY_VALUE}, {"kvlistValue", MESSAGE, KEY_VALUE_LIST},
    {"bytesValue", BASE64, NULL},         {0}};
static const member KEY_VALUE[] = {{"key", STRING, NULL}, {"value", MESSAGE, ANY_VALUE}, {0}};
static const member EVENT[] = {{"timeUnixNano", UNSIGNED, NULL},
                               {"name", STRING, NULL},
                               {"attributes", LIST, KEY_VALUE},
                               {"droppedAttributesCount", SMALL, NULL},
                               {0}};
static const member LINK[] = {{"traceId", ID_16, NULL},
                              {"spanId", ID_8, NULL},
                              {"traceState", STRING, NULL},
                              {"attributes", LIST, KEY_VALUE},
                              {"droppedAttributesCount", SMALL, NULL},
                              {"flags", SMALL, NULL},
                              {0}};
static const member STATUS[] = {{"message", STRING, NULL}, {"code", ENUM, NULL}, {0}};
static const member SPAN[] = {{"traceId", ID_16, NULL},
                              {"spanId", ID_8, NULL},
                              {"traceState", STRING, NULL},
                              {"parentSpanId", ID_8, NULL},
                              {"flags", SMALL, NULL},
                              {"name", STRING, NULL},
                              {"kind", ENUM, NULL},
                              {"startTimeUnixNano", UNSIGNED, NULL},
                              {"endTimeUnixNano", UNSIGNED, NULL},
                              {"attributes", LIST, KEY_VALUE},
                              {"droppedAttributesCount", SMALL, NULL},
                              {"events", LIST, EVENT},
                              {"droppedEventsCount", SMALL, NULL},
                              {"links", LIST, LINK},
                              {"droppedLinksCount", SMALL, NULL},
                              {"status", MESSAGE, STATUS},
                              {0}};
static const member SCOPE[] = {{"name", STRING, NULL},
                               {"version", STRING, NULL},
                               {"attributes", LIST, KEY_VALUE},
                               {"droppedAttributesCount", SMALL, NULL},
                               {0}};
static const member SCOPE_SPANS[] = {
    {"scope", MESSAGE, SCOPE}, {"spans", LIST, SPAN}, {"schemaUrl", STRING, NULL}, {0}};
static const member RESOURCE[] = {
    {"attributes", LIST, KEY_VALUE}, {"droppedAttributesCount", SMALL, NULL}, {0}};
static const member RESOURCE_SPANS[] = {
    {"resource", MESSAGE, RESOURCE}, {"scopeSpans", LIST, SCOPE_SPANS}, {"schemaUrl", STRING, NULL}, {0}};
static const member REQUEST[] = {{"resourceSpans", LIST, RESOURCE_SPANS}, {0}};

// The place in the document, for error messages.
typedef struct path {
    const struct path *outer;
    const char *name;
    size_t index;
    bool in_list;
} path;

static void print_path(text *out, const path *at)
{
    if (at == NULL)
        return;
    print_path(out, at->outer);
    if (at->in_list)
        text_format(out, "[%zu]", at->index);
    else
        text_format(out, "%s%s", out->length ? "." : "", at->name);
}

static bool wrong(otlp_request *request, const path *at, const char *expected)
{
    text where = {0};
    print_path(&where, at);
    snprintf(request->error, sizeof request->error, "malformed JSON: %.*s must be %s", (int)where.length,
             where.data, expected);
    text_free(&where);
    return false;
}

// Is the text exactly the hexadecimal digits of `size` bytes?
static bool read_hex(const json_t *value, uint8_t *out, size_t size)
{
    const char *digits = json_string_value(value);
    if (digits == NULL || json_string_length(value) != size * 2)
        return false;
    return nsp__hex_decode(out, digits, size);
}

static bool id_sound(const json_t *value, size_t size)
{
    uint8_t id[16];
    return json_is_string(value) && (json_string_length(value) == 0 || read_hex(value, id, size));
}

static bool integer_sound(const json_t *value, bool is_signed)
{
    if (json_is_integer(value))
        return is_signed || json_integer_value(value) >= 0;
    const char *digits = json_string_value(value);
    if (digits == NULL || !*digits || strlen(digits) != json_string_length(value))
        return false;
    const char *first = digits + (is_signed && *digits == '-');
    if (!*first || strspn(first, "0123456789") != strlen(first))
        return false;
    errno = 0;
    if (is_signed)
        strtoll(digits, NULL, 10);
    else
        strtoull(digits, NULL, 10);
    return errno == 0;
}

static bool double_sound(const json_t *value)
{
    if (json_is_number(value))
        return true;
    const char *digits = json_string_value(value);
    if (digits == NULL || !*digits || strlen(digits) != json_string_length(value))
        return false;
    if (strcmp(digits, "NaN") == 0 || strcmp(digits, "Infinity") == 0 || strcmp(digits, "-Infinity") == 0)
        return true;
    char *end = NULL;
    strtod(digits, &end);
    return !*end && strspn(digits, "0123456789+-.eE") == strlen(digits);
}

// As in protobuf's JSON, both alphabets are accepted, with or without padding.
static bool base64_sound(const json_t *value)
{
    const char *digits = json_string_value(value);
    if (digits == NULL)
        return false;
    return nsp__base64_decode(NULL, digits, json_string_length(value), NSP__BASE64_ANY, NULL);
}

static bool scalar_sound(const json_t *value, value_form form, const char **expected)
{
    switch (form) {
    case STRING: *expected = "a string"; return json_is_string(value);
    case ID_16: *expected = "32 hexadecimal digits"; return id_sound(value, 16);
    case ID_8: *expected = "16 hexadecimal digits"; return id_sound(value, 8);
    case UNSIGNED: *expected = "an unsigned 64-bit integer, as a string"; return integer_sound(value, false);
    case SIGNED: *expected = "a 64-bit integer, as a string"; return integer_sound(value, true);
    case SMALL:
        *expected = "an unsigned 32-bit integer";
        return json_is_integer(value) && json_integer_value(value) >= 0 &&
               json_integer_value(value) <= UINT32_MAX;
    case ENUM:
        *expected = "the number of an enum's value, not its name";
        return json_is_integer(value) && json_integer_value(value) >= INT32_MIN &&
               json_integer_value(value) <= INT32_MAX;
    case BOOLEAN: *expected = "true or false"; return json_is_boolean(value);
    case DOUBLE: *expected = "a number"; return double_sound(value);
    case BASE64: *expected = "bytes in base64"; return base64_sound(value);
    default: return false;
    }
}

static bool message_sound(otlp_request *request, const json_t *object, const member *members, const path *at,
                          unsigned depth);

static bool member_sound(otlp_request *request, const json_t *value, const member *m, const path *at,
                         unsigned depth)
{
    if (json_is_null(value))
        return true;
    if (m->form == MESSAGE)
        return message_sound(request, value, m->of, at, depth + 1);
    if (m->form == LIST) {
        if (!json_is_array(value))
            return wrong(request, at, "an array");
        for (size_t i = 0; i < json_array_size(value); i++) {
            path element = {.outer = at, .index = i, .in_list = true};
            if (!message_sound(request, json_array_get(value, i), m->of, &element, depth + 1))
                return false;
        }
        return true;
    }
    const char *expected = "";
    return scalar_sound(value, m->form, &expected) || wrong(request, at, expected);
}

static bool message_sound(otlp_request *request, const json_t *object, const member *members, const path *at,
                          unsigned depth)
{
    size_t forms = 0;
    if (!json_is_object(object))
        return wrong(request, at, "an object");
    // Each nested value takes three levels: the value, its array or list, and the element.
    if (depth > DEEPEST_VALUE * 3)
        return wrong(request, at, "less deeply nested");
    for (const member *m = members; m->name != NULL; m++) {
        const json_t *value = json_object_get(object, m->name);
        path inner = {.outer = at, .name = m->name};
        if (value != NULL && !member_sound(request, value, m, &inner, depth))
            return false;
        forms += value != NULL && !json_is_null(value);
    }
    if (members == ANY_VALUE && forms > 1)
        return wrong(request, at, "a value of one form only");
    return true;
}

static slice service_name(const json_t *resource)
{
    const json_t *attributes = json_object_get(resource, "attributes");
    slice found = {"", 0};
    for (size_t i = 0; i < json_array_size(attributes); i++) {
        const json_t *attribute = json_array_get(attributes, i);
        const char *name = json_string_value(json_object_get(attribute, "key"));
        const json_t *value = json_object_get(json_object_get(attribute, "value"), "stringValue");
        if (name != NULL && strcmp(name, "service.name") == 0 && json_is_string(value))
            found = (slice){json_string_value(value), json_string_length(value)};
    }
    return found;
}

static bool all_zero(const uint8_t *bytes, size_t length)
{
    while (length--)
        if (*bytes++)
            return false;
    return true;
}

// Counts the spans of one scope, and removes spans without an id from the document.
static void count_spans(otlp_request *request, json_t *spans, service_tally *service)
{
    for (size_t i = 0; i < json_array_size(spans);) {
        const json_t *span = json_array_get(spans, i);
        uint8_t trace_id[16], span_id[8];
        if (!read_hex(json_object_get(span, "traceId"), trace_id, sizeof trace_id) ||
            !read_hex(json_object_get(span, "spanId"), span_id, sizeof span_id) ||
            all_zero(trace_id, sizeof trace_id) || all_zero(span_id, sizeof span_id)) {
            request->rejected++;
            json_array_remove(spans, i);
            continue;
        }
        otlp_add_key(request, trace_id, span_id);
        service->spans++;
        service->errors += json_integer_value(json_object_get(json_object_get(span, "status"), "code")) == 2;
        i++;
    }
}

static void count_resources(otlp_request *request, const json_t *root)
{
    const json_t *resources = json_object_get(root, "resourceSpans");
    for (size_t i = 0; i < json_array_size(resources); i++) {
        const json_t *resource = json_array_get(resources, i);
        service_tally *service = otlp_service(request, service_name(json_object_get(resource, "resource")));
        const json_t *scopes = json_object_get(resource, "scopeSpans");
        for (size_t k = 0; k < json_array_size(scopes); k++)
            count_spans(request, json_object_get(json_array_get(scopes, k), "spans"), service);
    }
}

bool otlp_decode_json(otlp_request *request, const char *bytes, size_t length)
{
    json_error_t error;
    json_t *root = json_loadb(length ? bytes : "", length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (root == NULL) {
        snprintf(request->error, sizeof request->error, "malformed JSON: %s (line %d, column %d)", error.text,
                 error.line, error.column);
        return false;
    }
    path top = {.name = "the request"};
    bool sound = json_is_object(root) ? message_sound(request, root, REQUEST, NULL, 0)
                                      : wrong(request, &top, "an object");
    if (sound)
        count_resources(request, root);
    if (sound && request->want_json) {
        // jansson writes at most 17 significant digits and escapes only what it must; strings stay UTF-8.
        char *line = json_dumps(root, JSON_COMPACT);
        sound = line != NULL;
        if (line != NULL)
            text_add(&request->json, line, strlen(line));
        else
            snprintf(request->error, sizeof request->error, "the request could not be written as one line");
        free(line);
    }
    json_decref(root);
    return sound;
}
