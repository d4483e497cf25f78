// SPDX-License-Identifier: Apache-2.0
#include "trace_filter.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool has_service(const trace_store *store, const trace *t, const bool *service_matches)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (service_matches[store->rows[t->first + i].service])
            return true;
    return false;
}

static bool id_begins(const trace *t, const char *prefix)
{
    char id[40];
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64, t->id[0], t->id[1]);
    return strncasecmp(id, prefix, strlen(prefix)) == 0;
}

static bool has_root(const view_options *o, const trace_store *store, const trace *t)
{
    return t->rooted && fnmatch(o->root, store->strings[store->rows[t->root].name].text, 0) == 0;
}

// The spans of a trace may meet different conditions.
static bool has_attributes(const trace_store *store, const trace *t, uint8_t wanted)
{
    uint8_t met = 0;
    for (uint32_t i = 0; i < t->count && met != wanted; i++)
        met |= store->rows[t->first + i].matches;
    return met == wanted;
}

static bool passes(const view_options *o, const trace_store *store, const trace *t,
                   const bool *service_matches)
{
    if (!t->count || t->duration < o->min_duration || (o->errors && !t->errors))
        return false;
    if (o->root != NULL && !has_root(o, store, t))
        return false;
    if (o->trace != NULL && !id_begins(t, o->trace))
        return false;
    return has_attributes(store, t, attribute_filter_all(&o->where)) &&
           (o->service == NULL || has_service(store, t, service_matches));
}

// For each string whether it matches the name of the service that is looked for.
static bool *matching_services(const view_options *o, const trace_store *store)
{
    bool *matches = need_zeroes(store->string_count, sizeof *matches);
    for (size_t i = 0; o->service != NULL && i < store->string_count; i++)
        matches[i] = fnmatch(o->service, store->strings[i].text, 0) == 0;
    return matches;
}

const trace **trace_filter(const view_options *o, const trace_store *store, size_t *count)
{
    const trace **chosen = need_memory((store->trace_count + 1) * sizeof *chosen);
    bool *service_matches = matching_services(o, store);
    *count = 0;
    for (size_t i = 0; i < store->trace_count; i++)
        if (passes(o, store, &store->traces[i], service_matches))
            chosen[(*count)++] = &store->traces[i];
    free(service_matches);
    return chosen;
}

static bool any_root(const view_options *o, const trace_store *store)
{
    for (size_t i = 0; store != NULL && i < store->trace_count; i++)
        if (store->traces[i].count && has_root(o, store, &store->traces[i]))
            return true;
    return false;
}

static bool any_service(const view_options *o, const trace_store *store)
{
    if (store == NULL)
        return false;
    bool *matches = matching_services(o, store), any = false;
    for (size_t i = 0; i < store->trace_count && !any; i++)
        any = has_service(store, &store->traces[i], matches);
    free(matches);
    return any;
}

void trace_filter_complain(const view_options *o, const trace_store *store, const trace_store *other)
{
    if (!store->seen_traces && (other == NULL || !other->seen_traces))
        return;
    if (o->root != NULL && !any_root(o, store) && !any_root(o, other))
        complain("no trace has a root named '%s'; --summary shows the names", o->root);
    if (o->service != NULL && !any_service(o, store) && !any_service(o, other))
        complain("no span is of a service named '%s'", o->service);
    attribute_filter_complain(&o->where);
}
