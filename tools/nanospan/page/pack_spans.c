// SPDX-License-Identifier: Apache-2.0
#include "pack_content.h"

#include "support/span_tree.h"
#include <stdlib.h>

static int slowest_first(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    if (left->duration != right->duration)
        return left->duration > right->duration ? -1 : 1;
    for (int i = 0; i < 2; i++)
        if (left->id[i] != right->id[i])
            return left->id[i] < right->id[i] ? -1 : 1;
    return 0;
}

static void sort_traces(pack *p)
{
    const pack_content *c = p->content;
    p->trace_count = c->trace_count;
    p->traces = need_memory((c->trace_count + 1) * sizeof *p->traces);
    p->firsts = need_memory((c->trace_count + 1) * sizeof *p->firsts);
    p->indices = need_memory((c->store->trace_count + 1) * sizeof *p->indices);
    for (size_t i = 0; i < c->store->trace_count; i++)
        p->indices[i] = PACK_NONE;
    for (size_t i = 0; i < c->trace_count; i++)
        p->traces[i] = c->traces[i];
    qsort(p->traces, p->trace_count, sizeof *p->traces, slowest_first);
    p->base = p->trace_count != 0 ? UINT64_MAX : 0;
    for (size_t i = 0; i < p->trace_count; i++) {
        p->indices[p->traces[i] - c->store->traces] = (uint32_t)i;
        p->base = p->traces[i]->start < p->base ? p->traces[i]->start : p->base;
    }
}

static void add_orphan(pack *p, uint32_t row)
{
    p->orphans = need_room(p->orphans, p->orphan_count, &p->orphan_capacity, sizeof *p->orphans);
    p->orphans[p->orphan_count++] = row;
}

static void add_pauses(pack *p, uint32_t row)
{
    const span_row *from = p->spans[row].row;
    for (uint32_t i = 0; i < from->pause_count; i++) {
        p->pauses = need_room(p->pauses, p->pause_count, &p->pause_capacity, sizeof *p->pauses);
        p->pauses[p->pause_count++] = (packed_pause){row, &p->content->store->pauses[from->first_pause + i]};
    }
}

// The tree is the one that `nanospan view` shows, so that no parent is below its own children.
static void add_trace(pack *p, const trace *t, uint32_t *names)
{
    const trace_store *store = p->content->store;
    const uint32_t first = (uint32_t)p->span_count;
    span_tree tree;
    span_tree_build(&tree, store, t);
    for (uint32_t i = 0; i < t->count; i++) {
        const span_row *from = &store->rows[t->first + i];
        const uint32_t row = first + i, parent = tree.nodes[i].parent;
        if (names[from->name] == PACK_NONE)
            names[from->name] = pack_string(p, store->strings[from->name]);
        p->places[t->first + i] = row;
        p->spans[row] = (packed_span){
            .row = from, .parent = parent == NOBODY ? PACK_NONE : first + parent, .name = names[from->name]};
        if (tree.nodes[i].orphan)
            add_orphan(p, row);
        add_pauses(p, row);
    }
    p->span_count += t->count;
    span_tree_free(&tree);
}

void pack_spans(pack *p)
{
    const trace_store *store = p->content->store;
    size_t spans = 0;
    sort_traces(p);
    for (size_t i = 0; i < p->trace_count; i++)
        spans += p->traces[i]->count;
    p->spans = need_memory((spans + 1) * sizeof *p->spans);
    p->places = need_memory((store->row_count + 1) * sizeof *p->places);
    for (size_t i = 0; i < store->row_count; i++)
        p->places[i] = PACK_NONE;
    uint32_t *names = need_memory((store->string_count + 1) * sizeof *names);
    for (size_t i = 0; i < store->string_count; i++)
        names[i] = PACK_NONE;
    for (size_t i = 0; i < p->trace_count; i++) {
        p->firsts[i] = (uint32_t)p->span_count;
        add_trace(p, p->traces[i], names);
    }
    free(names);
    p->too_much = p->too_much || p->pause_count > PACK_MOST_ITEMS;
}
