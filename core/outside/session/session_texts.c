// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_texts.h"

#include <stdlib.h>
#include <string.h>

#include "outside/session/session_files.h"

// The texts of names lie one after the other, so each gets a zero byte in another copy. Names that are damaged
// are as if they did not exist.
bool nsp__session_texts_read(nsp__session_copy *copy)
{
    nsp__control *control = copy->control;
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++) {
        nsp__shared_name *name = &control->names[i];
        if (name->length > NSP_NAME_LENGTH_MAX ||
            !nsp__within(sizeof control->name_text, name->offset, name->length))
            name->length = 0;
        bytes += name->length != 0 ? name->length + 1 : 0;
    }
    char *to = copy->texts = malloc(bytes);
    if (to == NULL)
        return nsp__session_copy_no_memory(copy);
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++) {
        nsp__shared_name *name = &control->names[i];
        if (name->length == 0)
            continue;
        memcpy(to, control->name_text + name->offset, name->length);
        to[name->length] = 0;
        name->offset = (uint32_t)(to - copy->texts);
        to += name->length + 1;
    }
    return true;
}

const char *nsp__session_copy_name(const nsp__session_copy *copy, nsp_name name, size_t *length)
{
    if (name >= NSP_NAME_MAX || copy->control->names[name].length == 0)
        return NULL;
    *length = copy->control->names[name].length;
    return copy->texts + copy->control->names[name].offset;
}

bool nsp__session_copy_resource(const nsp__session_copy *copy, size_t *at, nsp__resource_entry *out)
{
    const nsp__control *control = copy->control;
    if (*at >= control->resource_bytes)
        return false;
    const char *type = control->resource + *at, *end = control->resource + control->resource_bytes;
    const char *key = type + 1, *value = memchr(key, 0, (size_t)(end - key));
    const char *zero = value != NULL ? memchr(value + 1, 0, (size_t)(end - value - 1)) : NULL;
    if (zero == NULL)
        return false;
    *out = (nsp__resource_entry){(nsp_type)*type, key, value + 1};
    *at = (size_t)(zero + 1 - control->resource);
    return true;
}
