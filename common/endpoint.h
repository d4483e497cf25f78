// SPDX-License-Identifier: Apache-2.0
//
// The one grammar of endpoints:
//   http://[user@]host[:port][/path][?query]   https://...
//   [user@]host[:port][/path][?query]
//   unix:///absolute/path   unix:path   unix-abstract:name
// White space and quotes around it are left out. A host is a name of labels (letters, digits, hyphens within,
// underscores as container networks have them, bytes beyond ASCII), an IPv4 address, or an IPv6 address in
// brackets, which may have a zone. "http://host:/" has the scheme's port, as RFC 3986 says; without a scheme
// a colon needs a number.
#ifndef NSP_COMMON_ENDPOINT_H
#define NSP_COMMON_ENDPOINT_H

#include "common/slice.h"

typedef enum nsp__endpoint_form {
    NSP__ENDPOINT_NO_SCHEME,
    NSP__ENDPOINT_HTTP,
    NSP__ENDPOINT_HTTPS,
    NSP__ENDPOINT_UNIX,
    NSP__ENDPOINT_UNIX_ABSTRACT
} nsp__endpoint_form;

// Pieces of the text that was read. What is not there has no text.
typedef struct nsp__endpoint {
    nsp__endpoint_form form;
    nsp__slice user;   // may have a password in it
    nsp__slice host;   // an IPv6 address with its brackets
    unsigned port;     // 0: not given
    nsp__slice path;   // begins with "/"
    nsp__slice query;  // behind the "?"
    nsp__slice socket; // of the two unix forms alone: its path or name
} nsp__endpoint;

// Takes an endpoint apart. NULL, or why it cannot be used, as a sentence's end ("it names no host"). Thread
// and signal safe.
const char *nsp__endpoint_read(nsp__endpoint *out, const char *text);

// Does the path end in /v1/traces, slashes behind that aside? Then the whole URL of OTLP's requests was
// given.
bool nsp__endpoint_is_whole(const nsp__endpoint *endpoint);

#endif
