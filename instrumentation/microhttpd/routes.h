// SPDX-License-Identifier: Apache-2.0
//
// A copy of the routes, with the names of their spans interned.
#ifndef NSP_INSTRUMENTATION_MICROHTTPD_ROUTES_H
#define NSP_INSTRUMENTATION_MICROHTTPD_ROUTES_H

#include "http/methods.h"
#include <nanospan/microhttpd.h>

typedef struct nsp__route {
    char *pattern;
    char *method;                         // NULL: every method
    nsp_name names[NSP__METHODS_MAX + 1]; // by the method's index; 0: the route does not have this method
} nsp__route;

typedef struct nsp__routes {
    nsp__route *routes;
    size_t count;
} nsp__routes;

// False: out of memory. Must be released in either case.
bool nsp__routes_copy(nsp__routes *out, const nsp_mhd_route *routes, size_t count);
void nsp__routes_release(nsp__routes *routes);

// The first route that matches this method and path (with percent escapes decoded); NULL if there is none.
const nsp__route *nsp__routes_find(const nsp__routes *routes, const nsp__method *method, const char *original,
                                   const char *path);

#endif
