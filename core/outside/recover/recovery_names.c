// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/recovery_names.h"

#include <stdlib.h>
#include <string.h>

#include "common/fnv.h"
#include "common/seed.h"
#include "common/utf8.h"

const char *nsp__recovery_name_text(const void *argument, nsp_name name, size_t *length)
{
    const nsp__recovery_names *names = argument;
    const char *text = NULL;
    size_t bytes = 0;
    if (name < NSP_NAME_MAX) {
        text = nsp__session_copy_name(names->copy, name, &bytes);
    } else if (name - NSP_NAME_MAX < names->added_count) {
        text = names->added[name - NSP_NAME_MAX].text;
        bytes = names->added[name - NSP_NAME_MAX].length;
    }
    if (length != NULL)
        *length = text != NULL ? bytes : 0;
    return text != NULL ? text : "";
}

// The place of a text in the table, or the empty one where it belongs.
static nsp_name *place_of(const nsp__recovery_names *names, const char *text, size_t length)
{
    uint32_t mask = names->table_size - 1;
    uint32_t at = (uint32_t)nsp__random_mix(nsp__fnv(NSP__FNV_START, text, length)) & mask;
    for (;; at = (at + 1) & mask) {
        size_t known;
        if (names->table[at] == 0)
            return &names->table[at];
        const char *candidate = nsp__recovery_name_text(names, names->table[at], &known);
        if (known == length && memcmp(candidate, text, length) == 0)
            return &names->table[at];
    }
}

static void enter(nsp__recovery_names *names, nsp_name name)
{
    size_t length;
    const char *text = nsp__recovery_name_text(names, name, &length);
    nsp_name *place = place_of(names, text, length);
    names->table_used += *place == 0;
    if (*place == 0)
        *place = name;
}

bool nsp__recovery_names_init(nsp__recovery_names *names, const nsp__session_copy *copy)
{
    *names = (nsp__recovery_names){.copy = copy, .table_size = 4 * NSP_NAME_MAX};
    names->table = calloc(names->table_size, sizeof *names->table);
    if (names->table == NULL)
        return false;
    for (nsp_name name = 1; name < NSP_NAME_MAX; name++) {
        size_t length;
        if (nsp__session_copy_name(copy, name, &length) != NULL)
            enter(names, name);
    }
    static const char unfinished[] = "nanospan.unfinished", kept[] = "nanospan.kept",
                      left_out[] = "nanospan.left_out";
    names->unfinished = nsp__recovery_intern(names, unfinished, sizeof unfinished - 1);
    names->kept = nsp__recovery_intern(names, kept, sizeof kept - 1);
    names->left_out = nsp__recovery_intern(names, left_out, sizeof left_out - 1);
    return names->unfinished != NSP_NAME_OVERFLOW && names->kept != NSP_NAME_OVERFLOW &&
           names->left_out != NSP_NAME_OVERFLOW;
}

void nsp__recovery_names_free(nsp__recovery_names *names)
{
    for (uint32_t i = 0; i < names->added_count; i++)
        free(names->added[i].text);
    free(names->added);
    free(names->table);
    *names = (nsp__recovery_names){0};
}

// Makes room for one more name. False: no memory.
static bool grow(nsp__recovery_names *names)
{
    if (names->added_count == names->added_capacity) {
        uint32_t capacity = names->added_capacity != 0 ? 2 * names->added_capacity : 256;
        void *added = reallocarray(names->added, capacity, sizeof *names->added);
        if (added == NULL)
            return false;
        names->added = added;
        names->added_capacity = capacity;
    }
    if (names->table_used < names->table_size / 2)
        return true;
    nsp__recovery_names larger = *names;
    larger.table_size *= 2;
    larger.table_used = 0;
    larger.table = calloc(larger.table_size, sizeof *larger.table);
    if (larger.table == NULL)
        return false;
    for (uint32_t i = 0; i < names->table_size; i++)
        if (names->table[i] != 0)
            enter(&larger, names->table[i]);
    free(names->table);
    *names = larger;
    return true;
}

nsp_name nsp__recovery_intern(nsp__recovery_names *names, const char *text, size_t length)
{
    if (length > NSP_NAME_LENGTH_MAX)
        length = nsp__utf8_cut(text, length, NSP_NAME_LENGTH_MAX);
    nsp_name known = *place_of(names, text, length);
    if (known != 0)
        return known;
    char *copy = grow(names) ? malloc(length + 1) : NULL;
    if (copy == NULL)
        return NSP_NAME_OVERFLOW;
    memcpy(copy, text, length);
    copy[length] = 0;
    names->added[names->added_count].text = copy;
    names->added[names->added_count].length = length;
    nsp_name name = NSP_NAME_MAX + names->added_count++;
    enter(names, name);
    return name;
}
