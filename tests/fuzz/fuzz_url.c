// SPDX-License-Identifier: Apache-2.0
//
// Input: texts that name the origin or destination of a request: Forwarded and similar headers, hosts, URLs.
// Slices lie within the text. The shown form of a URL has no password, and showing it again changes nothing.
//
// Parsers: instrumentation/http/url.c instrumentation/microhttpd/forwarded.c
#include "fuzz.h"

#include "http/url.h"
#include "microhttpd/forwarded.h"

static void inside(const char *text, nsp__slice part)
{
    MUST(part.length == 0 || (part.text >= text && part.text + part.length <= text + strlen(text)));
}

static void check_url(const char *text)
{
    char shown[256], again[256];
    nsp__url url, second;
    nsp__url_split(&url, text);
    const nsp__slice parts[] = {url.scheme, url.credentials, url.authority, url.host, url.path};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        inside(text, parts[i]);
    MUST(url.port <= 65535);
    uint32_t usual = nsp__default_port(url.scheme);
    MUST(usual == 80 || (usual == 443 && url.scheme.length != 4));
    size_t length = nsp__redact_url(shown, sizeof shown, &url);
    MUST(length < sizeof shown && strlen(shown) == length);
    nsp__url_split(&second, shown);
    nsp__redact_url(again, sizeof again, &second);
    if (length < sizeof shown - 32)
        MUST(strcmp(again, shown) == 0);
    char query[64];
    MUST(nsp__redact_query(query, sizeof query, text, strlen(text)) == strlen(query));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const parameters[] = {"for", "host", "proto", "by"};
    char *text = fuzz_text(bytes, size);
    for (size_t i = 0; i < 4; i++)
        inside(text, nsp__forwarded(text, parameters[i]));
    nsp__slice first = nsp__first_of(text);
    inside(text, first);
    MUST(first.length == 0 || memchr(first.text, ',', first.length) == NULL);
    uint32_t port = 0;
    nsp__slice host = nsp__host_split((nsp__slice){text, strlen(text)}, &port);
    inside(text, host);
    MUST(port <= 65535);
    check_url(text);
    MUST(nsp__forwarded(NULL, "for").text == NULL && nsp__first_of(NULL).text == NULL);
    free(text);
    return 0;
}
