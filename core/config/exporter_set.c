// SPDX-License-Identifier: Apache-2.0
#include "config/exporter_set.h"

#include <nanospan/version.h>
#include <stdio.h>
#include <string.h>

// A weak reference does not make a linker look for the exporters.
#pragma weak nsp__exporters_here

static const nsp__exporter_set *offered;

void nsp__exporters_offer(const nsp__exporter_set *set)
{
    __atomic_store_n(&offered, set, __ATOMIC_RELEASE); // EX1: a library that was loaded just now, to EX2
}

static const nsp__exporter_set *found(void)
{
    const nsp__exporter_set *late = __atomic_load_n(&offered, __ATOMIC_ACQUIRE); // EX2: acquires EX1
    return late == NULL && nsp__exporters_here != NULL ? nsp__exporters_here() : late;
}

// Both libraries are made of the same sources, and share more than the binary interface says.
static bool fits(const nsp__exporter_set *set)
{
    return strcmp(set->release, NSP_VERSION) == 0;
}

const nsp__exporter_set *nsp__exporters(void)
{
    const nsp__exporter_set *set = found();
    return set != NULL && fits(set) ? set : NULL;
}

const char *nsp__exporters_missing(char *text, size_t size, const char *advice)
{
    const nsp__exporter_set *set = found();
    if (set != NULL)
        snprintf(text, size,
                 "libnanospan is of release %.20s and libnanospan-core of release " NSP_VERSION
                 ": install both of one release",
                 set->release);
    else
        snprintf(text, size, "libnanospan-core alone has none%s", advice);
    return text;
}

const nsp_exporter *nsp__exporter_named(const char *name, size_t length)
{
    const nsp__exporter_set *set = nsp__exporters();
    for (size_t i = 0; set != NULL && set->exporters[i] != NULL; i++)
        if (strlen(set->exporters[i]->name) == length && memcmp(set->exporters[i]->name, name, length) == 0)
            return set->exporters[i];
    return NULL;
}
