// SPDX-License-Identifier: Apache-2.0
#include "microhttpd/routes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nsp_name name_of(const nsp_mhd_route *route, const nsp__method *method)
{
    if (route->span_name != NULL)
        return nsp_intern(route->span_name, strlen(route->span_name));
    char text[NSP_NAME_LENGTH_MAX + 1];
    int length = snprintf(text, sizeof text, "%s %s", method->word, route->pattern);
    return nsp_intern(text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
}

static bool takes(const nsp_mhd_route *route, const nsp__method *method)
{
    if (route->method == NULL)
        return true;
    const nsp__method *own = nsp__method_of(route->method);
    return own == method || (strcmp(own->text, "GET") == 0 && strcmp(method->text, "HEAD") == 0);
}

static bool copy(nsp__route *out, const nsp_mhd_route *route)
{
    out->pattern = strdup(route->pattern);
    out->method = route->method != NULL ? strdup(route->method) : NULL;
    for (unsigned i = 0; i <= NSP__METHODS_MAX; i++) {
        const nsp__method *method = nsp__method_at(i);
        if (method != NULL && takes(route, method))
            out->names[i] = name_of(route, method);
    }
    return out->pattern != NULL && (route->method == NULL || out->method != NULL);
}

bool nsp__routes_copy(nsp__routes *out, const nsp_mhd_route *routes, size_t count)
{
    *out = (nsp__routes){NULL, 0};
    if (count == 0)
        return true;
    out->routes = calloc(count, sizeof out->routes[0]);
    if (out->routes == NULL)
        return false;
    for (; out->count < count; out->count++)
        if (!copy(&out->routes[out->count], &routes[out->count])) {
            out->count++;
            return false;
        }
    return true;
}

void nsp__routes_release(nsp__routes *routes)
{
    for (size_t i = 0; i < routes->count; i++) {
        free(routes->routes[i].pattern);
        free(routes->routes[i].method);
    }
    free(routes->routes);
    *routes = (nsp__routes){NULL, 0};
}

// The end of a parameter that begins here, or NULL: {name} must be a whole segment of the path.
static const char *parameter_end(const char *start, const char *pattern)
{
    if (*pattern != '{' || (pattern != start && pattern[-1] != '/'))
        return NULL;
    const char *end = strchr(pattern, '}');
    return end != NULL && (end[1] == '/' || end[1] == '\0') ? end + 1 : NULL;
}

static bool fits(const char *pattern, const char *path)
{
    const char *start = pattern;
    while (*pattern != '\0') {
        if (strcmp(pattern, "/*") == 0)
            return *path == '/' || *path == '\0';
        const char *end = parameter_end(start, pattern);
        if (end != NULL) {
            size_t length = strcspn(path, "/");
            if (length == 0)
                return false;
            path += length;
            pattern = end;
        } else if (*pattern++ != *path++) {
            return false;
        }
    }
    return *path == '\0';
}

const nsp__route *nsp__routes_find(const nsp__routes *routes, const nsp__method *method, const char *original,
                                   const char *path)
{
    for (size_t i = 0; i < routes->count; i++) {
        const nsp__route *route = &routes->routes[i];
        if (route->names[method->index] == 0 ||
            (!method->known && route->method != NULL && strcmp(route->method, original) != 0))
            continue;
        if (fits(route->pattern, path))
            return route;
    }
    return NULL;
}
