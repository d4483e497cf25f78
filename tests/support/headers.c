// SPDX-License-Identifier: Apache-2.0
#include "support/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void headers_clear(headers *request)
{
    for (size_t i = 0; i < request->count; i++)
        free(request->fields[i].value);
    memset(request, 0, sizeof *request);
    request->room = HEADERS_MAX;
}

static void keep(headers *request, size_t index, const char *name, const char *value, size_t length)
{
    snprintf(request->fields[index].name, sizeof request->fields[index].name, "%s", name);
    char *copy = malloc(length != 0 ? length : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, value, length);
    request->fields[index].value = copy;
    request->fields[index].length = length;
}

void headers_addn(headers *request, const char *name, const char *value, size_t length)
{
    if (request->count == HEADERS_MAX)
        abort();
    keep(request, request->count++, name, value, length);
}

void headers_add(headers *request, const char *name, const char *value)
{
    headers_addn(request, name, value, strlen(value));
}

void headers_read(headers *request, const char *lines)
{
    headers_clear(request);
    while (*lines != '\0') {
        char name[32];
        const char *colon = strstr(lines, ": "), *end = strchrnul(lines, '\n');
        if (colon == NULL || colon > end || (size_t)(colon - lines) >= sizeof name)
            abort();
        memcpy(name, lines, (size_t)(colon - lines));
        name[colon - lines] = '\0';
        headers_addn(request, name, colon + 2, (size_t)(end - colon - 2));
        lines = *end == '\n' ? end + 1 : end;
    }
}

const char *headers_value(const headers *request, const char *name)
{
    static char texts[4][NSP_BAGGAGE_MAX + 1];
    static unsigned turn;
    for (size_t i = 0; i < request->count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0) {
            char *text = texts[turn++ % 4];
            if (request->fields[i].length > NSP_BAGGAGE_MAX)
                abort();
            memcpy(text, request->fields[i].value, request->fields[i].length);
            text[request->fields[i].length] = '\0';
            return text;
        }
    return NULL;
}

static bool get(void *fields, const char *name, size_t index, const char **value, size_t *length)
{
    headers *request = (headers *)fields;
    for (size_t i = 0; i < request->count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0 && index-- == 0) {
            *value = request->fields[i].value;
            *length = request->fields[i].length;
            return true;
        }
    return false;
}

static bool set(void *fields, const char *name, const char *value, size_t length)
{
    headers *request = (headers *)fields;
    // Whatever came in, what injection writes is printable ASCII under a lower-case name.
    for (size_t i = 0; i < length; i++)
        if (value[i] < 0x20 || value[i] > 0x7e)
            abort();
    for (const char *c = name; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            abort();
    if (length == 0 || value[length] != '\0')
        abort();
    for (size_t i = 0; i < request->count; i++)
        if (strcasecmp(request->fields[i].name, name) == 0) {
            free(request->fields[i].value);
            keep(request, i, name, value, length);
            return true;
        }
    if (request->room == 0 || request->count == HEADERS_MAX)
        return false;
    request->room--;
    headers_addn(request, name, value, length);
    return true;
}

nsp_carrier headers_carrier(headers *request)
{
    return (nsp_carrier){request, get, set};
}
