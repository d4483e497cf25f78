// SPDX-License-Identifier: Apache-2.0
//
// A carrier over the environment of processes: this process's own for reading, a child's for writing. setenv
// cannot be used to write it: another thread may be reading, and each child may have a context of its own.
#include <nanospan/propagation.h>

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/log.h"
#include "propagation/formats.h"

static const char *const known[] = {NSP__TRACEPARENT, NSP__TRACESTATE, NSP__BAGGAGE,    NSP__B3,
                                    NSP__B3_TRACE_ID, NSP__B3_SPAN_ID, NSP__B3_SAMPLED, NSP__B3_FLAGS};

enum {
    FIELDS = sizeof known / sizeof known[0],
    // The most that all of them need: a list of baggage, a tracestate, and ids.
    TEXT_SIZE = NSP_BAGGAGE_MAX + NSP_TRACESTATE_MAX + 512
};

// ---- names ----

// Names of variables consist of upper-case letters, digits and underscores, and do not begin with a digit.
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char as_in_a_variable(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return (c >= 'A' && c <= 'Z') || is_digit(c) ? c : '_';
}

// The value, if the entry is the variable that this field becomes; otherwise NULL.
static char *value_of(char *entry, const char *name)
{
    if (is_digit(*name) && *entry++ != '_')
        return NULL;
    for (; *name != '\0'; name++, entry++)
        if (*entry != as_in_a_variable(*name))
            return NULL;
    return *entry == '=' ? entry + 1 : NULL;
}

static bool is_known(char *entry)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (value_of(entry, known[i]) != NULL)
            return true;
    return false;
}

// ---- reading ----

bool nsp_environment_get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    const nsp_environment *environment = fields;
    // The environment of a set-user-id program was set by somebody with fewer rights.
    if (index != 0 || (environment == NULL && getauxval(AT_SECURE) != 0))
        return false;
    char **entries = environment != NULL ? environment->entries : environ;
    for (; entries != NULL && *entries != NULL; entries++) {
        const char *text = value_of(*entries, name);
        if (text != NULL) {
            *value = text;
            *length = strlen(text);
            return true;
        }
    }
    return false;
}

// ---- writing ----

nsp_status nsp_environment_copy(nsp_environment *out, char *const *entries)
{
    size_t count = 0, bytes = 0;
    memset(out, 0, sizeof *out);
    if (entries == NULL)
        entries = environ;
    while (entries != NULL && entries[count] != NULL)
        bytes += strlen(entries[count++]) + 1;
    size_t pointers = (count + FIELDS + 1) * sizeof(char *);
    char *memory = malloc(pointers + bytes + TEXT_SIZE);
    if (memory == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a copy of the environment (%zu bytes)",
                         pointers + bytes + TEXT_SIZE);
    out->entries = (char **)(void *)memory;
    out->room = count + FIELDS;
    char *to = memory + pointers;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(entries[i]) + 1;
        out->entries[i] = memcpy(to, entries[i], size);
        to += size;
    }
    out->entries[count] = NULL;
    out->count = count;
    out->text = to;
    return NSP_OK;
}

void nsp_environment_free(nsp_environment *environment)
{
    free(environment->entries);
    memset(environment, 0, sizeof *environment);
}

static bool is_written(const nsp_environment *environment, const char *entry)
{
    return entry >= environment->text && entry < environment->text + environment->text_used;
}

// Removes an entry from the list, and its text from the text buffer if it was written here.
static void take_out(nsp_environment *environment, size_t index)
{
    char *entry = environment->entries[index];
    if (is_written(environment, entry)) {
        size_t size = strlen(entry) + 1;
        char *end = environment->text + environment->text_used;
        memmove(entry, entry + size, (size_t)(end - entry) - size);
        for (size_t i = 0; i < environment->count; i++)
            if (environment->entries[i] > entry && environment->entries[i] < end)
                environment->entries[i] -= size;
        environment->text_used -= size;
    }
    memmove(&environment->entries[index], &environment->entries[index + 1],
            (environment->count - index) * sizeof(char *)); // including the NULL
    environment->count--;
}

// The values that this process was given belong to another span. The first field that is written removes all
// of them, since a tracestate does not fit another traceparent.
static void take_out_inherited(nsp_environment *environment)
{
    if (environment->text_used != 0)
        return;
    for (size_t i = environment->count; i-- > 0;)
        if (is_known(environment->entries[i]))
            take_out(environment, i);
}

// The bytes of text that would be free if the variable were removed, and whether the list has a place for it.
static size_t text_room(const nsp_environment *environment, const char *name)
{
    size_t left = TEXT_SIZE - environment->text_used;
    bool place = environment->count < environment->room;
    for (size_t i = 0; i < environment->count; i++)
        if (value_of(environment->entries[i], name) != NULL) {
            place = true;
            if (is_written(environment, environment->entries[i]))
                left += strlen(environment->entries[i]) + 1;
        }
    return place ? left : 0;
}

bool nsp_environment_set(void *fields, const char *name, const char *value, size_t length)
{
    nsp_environment *environment = fields;
    size_t digit = is_digit(*name), size = digit + strlen(name) + 1 + length + 1;
    if (environment == NULL || environment->entries == NULL || memchr(value, '\0', length) != NULL)
        return false;
    take_out_inherited(environment);
    if (size > text_room(environment, name))
        return false;
    for (size_t i = environment->count; i-- > 0;)
        if (value_of(environment->entries[i], name) != NULL)
            take_out(environment, i);
    char *to = environment->text + environment->text_used;
    environment->entries[environment->count++] = to;
    environment->entries[environment->count] = NULL;
    environment->text_used += size;
    if (digit)
        *to++ = '_';
    while (*name != '\0')
        *to++ = as_in_a_variable(*name++);
    *to++ = '=';
    memcpy(to, value, length);
    to[length] = '\0';
    return true;
}
