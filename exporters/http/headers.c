// SPDX-License-Identifier: Apache-2.0
#include "http/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/percent.h"

static nsp_status out_of_memory(char *detail, size_t size)
{
    snprintf(detail, size, "headers: out of memory");
    return NSP_ERR_NO_MEMORY;
}

bool nsp__http_headers_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

nsp_status nsp__http_headers_add_pair(struct curl_slist **list, const char *name, const char *value,
                                      char *detail, size_t size)
{
    char *line = NULL;
    // To curl a name with nothing but white space behind it means to remove the header; a semicolon means
    // present, but empty.
    bool empty = value[strspn(value, " \t")] == 0;
    int length = !empty ? asprintf(&line, "%s: %s", name, value) : asprintf(&line, "%s;", name);
    bool added = length >= 0 && nsp__http_headers_add(list, line);
    if (length >= 0)
        free(line);
    return added ? NSP_OK : out_of_memory(detail, size);
}

nsp_status nsp__http_headers_read(const char *text, nsp__header_use use, nsp__header_fn take, void *context,
                                  char *detail, size_t size)
{
    if (text == NULL || !*text)
        return NSP_OK;
    size_t room = strlen(text) + 1;
    char *name = malloc(room), *value = malloc(room);
    nsp_status status = name != NULL && value != NULL ? NSP_OK : out_of_memory(detail, size);
    nsp__pairs entries = nsp__pairs_of(text);
    nsp__key_value entry;
    while (status == NSP_OK && nsp__pairs_next(&entries, &entry)) {
        if (nsp__header_fault(&entry, &use) != NULL)
            continue;
        memcpy(name, entry.key.text, entry.key.length);
        name[entry.key.length] = 0;
        size_t length = nsp__percent_decode(value, entry.value.text, entry.value.length);
        status = take(context, name, value, length, detail, size);
    }
    free(name);
    free(value);
    return status;
}

static nsp_status append(void *context, char *name, char *value, size_t length, char *detail, size_t size)
{
    (void)length;
    return nsp__http_headers_add_pair(context, name, value, detail, size);
}

nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size)
{
    return nsp__http_headers_read(text, NSP__HEADER_HTTP, append, list, detail, size);
}
