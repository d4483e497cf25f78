// SPDX-License-Identifier: Apache-2.0
//
// Bytes that are too many for memory: written one after the other to a temporary file without a name, then read anywhere.
#ifndef NANOSPAN_PERFETTO_SPOOL_H
#define NANOSPAN_PERFETTO_SPOOL_H

#include "support/text.h"
#include <stdio.h>

typedef struct spool_place {
    uint64_t at;
    uint32_t length;
} spool_place;

typedef struct spool {
    FILE *file;
    uint64_t length;
    const char *bytes; // once it is mapped
    bool failed;       // and was reported
} spool;

// False after printing an error, like spool_map. Where spool_add fails, spool_map says so.
bool spool_open(spool *s);
spool_place spool_add(spool *s, const text *bytes);
bool spool_map(spool *s);
void spool_close(spool *s);

static inline slice spool_read(const spool *s, spool_place place)
{
    return (slice){place.length ? s->bytes + place.at : "", place.length};
}

#endif
