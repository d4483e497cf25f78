// SPDX-License-Identifier: Apache-2.0
#include "http/url.h"

#include <string.h>
#include <strings.h>

#include "common/percent.h"

// Parameters whose values grant access: the signatures and keys of cloud storage, which the conventions name,
// and the names that web and exchange interfaces commonly use. Upper and lower case count as equal.
static const char *const secrets[] = {
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
    "X-Amz-Signature",
    "X-Amz-Credential",
    "token",
    "access_token",
    "id_token",
    "refresh_token",
    "api_key",
    "apikey",
    "api-key",
    "client_secret",
    "secret",
    "password",
    "passwd",
    "X-Amz-Security-Token",
    "auth",
    "authorization",
    "listenKey",
};

static const char REDACTED[] = "REDACTED";

// A buffer; what does not fit is cut off.
typedef struct output {
    char *text;
    size_t size, length;
} output;

static void put(output *to, const char *text, size_t length)
{
    size_t room = to->size - 1 - to->length;
    if (length > room)
        length = room;
    if (length != 0)
        memcpy(to->text + to->length, text, length);
    to->length += length;
    to->text[to->length] = '\0';
}

// Is the name, in which any character may be a percent escape, equal to the text?
static bool reads(const char *name, size_t length, const char *text)
{
    size_t at = 0;
    for (; *text != '\0' && at < length; text++) {
        uint8_t byte;
        at += nsp__percent_byte(name + at, length - at, &byte);
        const char c = (char)byte;
        if (strncasecmp(&c, text, 1) != 0)
            return false;
    }
    return *text == '\0' && at == length;
}

static bool is_secret(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (reads(name, length, secrets[i]))
            return true;
    return false;
}

static size_t length_until(const char *text, size_t length, const char *stops)
{
    size_t n = 0;
    while (n < length && strchr(stops, text[n]) == NULL)
        n++;
    return n;
}

// Writes the query without the fragment, which is never sent and may hold a token.
static void put_query(output *to, const char *query, size_t length)
{
    size_t visible = length_until(query, length, "#");
    for (size_t at = 0; at < visible;) {
        size_t whole = length_until(query + at, visible - at, "&;");
        size_t name = length_until(query + at, whole, "=");
        if (name < whole && is_secret(query + at, name)) {
            put(to, query + at, name + 1);
            put(to, REDACTED, sizeof REDACTED - 1);
        } else {
            put(to, query + at, whole);
        }
        at += whole;
        if (at < visible)
            put(to, query + at++, 1);
    }
}

size_t nsp__redact_query(char *out, size_t size, const char *query, size_t length)
{
    output to = {out, size, 0};
    out[0] = '\0';
    put_query(&to, query, length);
    return to.length;
}

static uint32_t number_of(const char *text, size_t length)
{
    uint32_t number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || number > 65535)
            return 0;
        number = number * 10 + (uint32_t)(text[i] - '0');
    }
    return number <= 65535 ? number : 0;
}

nsp__slice nsp__host_split(nsp__slice text, uint32_t *port)
{
    nsp__slice host = text;
    *port = 0;
    if (text.length != 0 && text.text[0] == '[') {
        host = (nsp__slice){text.text + 1, length_until(text.text + 1, text.length - 1, "]")};
        size_t used = host.length + 2;
        if (used < text.length && text.text[used] == ':')
            *port = number_of(text.text + used + 1, text.length - used - 1);
        return host;
    }
    host.length = length_until(text.text, text.length, ":");
    if (host.length < text.length && memrchr(text.text, ':', text.length) != text.text + host.length)
        return text; // an IPv6 address without brackets; some proxies write it like this
    if (host.length < text.length)
        *port = number_of(text.text + host.length + 1, text.length - host.length - 1);
    return host;
}

void nsp__url_split(nsp__url *out, const char *text)
{
    memset(out, 0, sizeof *out);
    const char *colon = strstr(text, "://");
    if (colon != NULL && (size_t)(colon - text) == strcspn(text, ":/?#")) {
        out->scheme = (nsp__slice){text, (size_t)(colon - text)};
        text = colon + 3;
    }
    nsp__slice authority = {text, strcspn(text, "/?#")};
    out->path = (nsp__slice){text + authority.length, strlen(text + authority.length)};
    const char *at = memrchr(authority.text, '@', authority.length);
    if (at != NULL) {
        out->credentials = (nsp__slice){authority.text, (size_t)(at - authority.text)};
        authority.length -= out->credentials.length + 1;
        authority.text = at + 1;
    }
    out->authority = authority;
    out->host = nsp__host_split(authority, &out->port);
}

uint32_t nsp__default_port(nsp__slice scheme)
{
    bool tls = (scheme.length == 5 && strncasecmp(scheme.text, "https", 5) == 0) ||
               (scheme.length == 3 && strncasecmp(scheme.text, "wss", 3) == 0);
    return tls ? 443 : 80;
}

size_t nsp__redact_url(char *out, size_t size, const nsp__url *url)
{
    output to = {out, size, 0};
    out[0] = '\0';
    if (url->scheme.length != 0)
        put(&to, url->scheme.text, url->scheme.length);
    else
        put(&to, "http", 4);
    put(&to, "://", 3);
    if (url->credentials.text != NULL) {
        bool password = memchr(url->credentials.text, ':', url->credentials.length) != NULL;
        put(&to, REDACTED, sizeof REDACTED - 1);
        if (password) {
            put(&to, ":", 1);
            put(&to, REDACTED, sizeof REDACTED - 1);
        }
        put(&to, "@", 1);
    }
    put(&to, url->authority.text, url->authority.length);
    size_t path = length_until(url->path.text, url->path.length, "?#");
    put(&to, url->path.text, path);
    if (path < url->path.length && url->path.text[path] == '?') {
        put(&to, "?", 1);
        put_query(&to, url->path.text + path + 1, url->path.length - path - 1);
    }
    return to.length;
}
