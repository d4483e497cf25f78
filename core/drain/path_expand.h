// SPDX-License-Identifier: Apache-2.0
//
// Turns the record of a path into those of the spans that ordinary calls would have made: the phases that happened, in
// their order, and then the path's own span. A record may hold anything. If its declaration is not known, or it does not
// agree with it, only the path's own span comes out, without its fields, and it says how many phases were left out.
#ifndef NSP_DRAIN_PATH_EXPAND_H
#define NSP_DRAIN_PATH_EXPAND_H

#include <nanospan/span.h>

#include "drain/path_plan.h"
#include "shm/path.h"

typedef struct nsp__path_walk {
    const nsp__path_plan *plan; // NULL: the phases and fields of the record cannot be told
    const nsp__record *record;
    const uint8_t *items; // of the path's own span, behind the body
    uint32_t items_bytes;
    uint32_t spans;      // that come out
    uint32_t left_out;   // that do not
    uint32_t open;       // the last phase that had begun, from 1; 0: none had
    uint32_t phase;      // the next one, from 1; beyond `open`: the path's own span
    nsp_name unfinished; // of a path that was open: its last phase gets this attribute; 0: none does
    nsp__record *span;   // in the plans' room
    uint32_t inherited;  // bytes of the items that each phase begins with
    nsp_name left_out_key;
    bool ended;
} nsp__path_walk;

// The record has to be a path's (nsp__record_is_path), its size to be checked (nsp__record_valid), and it to stay as it
// is until the walk is done. One walk at a time for the same plans.
void nsp__path_walk_begin(nsp__path_walk *walk, nsp__path_plans *plans, const nsp__record *record);

// The next span, in private memory until the next call: a record with items, as in a ring, which is no path. NULL: there
// are no more.
const nsp__record *nsp__path_walk_next(nsp__path_walk *walk);

// The first phase from this one on, from 1, that happened; one more than `open`, the last that did: none of them. The
// body has the readings of all of them.
static inline uint32_t nsp__path_next_marked(const nsp__path_head *head, uint32_t open, uint32_t phase)
{
    while (phase <= open && nsp__path_readings(head)[phase - 1] == 0)
        phase++;
    return phase;
}

// Lengths of texts are the one thing in a body that could lead out of it.
static inline bool nsp__path_texts_fit(const nsp__path_plan *plan, const nsp__path_head *head)
{
    const uint8_t *body = (const uint8_t *)head;
    for (uint32_t i = 0; i < plan->text_count; i++) {
        const nsp__path_field *field = &plan->layout.field[plan->texts[i]];
        uint16_t length;
        __builtin_memcpy(&length, body + field->offset, sizeof length);
        if (NSP__UNLIKELY(length > field->size && length != UINT16_MAX))
            return false;
    }
    return true;
}

#endif
