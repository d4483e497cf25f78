// SPDX-License-Identifier: Apache-2.0
#include "propagation/propagators.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "common/pairs.h"
#include "propagation/field.h"

#define CHOSEN ((nsp__formats)1 << 31)

const char *const nsp__propagator_names[] = {"tracecontext", "baggage", "b3", "b3multi", "none", NULL};
static const char *const elsewhere[] = {"jaeger", "xray", "ottrace", NULL};

// 0: not chosen yet. A single word, so that readers need no lock.
static nsp__formats in_use;

// The index of the name in the list, or -1 if it is not there.
static int find(const char *const *names, nsp__slice name)
{
    for (int i = 0; names[i] != NULL; i++)
        if (strlen(names[i]) == name.length && strncasecmp(names[i], name.text, name.length) == 0)
            return i;
    return -1;
}

// The next name of a list, without blanks around it. Empty names are skipped.
static bool next_name(nsp__slice *rest, nsp__slice *name)
{
    while (nsp__slice_split(rest, ',', name)) {
        *name = nsp__slice_unquote(*name);
        if (name->length != 0)
            return true;
    }
    return false;
}

static bool has(nsp__formats formats, nsp__format format)
{
    for (size_t i = 0; nsp__formats_at(formats, i) != NSP__FORMAT_END; i++)
        if (nsp__formats_at(formats, i) == format)
            return true;
    return false;
}

nsp__formats nsp__propagators_read(const char *list)
{
    nsp__slice rest = nsp__slice_unquote(nsp__slice_of(list)), name;
    nsp__formats formats = 0;
    unsigned count = 0;
    while (next_name(&rest, &name)) {
        int found = find(nsp__propagator_names, name);
        if (found < 0)
            continue;
        nsp__format format = (nsp__format)(found + 1);
        formats |= CHOSEN;
        if (format <= NSP__FORMAT_B3MULTI && !has(formats, format))
            formats |= (nsp__formats)format << 4 * count++;
    }
    return formats;
}

bool nsp__propagators_unsupported(const char *list)
{
    nsp__slice rest = nsp__slice_unquote(nsp__slice_of(list)), name;
    while (next_name(&rest, &name))
        if (find(elsewhere, name) >= 0)
            return true;
    return false;
}

void nsp__propagators_left_out(const char *list, char *out, size_t size)
{
    nsp__slice rest = nsp__slice_unquote(nsp__slice_of(list)), name;
    size_t used = 0;
    *out = 0;
    while (next_name(&rest, &name))
        if (find(nsp__propagator_names, name) < 0 && used < size)
            used += (size_t)snprintf(
                out + used, size - used, "%s%.*s %s, and is left out", used != 0 ? "; " : "",
                name.length > 40 ? 40 : (int)name.length, name.text,
                find(elsewhere, name) >= 0 ? "is not supported in this version" : "is not known");
}

static nsp__formats from_environment(void)
{
    const char *list = secure_getenv(NSP__PROPAGATORS_VARIABLE);
    nsp__formats formats = list != NULL ? nsp__propagators_read(list) : 0;
    return formats != 0 ? formats : nsp__propagators_read(NSP__PROPAGATORS_DEFAULT);
}

nsp__formats nsp__propagators(void)
{
    nsp__formats formats = __atomic_load_n(&in_use, __ATOMIC_RELAXED);
    if (NSP__LIKELY(formats != 0))
        return formats;
    nsp__formats read = from_environment();
    // If nsp_init was faster, its choice stays.
    return __atomic_compare_exchange_n(&in_use, &formats, read, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
               ? read
               : formats;
}

void nsp__propagators_choose(const char *list)
{
    nsp__formats formats = nsp__propagators_read(list);
    if (formats != 0)
        __atomic_store_n(&in_use, formats, __ATOMIC_RELAXED);
}
