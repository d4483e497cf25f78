// SPDX-License-Identifier: Apache-2.0
#include "curl/fields.h"

#include <string.h>
#include <strings.h>

#include <nanospan/propagation.h>

// True if a line of a list is this field: "name: value", "name:" (which removes libcurl's own field) or
// "name;".
static bool is_field(const char *line, const char *name, size_t length)
{
    return strncasecmp(line, name, length) == 0 && (line[length] == ':' || line[length] == ';');
}

static bool set_field(void *fields, const char *name, const char *value, size_t length)
{
    nsp_curl_call *call = fields;
    size_t name_length = strlen(name);
    size_t size = name_length + 2 + length + 1;
    unsigned at = 0; // a field that is set again gets a new line in the same place
    while (at < call->field_count && !is_field(call->fields[at].data, name, name_length))
        at++;
    if (at == NSP_CURL_FIELDS_MAX || size > NSP_CURL_TEXT_MAX - call->text_used)
        return false;
    char *line = call->text + call->text_used;
    memcpy(line, name, name_length);
    memcpy(line + name_length, ": ", 2);
    memcpy(line + name_length + 2, value, length);
    line[size - 1] = '\0';
    call->text_used += size;
    call->fields[at].data = line;
    if (at == call->field_count)
        call->field_count++;
    return true;
}

static bool is_ours(const nsp_curl_call *call, const char *line)
{
    for (unsigned i = 0; i < call->field_count; i++)
        if (is_field(line, call->fields[i].data, strcspn(call->fields[i].data, ":")))
            return true;
    return false;
}

// The part of the application's list that follows our fields: the list itself, unless it has fields that we
// send; those must not be sent twice, so the others are copied. If there is no memory for the copy, it is the
// whole list.
static struct curl_slist *rest_of(nsp_curl_call *call)
{
    const struct curl_slist *ours = call->headers;
    while (ours != NULL && !is_ours(call, ours->data))
        ours = ours->next;
    if (ours == NULL)
        return call->headers;
    for (const struct curl_slist *it = call->headers; it != NULL; it = it->next) {
        struct curl_slist *copy =
            is_ours(call, it->data) ? call->copy : curl_slist_append(call->copy, it->data);
        if (copy == NULL && !is_ours(call, it->data)) {
            curl_slist_free_all(call->copy);
            call->copy = NULL;
            return call->headers;
        }
        call->copy = copy;
    }
    return call->copy;
}

void nsp__fields_send(nsp_curl_call *call)
{
    const nsp_carrier carrier = {call, NULL, set_field};
    nsp_inject_span(call->span, &carrier); // fields that do not fit are not sent
    struct curl_slist *first = rest_of(call);
    for (unsigned i = call->field_count; i-- > 0;) {
        call->fields[i].next = first;
        first = &call->fields[i];
    }
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, first);
}

void nsp__fields_restore(nsp_curl_call *call)
{
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    curl_slist_free_all(call->copy);
    call->copy = NULL;
}
