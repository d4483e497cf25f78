// SPDX-License-Identifier: Apache-2.0
#include "support/tally.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Open addressing by span id, which is random already. A place with span_id 0 is free.
struct tally {
    pthread_mutex_t lock; // protects everything below
    tally_span *places;
    uint64_t room, used; // room is a power of two
    uint64_t repeats, clashes, untimely;
};

static tally_span *make_places(uint64_t room)
{
    tally_span *places = calloc(room, sizeof *places);
    if (places == NULL) {
        fprintf(stderr, "tally: out of memory\n");
        abort();
    }
    return places;
}

tally *tally_new(void)
{
    tally *me = calloc(1, sizeof *me);
    if (me == NULL)
        abort();
    pthread_mutex_init(&me->lock, NULL);
    me->room = 4096;
    me->places = make_places(me->room);
    return me;
}

void tally_free(tally *me)
{
    if (me == NULL)
        return;
    pthread_mutex_destroy(&me->lock);
    free(me->places);
    free(me);
}

// The place of this id, or the free place where it belongs.
static tally_span *find(const tally *me, uint64_t span_id)
{
    uint64_t at = span_id & (me->room - 1);
    while (me->places[at].span_id != 0 && me->places[at].span_id != span_id)
        at = (at + 1) & (me->room - 1);
    return &me->places[at];
}

static void grow(tally *me)
{
    tally_span *old = me->places;
    uint64_t old_room = me->room;
    me->room *= 2;
    me->places = make_places(me->room);
    for (uint64_t i = 0; i < old_room; i++)
        if (old[i].span_id != 0)
            *find(me, old[i].span_id) = old[i];
    free(old);
}

static bool same(const tally_span *a, const tally_span *b)
{
    return a->trace_id[0] == b->trace_id[0] && a->trace_id[1] == b->trace_id[1] &&
           a->parent_id == b->parent_id && a->start_ns == b->start_ns && a->end_ns == b->end_ns;
}

void tally_add(tally *me, const tally_span *span)
{
    pthread_mutex_lock(&me->lock);
    if (me->used * 2 >= me->room)
        grow(me);
    tally_span *place = find(me, span->span_id);
    if (span->span_id == 0 || span->end_ns <= span->start_ns) {
        me->untimely++;
    } else if (place->span_id != 0) {
        me->repeats += same(place, span);
        me->clashes += !same(place, span);
    } else {
        *place = *span;
        me->used++;
    }
    pthread_mutex_unlock(&me->lock);
}

static uint64_t read_locked(tally *me, const uint64_t *value)
{
    pthread_mutex_lock(&me->lock);
    uint64_t result = *value;
    pthread_mutex_unlock(&me->lock);
    return result;
}

uint64_t tally_distinct(tally *me)
{
    return read_locked(me, &me->used);
}

uint64_t tally_repeats(tally *me)
{
    return read_locked(me, &me->repeats);
}

uint64_t tally_clashes(tally *me)
{
    return read_locked(me, &me->clashes);
}

uint64_t tally_untimely(tally *me)
{
    return read_locked(me, &me->untimely);
}

bool tally_has(tally *me, uint64_t span_id)
{
    pthread_mutex_lock(&me->lock);
    bool has = find(me, span_id)->span_id != 0;
    pthread_mutex_unlock(&me->lock);
    return has;
}

uint64_t tally_orphans(tally *me)
{
    pthread_mutex_lock(&me->lock);
    uint64_t orphans = 0;
    for (uint64_t i = 0; i < me->room; i++) {
        const tally_span *span = &me->places[i];
        if (span->span_id == 0 || span->parent_id == 0 || span->parent_remote)
            continue;
        const tally_span *parent = find(me, span->parent_id);
        orphans += parent->span_id == 0 || parent->trace_id[0] != span->trace_id[0] ||
                   parent->trace_id[1] != span->trace_id[1];
    }
    pthread_mutex_unlock(&me->lock);
    return orphans;
}
