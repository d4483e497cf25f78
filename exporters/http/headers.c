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

// One k=v. name and line have room for all of it.
static nsp_status append_pair(struct curl_slist **list, const char *begin, const char *end, char *name,
                              char *line, char *detail, size_t size)
{
    const char *equals = memchr(begin, '=', (size_t)(end - begin));
    if (!equals) {
        snprintf(detail, size, "headers: \"%.*s\" is no NAME=VALUE",
                 (int)(end - begin < 32 ? end - begin : 32), begin);
        return NSP_ERR_CONFIG;
    }
    const char *name_end = equals, *value = equals + 1;
    trim(&begin, &name_end);
    trim(&value, &end);
    size_t name_length = decode(name, begin, name_end);
    if (!is_token(name, name_length)) {
        snprintf(detail, size, "headers: a name is empty or has characters that HTTP does not allow");
        return NSP_ERR_CONFIG;
    }
    if (is_reserved(name)) {
        snprintf(detail, size, "headers: %.64s is set by nanospan itself", name);
        return NSP_ERR_CONFIG;
    }
    memcpy(line, name, name_length);
    memcpy(line + name_length, ": ", 3);
    size_t value_length = decode(line + name_length + 2, value, end);
    if (!is_value(line + name_length + 2, value_length)) {
        snprintf(detail, size, "headers: the value of %.64s has characters that HTTP does not allow", name);
        return NSP_ERR_CONFIG;
    }
    if (value_length == 0)
        memcpy(line + name_length, ";", 2); // curl's way to say: present, but empty
    if (nsp__http_headers_add(list, line))
        return NSP_OK;
    snprintf(detail, size, "headers: out of memory");
    return NSP_ERR_NO_MEMORY;
}

nsp_status nsp__http_headers_append(struct curl_slist **list, const char *text, char *detail, size_t size)
{
    if (!text || !*text)
        return NSP_OK;
    size_t room = strlen(text) + 4;
    char *name = malloc(room), *line = malloc(room);
    nsp_status status = name && line ? NSP_OK : NSP_ERR_NO_MEMORY;
    if (status != NSP_OK)
        snprintf(detail, size, "headers: out of memory");
    for (const char *begin = text; status == NSP_OK && begin;) {
        const char *comma = strchr(begin, ','), *pair = begin, *end = comma ? comma : begin + strlen(begin);
        begin = comma ? comma + 1 : NULL;
        trim(&pair, &end);
        if (pair < end)
            status = append_pair(list, pair, end, name, line, detail, size);
    }
    free(name);
    free(line);
    return status;
}
