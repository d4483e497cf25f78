// SPDX-License-Identifier: Apache-2.0
//
// Input: a byte that chooses the formats, and the room for fields to be written, then header fields as lines
// of "name: value". Injecting what was extracted and extracting it again gives the same, and a list in one
// field means the same as in two. Injected into a process's environment, too, it is read as the same. A
// carrier may be faulty: it has texts that are NULL, or fields that never end (with the line "endless:").
//
// Parsers: core/propagation/b3.c core/propagation/propagation.c core/propagation/tracecontext.c
// Parsers: core/propagation/same_trace.h core/propagation/field.h core/propagation/environment_carrier.c
#include "fuzz.h"

#include "propagation/propagators.h"
#include "support/headers.h"

static const char *const lists[] = {"tracecontext,baggage", "tracecontext,b3,baggage",
                                    "b3,tracecontext",      "b3multi,tracecontext,baggage",
                                    "tracecontext",         "none"};

static headers request, sent;
static bool endless;

static void read_lines(const uint8_t *bytes, size_t size)
{
    headers_clear(&request);
    for (char *line; request.count < 64 && (line = fuzz_line(&bytes, &size)) != NULL; free(line)) {
        char name[32] = "";
        char *colon = strchr(line, ':');
        size_t length = colon != NULL ? (size_t)(colon - line) : 0;
        if (length == 0 || length >= sizeof name)
            continue;
        memcpy(name, line, length);
        headers_addn(&request, name, colon + 1, strlen(colon + 1));
        endless |= strcmp(name, "endless") == 0;
    }
}

static bool faulty_get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    nsp_carrier carrier = headers_carrier(fields);
    if (!carrier.get(fields, name, endless && strcmp(name, "traceparent") != 0 ? 0 : index, value, length))
        return false;
    if (*length == 0)
        *value = NULL;
    return true;
}

static bool same_context(const nsp_context *a, const nsp_context *b)
{
    return memcmp(a->trace_id, b->trace_id, sizeof a->trace_id) == 0 &&
           memcmp(a->span_id, b->span_id, sizeof a->span_id) == 0 && a->threshold == b->threshold &&
           a->randomness == b->randomness && a->tracestate_length == b->tracestate_length &&
           memcmp(a->tracestate, b->tracestate, sizeof a->tracestate) == 0;
}

// What a program gives its child in the environment, the child reads as what the program had.
static void check_environment(const nsp_incoming *incoming, char *const *entries)
{
    static nsp_incoming child;
    nsp_environment environment;
    MUST(nsp_environment_copy(&environment, entries) == NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    nsp_status found = nsp_extract(&child, &carrier); // whatever it was started with
    MUST(nsp_inject(&child.context, &child.baggage, &carrier) == NSP_OK && found != NSP_ERR_FULL);
    MUST(nsp_inject(&incoming->context, &incoming->baggage, &carrier) == NSP_OK);
    nsp_extract(&child, &carrier);
    if (nsp_context_valid(&incoming->context) && nsp_inject_field(0) != NULL)
        MUST(memcmp(child.context.span_id, incoming->context.span_id, NSP_SPAN_ID_SIZE) == 0);
    // Any names, until there is no room left; what was set is read again.
    static char text[3 * NSP_BAGGAGE_MAX];
    static const char *const names[] = {"4tune", "Mixed.Name{", "", "a", "b", "c", "d", "e", "f", "g", "h"};
    MUST(!nsp_environment_set(NULL, "a", "", 0) && !nsp_environment_set(&(nsp_environment){0}, "a", "", 0));
    MUST(!nsp_environment_set(&environment, "a", "b\0c", 3));
    memset(text, 'x', sizeof text);
    MUST(!nsp_environment_set(&environment, "a", text, sizeof text));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = NULL;
        size_t length = incoming->baggage.length;
        if (!nsp_environment_set(&environment, names[i], text, length))
            break;
        MUST(nsp_environment_get(&environment, names[i], 0, &value, &length) &&
             length == incoming->baggage.length);
        MUST(memcmp(value, text, length) == 0 && value[length] == '\0');
    }
    nsp_environment_free(&environment);
    const char *value;
    size_t length;
    nsp_environment_get(&environment, "a", 0, &value, &length);
    nsp_environment_get(NULL, "PATH", 0, &value, &length);
}

// The lines "NAME=value" of the input as an environment.
static void try_environment(const uint8_t *bytes, size_t size, const nsp_incoming *incoming)
{
    char *entries[16] = {NULL};
    size_t count = 0;
    for (char *line; count < 15 && (line = fuzz_line(&bytes, &size)) != NULL;)
        entries[count++] = line;
    check_environment(incoming, entries);
    if (size == 0 && count == 0)
        check_environment(incoming, NULL); // this process's own
    while (count != 0)
        free(entries[--count]);
}

// No room, no carrier, nothing to inject, and the thread's own request.
static void check_bounds(const nsp_incoming *incoming, size_t room)
{
    nsp_carrier to = headers_carrier(&sent), none = {NULL, NULL, NULL};
    headers_clear(&sent);
    sent.room = room;
    nsp_status status = nsp_inject(&incoming->context, &incoming->baggage, &to);
    MUST(status == NSP_OK || (status == NSP_ERR_FULL && sent.count == room));
    headers_clear(&sent);
    MUST(nsp_inject(NULL, NULL, &to) == NSP_OK && sent.count == 0);
    MUST(nsp_inject(&incoming->context, NULL, NULL) == NSP_ERR_INVALID);
    MUST(nsp_inject(&incoming->context, NULL, &none) == NSP_ERR_INVALID);
    static nsp_incoming nothing;
    MUST(nsp_extract(&nothing, NULL) == NSP_ERR_INVALID && nsp_extract(&nothing, &none) == NSP_ERR_INVALID);
    MUST(nsp_inject_span(NULL, &to) == NSP_OK && sent.count == 0);
    MUST(nsp_incoming_enter(incoming) == NULL);
    MUST(nsp_inject_span(NULL, &to) == NSP_OK && nsp_incoming_current() == incoming);
    MUST(nsp_incoming_enter(NULL) == incoming);
    for (size_t i = 0; i < sent.count; i++) {
        size_t index = 0; // every field that is written has a name in the list
        while (nsp_inject_field(index) != NULL && strcmp(nsp_inject_field(index), sent.fields[i].name) != 0)
            index++;
        MUST(nsp_inject_field(index) != NULL);
    }
}

// Splits the first tracestate into two fields at its first comma.
static void split_list(void)
{
    for (size_t i = 0; i < request.count; i++) {
        if (strcasecmp(request.fields[i].name, "tracestate") != 0)
            continue;
        char *comma = memchr(request.fields[i].value, ',', request.fields[i].length);
        if (comma == NULL || request.count == HEADERS_MAX || i + 1 != request.count)
            return;
        size_t before = (size_t)(comma - request.fields[i].value);
        headers_addn(&request, "tracestate", comma + 1, request.fields[i].length - before - 1);
        request.fields[i].length = before;
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static nsp_incoming first, again;
    const uint8_t choice = size != 0 ? bytes[0] : 0;
    nsp__propagators_choose(lists[choice % (sizeof lists / sizeof lists[0])]);
    endless = false;
    read_lines(bytes + (size != 0), size - (size != 0));
    nsp_carrier from = {&request, faulty_get, NULL}, to = headers_carrier(&sent);
    memset(&first, 0xa5, sizeof first);
    nsp_status status = nsp_extract(&first, &from);
    bool something = nsp_context_valid(&first.context) || (first.context.flags & NSP_TRACE_FLAG_DECIDED) != 0;
    MUST((status == NSP_OK) == something);
    MUST(!nsp_context_valid(&first.context) || first.context.remote);
    MUST(first.context.tracestate_length <= NSP_TRACESTATE_MAX && first.baggage.length <= NSP_BAGGAGE_MAX);
    MUST(strlen(first.baggage.text) == first.baggage.length);
    headers_clear(&sent);
    MUST(nsp_inject(&first.context, &first.baggage, &to) == NSP_OK);
    MUST(nsp_extract(&again, &to) == (something ? NSP_OK : NSP_ERR_NOT_FOUND));
    MUST(memcmp(again.context.trace_id, first.context.trace_id, NSP_TRACE_ID_SIZE) == 0);
    MUST(memcmp(again.context.span_id, first.context.span_id, NSP_SPAN_ID_SIZE) == 0);
    MUST(strcmp(again.baggage.text, first.baggage.text) == 0);
    if (nsp_inject_field(0) != NULL && strcmp(nsp_inject_field(0), "b3") != 0 &&
        nsp_context_valid(&first.context) && choice % 6 != 3)
        MUST(same_context(&again.context, &first.context));
    check_bounds(&first, choice / 6);
    try_environment(bytes + (size != 0), size - (size != 0), &first);
    split_list();
    MUST(nsp_extract(&again, &from) == status);
    MUST(same_context(&again.context, &first.context) && again.context.flags == first.context.flags);
    headers_clear(&request);
    headers_clear(&sent);
    return 0;
}
