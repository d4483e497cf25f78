// SPDX-License-Identifier: Apache-2.0
//
// The declarations of a session's paths, as far as records have asked for them: copied into private memory, and
// checked once, so that nothing has to be looked at again with each record. The table may be another process's, and
// may hold anything.
//
// One thread at a time.
#ifndef NSP_DRAIN_PATH_PLAN_H
#define NSP_DRAIN_PATH_PLAN_H

#include <nanospan/exporter.h>

#include "shm/paths.h"

// A declaration that is sane: readings and fields lie within the body, where their types may lie.
typedef struct nsp__path_plan {
    nsp__path_layout layout;
    // By phase, from 1 (0: the path's own span): the first of its fields. One more, so that those of a phase end where
    // those of the next begin.
    uint8_t first[NSP_PATH_PHASES_MAX + 2];
    nsp_path_shape shape; // the same for an exporter
    nsp_path_field fields[NSP_PATH_FIELDS_MAX];
    uint8_t text_count;
    uint8_t texts[NSP_PATH_FIELDS_MAX]; // the fields that are texts
} nsp__path_plan;

typedef struct nsp__path_plans {
    const nsp__paths *table; // of the session, shared or a copy; NULL: it has none
    // The name nanospan.left_out in the session; 0: it has none, or it comes later.
    nsp_name left_out;
    nsp__path_plan *plan[NSP__PATHS_MAX]; // by number, from 1; NULL: not asked for, not there yet, or refused
    uint64_t refused;                     // by number, from 1, a bit
    // As in nsp_exporter_context; NULL: the process's names.
    const char *(*name_text)(const void *names, nsp_name name, size_t *length);
    const void *names;
    // "", or what to say of a declaration that was refused. Whoever says it empties it.
    char untold[160];
    uint8_t *room; // of NSP__PATH_ROOM bytes, for one span
} nsp__path_plans;

// The largest record, with as much again as the fields of a path can take as items.
enum { NSP__PATH_ROOM = 96 * 1024, NSP__PATH_ITEMS_MAX = NSP_PATH_BYTES_MAX + NSP_PATH_FIELDS_MAX * 24 + 64 };

// table: as in the struct; it has to stay. False: no memory. To be freed in either case.
bool nsp__path_plans_init(nsp__path_plans *plans, const nsp__paths *table);
// Zeroed memory may be freed.
void nsp__path_plans_free(nsp__path_plans *plans);

// NULL: there is no such declaration yet, or it is not sane.
const nsp__path_plan *nsp__path_plan_make(nsp__path_plans *plans, uint32_t number);

static inline const nsp__path_plan *nsp__path_plan_find(nsp__path_plans *plans, uint32_t number)
{
    const nsp__path_plan *plan = number - 1 < NSP__PATHS_MAX ? plans->plan[number - 1] : NULL;
    return NSP__LIKELY(plan != NULL) ? plan : nsp__path_plan_make(plans, number);
}

// What is wrong with this declaration, or NULL. It has to be in private memory, and its checksum to be set.
const char *nsp__path_layout_problem(const nsp__path_layout *layout);

#endif
