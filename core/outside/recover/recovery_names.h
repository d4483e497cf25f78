// SPDX-License-Identifier: Apache-2.0
//
// The names of a session that is being recovered, and those that decoded batches add. They have numbers of their
// own, and never become names of this process.
#ifndef NSP_OUTSIDE_RECOVERY_NAMES_H
#define NSP_OUTSIDE_RECOVERY_NAMES_H

#include "outside/session/session_copy.h"

typedef struct nsp__recovery_names {
    const nsp__session_copy *copy; // its names have the numbers below NSP_NAME_MAX
    struct nsp__added_name {
        char *text;
        size_t length;
    } * added; // from NSP_NAME_MAX on
    uint32_t added_count, added_capacity;
    nsp_name *table; // by hash, open addressing; 0: empty
    uint32_t table_size, table_used;
    nsp_name unfinished, kept, left_out; // "nanospan.unfinished", and so on
} nsp__recovery_names;

// False: no memory. To be freed in either case.
bool nsp__recovery_names_init(nsp__recovery_names *names, const nsp__session_copy *copy);
void nsp__recovery_names_free(nsp__recovery_names *names);

// For nsp_exporter_context.name_text.
const char *nsp__recovery_name_text(const void *names, nsp_name name, size_t *length);
// The number of a text, which is added if it is new. NSP_NAME_OVERFLOW: no memory.
nsp_name nsp__recovery_intern(nsp__recovery_names *names, const char *text, size_t length);

#endif
