// SPDX-License-Identifier: Apache-2.0
#include "http/headers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Ours to set: they describe the body that is sent.
static const char *const reserved[] = {"content-type", "content-encoding", "content-length",
                                       "transfer-encoding"};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(const char **begin, const char **end)
{
    while (*begin < *end && is_blank(**begin))
        ++*begin;
    while (*end > *begin && is_blank((*end)[-1]))
        --*end;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Writes at most end - begin bytes and a zero. A percent sign that starts no escape stands for itself.
static size_t decode(char *out, const char *begin, const char *end)
{
    size_t length = 0;
    for (; begin < end; ++begin) {
        int high = end - begin > 2 && *begin == '%' ? hex_digit(begin[1]) : -1;
        int low = high >= 0 ? hex_digit(begin[2]) : -1;
        if (low >= 0)
            begin += 2;
        out[length++] = low >= 0 ? (char)(high * 16 + low) : *begin;
    }
    out[length] = 0;
    return length;
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
    if (!is_token(name, decode(name, begin, name_end))) {
        snprintf(detail, size, "headers: a name is empty or has characters that HTTP does not allow");
        return NSP_ERR_CONFIG;
    }
    return take(context, name, value, decode(value, value_begin, end), detail, size);
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
