// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_latencies.h"

#include <stdlib.h>

#include "drain/latencies.h"
#include "outside/session/session_files.h"

typedef struct reading {
    nsp__session_copy *copy;
    nsp_session_latency *found;
    size_t count;
    uint64_t ticks[NSP__SESSION_LATENCIES_MAX]; // by entry
    nsp_name names[NSP__SESSION_LATENCIES_MAX];
    uint64_t unmeasured;
    nsp__latency_place place; // that is being looked at
} reading;

// The entry of the name; `count` if there is no room for another one. The memory may be lost: then found is
// NULL.
static size_t entry_of(reading *me, nsp_name name, const char *text)
{
    size_t i = 0;
    while (i < me->count && me->names[i] != name)
        i++;
    if (i < me->count || i == NSP__SESSION_LATENCIES_MAX)
        return i;
    nsp_session_latency *larger = realloc(me->found, (i + 1) * sizeof *larger);
    if (larger == NULL) {
        free(me->found);
        me->found = NULL;
        return i;
    }
    me->found = larger;
    larger[i] = (nsp_session_latency){.size = sizeof *larger, .name = text, .latency = NSP_LATENCY_INIT};
    me->names[i] = name;
    me->ticks[i] = 0;
    return me->count++;
}

static bool add_place(reading *me)
{
    size_t length;
    const char *text = nsp__session_copy_name(me->copy, me->place.name, &length);
    if (text == NULL)
        return true;
    const size_t at = entry_of(me, me->place.name, text);
    if (me->found == NULL)
        return nsp__session_copy_no_memory(me->copy);
    if (at < me->count) {
        nsp__latencies_add(&me->found[at].latency, &me->ticks[at], &me->place);
    } else {
        for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++)
            me->unmeasured += me->place.counts[step];
        me->unmeasured += nsp__latency_latest(&me->place) != NSP__LATENCY_STEPS;
    }
    return true;
}

// Places are taken from the first one on, so none comes after one that is free.
static bool read_slot(reading *me, uint32_t slot)
{
    const nsp__session_copy *copy = me->copy;
    const uint64_t at = copy->control->places[slot].offset + copy->sections[NSP__SECTION_LATENCIES].offset;
    uint64_t unmeasured = 0;
    if (nsp__read_at(copy->threads_fd, &unmeasured, sizeof unmeasured,
                     at + offsetof(nsp__latencies, unmeasured)))
        me->unmeasured += unmeasured;
    for (uint32_t i = 0; i < NSP__LATENCY_PLACES; i++) {
        if (!nsp__read_at(copy->threads_fd, &me->place, sizeof me->place, at + i * sizeof me->place) ||
            me->place.name == 0)
            break;
        // While roots end, the latest may be among what was counted.
        uint64_t latest = 0;
        const uint64_t there = at + i * sizeof me->place + offsetof(nsp__latency_place, latest);
        if (!nsp__read_at(copy->threads_fd, &latest, sizeof latest, there) || latest != me->place.latest)
            me->place.latest = 0;
        if (!add_place(me))
            return false;
    }
    return true;
}

bool nsp__session_latencies(nsp__session_copy *copy, nsp_session_latency **out, size_t *count,
                            uint64_t *unmeasured)
{
    *out = NULL;
    *count = 0;
    *unmeasured = 0;
    if (copy->sections[NSP__SECTION_LATENCIES].version == 0)
        return true;
    reading *me = calloc(1, sizeof *me);
    if (me == NULL)
        return nsp__session_copy_no_memory(copy);
    me->copy = copy;
    bool whole = true;
    for (uint32_t i = 0; i < copy->slot_count && whole; i++)
        if (nsp__session_copy_slot(copy, i) != NULL)
            whole = read_slot(me, i);
    for (size_t i = 0; i < me->count && whole; i++)
        nsp__latencies_total(&me->found[i].latency, me->ticks[i], copy->control->outlier_bounds.tick_rate);
    if (whole) {
        *out = me->found;
        *count = me->count;
        *unmeasured = me->unmeasured;
    }
    free(me);
    return whole;
}
