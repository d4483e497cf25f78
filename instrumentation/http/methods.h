// SPDX-License-Identifier: Apache-2.0
//
// The request methods that spans may be named after: those of RFC 9110 and PATCH, or else the comma-separated
// list in OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS, which is read at the first use. All other methods share
// one entry: methods that a client invents must not fill the table of names.
#ifndef NSP_INSTRUMENTATION_METHODS_H
#define NSP_INSTRUMENTATION_METHODS_H

#include <nanospan/nanospan.h>

enum { NSP__METHODS_MAX = 16 };

typedef struct nsp__method {
    unsigned index; // 0 to NSP__METHODS_MAX; NSP__METHODS_MAX is the entry for all unknown methods
    bool known;
    const char *text; // for http.request.method; "_OTHER" for unknown methods
    const char *word; // for span names; "HTTP" for unknown methods
    nsp_name name;    // of that word
} nsp__method;

// Never NULL. Case-sensitive. Thread safe.
const nsp__method *nsp__method_of(const char *text);

// The method with this index: known methods come first, the entry for unknown ones is at NSP__METHODS_MAX.
// NULL for all other indices.
const nsp__method *nsp__method_at(unsigned index);

// Sets http.request.method, and http.request.method_original if the method is unknown.
void nsp__method_set(nsp_span *span, const nsp__method *method, const char *original);

#endif
