// SPDX-License-Identifier: Apache-2.0
//
// The one grammar of endpoints:
//   http://[user@]host[:port][/path][?query]   https://...
//   [user@]host[:port][/path][?query]
//   unix:///absolute/path   unix:path   unix-abstract:name
// The user may be user:password, in which percent escapes stand for anything but control characters.
// White space and quotes around it are ignored. A host is a name, an IPv4 address, or an IPv6 address in
// brackets, which may have a zone. A name consists of labels: letters, digits, underscores (container
// networks use them), bytes beyond ASCII, and hyphens except at the ends. "http://host:/" means the scheme's
// port, as RFC 3986 says; without a scheme a colon must be followed by a number.
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

// Pieces of the text that was read. The text of a piece that is missing is NULL.
typedef struct nsp__endpoint {
    nsp__endpoint_form form;
    nsp__slice user;   // may contain a password
    nsp__slice host;   // an IPv6 address with its brackets
    unsigned port;     // 0: not given
    nsp__slice path;   // begins with "/"
    nsp__slice query;  // after the "?"
    nsp__slice socket; // its path or name; only in the two unix forms
} nsp__endpoint;

// Takes an endpoint apart. Returns NULL, or a phrase that says why it cannot be used ("it names no host"), in
// static storage. Thread and signal safe.
const char *nsp__endpoint_read(nsp__endpoint *out, const char *text);

// True if the path ends in /v1/traces, apart from slashes after that. The text is then the complete URL of
// OTLP's requests.
bool nsp__endpoint_is_whole(const nsp__endpoint *endpoint);

#endif
