// SPDX-License-Identifier: Apache-2.0
#include "encode/names.h"

#include <stdlib.h>

nsp__names *nsp__names_create(const nsp_exporter_context *context, nsp__form_fn form, size_t growth,
                              size_t extra)
{
    nsp__names *names = calloc(1, sizeof *names);
    if (names == NULL)
        return NULL;
    names->table = nsp__name_table_of(context);
    names->form = form;
    names->growth = growth;
    names->extra = extra;
    names->capacity = (size_t)NSP_NAME_TEXT_MAX * growth + (size_t)NSP_NAME_MAX * extra;
    names->arena = calloc(1, names->capacity + NSP__NAME_READABLE);
    names->scratch = calloc(1, (size_t)NSP_NAME_LENGTH_MAX * growth + extra + NSP__NAME_READABLE);
    if (names->arena == NULL || names->scratch == NULL) {
        nsp__names_destroy(names);
        return NULL;
    }
    return names;
}

void nsp__names_destroy(nsp__names *names)
{
    if (names == NULL)
        return;
    free(names->arena);
    free(names->scratch);
    free(names);
}

nsp__form nsp__names_make(nsp__names *names, nsp_name name)
{
    size_t length;
    const char *text = nsp__name_table_text(&names->table, name, &length);
    if (length > NSP_NAME_LENGTH_MAX)
        length = NSP_NAME_LENGTH_MAX;

    // A name without a text may be one that is not known yet, so it is looked up again the next time.
    bool keep = length > 0 && name < NSP__NAME_SLOTS &&
                length * names->growth + names->extra <= names->capacity - names->used;
    uint8_t *start = keep ? names->arena + names->used : names->scratch;
    uint8_t *end = names->form(start, (const uint8_t *)text, length);
    nsp__form form = {start, (size_t)(end - start)};
    if (keep) {
        names->slot[name].offset = (uint32_t)names->used;
        names->slot[name].size = (uint32_t)form.size;
        names->used += form.size;
    }
    return form;
}
