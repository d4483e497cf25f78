// SPDX-License-Identifier: Apache-2.0
//
// Interned names in the form that an encoder copies into its output. The form is made once for each name:
// valid UTF-8, and with what surrounds the text (a length, quotes).
//
// All memory is reserved at the start, as much as the process-wide bounds on names allow, so nothing can fail
// later; it is touched only when names appear. One thread at a time.
#ifndef NSP_ENCODE_NAMES_H
#define NSP_ENCODE_NAMES_H

#include <nanospan/exporter.h>
#include <nanospan/name.h>

enum {
    NSP__NAME_SLOTS = NSP_NAME_MAX, // ids below this are remembered
    NSP__NAME_READABLE = 32         // this many bytes can be read from any form, however short it is
};

// Where the texts of names come from, as an exporter's context says it. All zero: the process's names.
typedef struct nsp__name_table {
    const char *(*text)(const void *names, nsp_name name, size_t *length);
    const void *names;
} nsp__name_table;

static inline nsp__name_table nsp__name_table_of(const nsp_exporter_context *context)
{
    return (nsp__name_table){context->name_text, context->names};
}

static inline const char *nsp__name_table_text(const nsp__name_table *table, nsp_name name, size_t *length)
{
    return table->text != NULL ? table->text(table->names, name, length) : nsp_name_text(name, length);
}

typedef struct nsp__form {
    const uint8_t *bytes;
    size_t size;
} nsp__form;

// Writes the form of a text (any bytes) to out: at most growth * length + extra bytes. Returns its end.
typedef uint8_t *(*nsp__form_fn)(uint8_t *out, const uint8_t *text, size_t length);

typedef struct nsp__names {
    nsp__name_table table;
    nsp__form_fn form;
    size_t growth, extra;
    uint8_t *arena; // forms, one behind the other
    size_t used, capacity;
    uint8_t *scratch; // the form of a name that is not remembered, until the next call
    struct {
        uint32_t offset; // in the arena
        uint32_t size;   // 0: not made yet
    } slot[NSP__NAME_SLOTS];
} nsp__names;

// For the names of this context. NULL: out of memory. With extra > 0 no form is empty.
nsp__names *nsp__names_create(const nsp_exporter_context *context, nsp__form_fn form, size_t growth,
                              size_t extra);
void nsp__names_destroy(nsp__names *names);

// The cold half of nsp__names_get.
nsp__form nsp__names_make(nsp__names *names, nsp_name name);

// The form of a name; for a number that is not a name, the form of "". Valid until the next call.
static inline nsp__form nsp__names_get(nsp__names *names, nsp_name name)
{
    if (NSP__LIKELY(name < NSP__NAME_SLOTS && names->slot[name].size)) {
        nsp__form form = {names->arena + names->slot[name].offset, names->slot[name].size};
        return form;
    }
    return nsp__names_make(names, name);
}

#endif
