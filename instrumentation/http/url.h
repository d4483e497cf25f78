// SPDX-License-Identifier: Apache-2.0
//
// URLs in the form in which spans may show them, and the parts of URLs. Any text is accepted; nothing
// allocates.
#ifndef NSP_INSTRUMENTATION_URL_H
#define NSP_INSTRUMENTATION_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"

typedef struct nsp__url {
    nsp__slice scheme;      // empty if the URL has none
    nsp__slice credentials; // before the @
    nsp__slice authority;   // host and port as written
    nsp__slice host;        // an IPv6 address without its brackets
    uint32_t port;          // 0 if there is none
    nsp__slice path;        // and everything after it: query, fragment
} nsp__url;

void nsp__url_split(nsp__url *out, const char *text);

// Splits "host", "host:port" or "[::1]:port": returns the host without brackets; the port is 0 if there is
// none.
nsp__slice nsp__host_split(nsp__slice text, uint32_t *port);

// 443 for https and wss, 80 for all others.
uint32_t nsp__default_port(nsp__slice scheme);

// Writes a query (without its question mark), with the values of secret parameters replaced by REDACTED. A #
// and what follows it are left out. The output is zero terminated and cut at size - 1 bytes. Returns the
// length.
size_t nsp__redact_query(char *out, size_t size, const char *query, size_t length);

// Writes a URL with a scheme ("http" where it has none), with credentials and the values of secret parameters
// replaced by REDACTED, and without its fragment. Zero terminated, cut at size - 1 bytes. Returns the length.
size_t nsp__redact_url(char *out, size_t size, const nsp__url *url);

#endif
