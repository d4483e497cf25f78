// SPDX-License-Identifier: Apache-2.0
//
// The request methods that spans may be named after: those of RFC 9110 and PATCH, or the comma-separated ones of
// OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS, read at the first use. Every other method is one and the same: a client's
// inventions must not become names.
#ifndef NSP_INSTRUMENTATION_METHODS_H
#define NSP_INSTRUMENTATION_METHODS_H

#include <nanospan/nanospan.h>

enum { NSP__METHODS_MAX = 16 };

typedef struct nsp__method {
    unsigned index; // 0 to NSP__METHODS_MAX; that one is the one of all unknown methods
    bool known;
    const char *text; // of http.request.method; "_OTHER" for unknown ones
    const char *word; // of span names; "HTTP" for unknown ones
    nsp_name name;    // that word
} nsp__method;

// Never NULL. Case counts. Thread safe.
const nsp__method *nsp__method_of(const char *text);

// The index-th method, the unknown one last; NULL after that and for indices in between.
const nsp__method *nsp__method_at(unsigned index);

// Sets http.request.method, and the original one if that is unknown.
void nsp__method_set(nsp_span *span, const nsp__method *method, const char *original);

#endif
