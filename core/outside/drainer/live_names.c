// SPDX-License-Identifier: Apache-2.0
#include "outside/drainer/live_names.h"

#include <stdlib.h>
#include <string.h>

#include "outside/session/session_files.h"

bool nsp__live_names_init(nsp__live_names *names, const nsp__session_copy *copy, const uint8_t *control)
{
    *names = (nsp__live_names){
        .control = control,
        .names = copy->sections[NSP__SECTION_NAMES],
        .name_text = copy->sections[NSP__SECTION_NAME_TEXT],
        .known = calloc(NSP_NAME_MAX, sizeof *names->known),
    };
    return names->known != NULL;
}

void nsp__live_names_free(nsp__live_names *names)
{
    for (uint32_t i = 0; names->known != NULL && i < NSP_NAME_MAX; i++)
        free(names->known[i].text);
    free(names->known);
    *names = (nsp__live_names){0};
}

// False: it is not there, damaged, or there is no memory for it.
static bool read_name(const nsp__live_names *names, nsp_name name)
{
    if (name >= names->names.count)
        return false;
    const uint8_t *at = names->control + names->names.offset + name * names->names.stride;
    const nsp__shared_name *shared = (const nsp__shared_name *)(const void *)at;
    const uint32_t length = __atomic_load_n(&shared->length, __ATOMIC_ACQUIRE); // M2: acquires M1
    const uint32_t offset = __atomic_load_n(&shared->offset, __ATOMIC_RELAXED);
    if (length == 0 || length > NSP_NAME_LENGTH_MAX || !nsp__within(names->name_text.count, offset, length))
        return false;
    char *text = malloc(length + 1);
    if (text == NULL)
        return false;
    memcpy(text, names->control + names->name_text.offset + offset, length);
    text[length] = 0;
    names->known[name].text = text;
    names->known[name].length = length;
    return true;
}

const char *nsp__live_name_text(const void *argument, nsp_name name, size_t *length)
{
    const nsp__live_names *names = argument;
    bool found = name < NSP_NAME_MAX && (names->known[name].text != NULL || read_name(names, name));
    if (length != NULL)
        *length = found ? names->known[name].length : 0;
    return found ? names->known[name].text : "";
}

nsp_name nsp__live_name_find(const nsp__live_names *names, const char *text)
{
    for (nsp_name name = 1; name < NSP_NAME_MAX && name < names->names.count; name++)
        if (strcmp(nsp__live_name_text(names, name, NULL), text) == 0)
            return name;
    return 0;
}
