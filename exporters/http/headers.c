// SPDX-License-Identifier: Apache-2.0
#include "http/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/percent.h"
#include "common/slice.h"

// Ours to set: they describe the body that is sent.
static const char *const reserved[] = {"content-type", "content-encoding", "content-length",
                                       "transfer-encoding"};

static void trim(const char **begin, const char **end)
{
    nsp__slice trimmed = nsp__slice_trim((nsp__slice){*begin, (size_t)(*end - *begin)});
    *begin = trimmed.text;
    *end = trimmed.text + trimmed.length;
}

static bool is_token(const char *text, size_t length)
{
    static const char allowed[] =
        "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    return length && strspn(text, allowed) == length;
}

// No line break above all: it would be a header, or a request, of somebody else's.
static bool is_value(const char *text, size_t length)
{
    for (size_t i = 0; i < length; ++i)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; ++i)
        if (strcasecmp(name, reserved[i]) == 0)
            return true;
    return false;
}

bool nsp__http_headers_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

nsp_status nsp__http_headers_add_pair(struct curl_slist **list, const char *name, const char *value,
                                      char *detail, size_t size)
{
    char *line = NULL;
    // A name alone would take a header away; a semicolon says: present, but empty.
    int length = *value ? asprintf(&line, "%s: %s", name, value) : asprintf(&line, "%s;", name);
    bool added = length >= 0 && nsp__http_headers_add(list, line);
    if (length >= 0)
        free(line);
    if (added)
        return NSP_OK;
    snprintf(detail, size, "headers: out of memory");
    return NSP_ERR_NO_MEMORY;
}

// One k=v. name and value have room for all of it.
static nsp_status read_pair(const char *begin, const char *end, char *name, char *value, nsp__header_fn take,
                            void *context, char *detail, size_t size)
{
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    if (!equals) {
        snprintf(detail, size, "headers: \"%.*s\" is no NAME=VALUE",
                 (int)(end - begin < 32 ? end - begin : 32), begin);
        return NSP_ERR_CONFIG;
    }
    const char *name_end = equals, *value_begin = equals + 1;
    trim(&begin, &name_end);
    trim(&value_begin, &end);
    if (!is_token(name, nsp__percent_decode(name, begin, (size_t)(name_end - begin)))) {
        snprintf(detail, size, "headers: a name is empty or has characters that HTTP does not allow");
        return NSP_ERR_CONFIG;
    }
    return take(context, name, value, nsp__percent_decode(value, value_begin, (size_t)(end - value_begin)),
                detail, size);
}

nsp_status nsp__http_headers_read(const char *text, nsp__header_fn take, void *context, char *detail,
                                  size_t size)
{
    if (!text || !*text)
        return NSP_OK;
    size_t room = strlen(text) + 4;
    char *name = malloc(room), *value = malloc(room);
    nsp_status status = name && value ? NSP_OK : NSP_ERR_NO_MEMORY;
    if (status != NSP_OK)
        snprintf(detail, size, "headers: out of memory");
    for (const char *begin = text; status == NSP_OK && begin;) {
        const char *comma = strchr(begin, ','), *pair = begin, *end = comma ? comma : begin + strlen(begin);
        begin = comma ? comma + 1 : NULL;
        trim(&pair, &end);
        if (pair < end)
            status = read_pair(pair, end, name, value, take, context, detail, size);
    }
    free(name);
    free(value);
    return status;
}

static nsp_status append(void *context, char *name, char *value, size_t length, char *detail, size_t size)
{
    if (is_reserved(name)) {
        snprintf(detail, size, "headers: %.64s is set by nanospan itself", name);
        return NSP_ERR_CONFIG;
    }
    if (!is_value(value, length)) {
        snprintf(detail, size, "headers: the value of %.64s has characters that HTTP does not allow", name);
        return NSP_ERR_CONFIG;
    }
    return nsp__http_headers_add_pair(context, name, value, detail, size);
}

nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size)
{
    return nsp__http_headers_read(text, append, list, detail, size);
}
