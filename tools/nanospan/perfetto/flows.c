// SPDX-License-Identifier: Apache-2.0
#include "flows.h"

#include <stdlib.h>

typedef struct span_key {
    uint64_t id, trace[2];
    uint32_t row;
} span_key;

static int by_key(const void *a, const void *b)
{
    const span_key *left = a, *right = b;
    if (left->id != right->id)
        return left->id < right->id ? -1 : 1;
    if (left->trace[0] != right->trace[0])
        return left->trace[0] < right->trace[0] ? -1 : 1;
    return left->trace[1] < right->trace[1] ? -1 : left->trace[1] > right->trace[1];
}

static int by_row(const void *a, const void *b)
{
    const flow_end *left = a, *right = b;
    if (left->row != right->row)
        return left->row < right->row ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void add_end(flows *f, uint32_t row)
{
    f->ends = need_room(f->ends, f->end_count, &f->capacity, sizeof *f->ends);
    f->ends[f->end_count++] = (flow_end){row, f->count};
}

static void add(flows *f, uint32_t from, uint32_t to)
{
    add_end(f, from);
    add_end(f, to);
    f->count++;
}

static void find_parents(flows *f, const collected *c)
{
    for (uint32_t i = 0; i < c->store->row_count; i++) {
        const placed_span *span = &c->spans[i];
        if (span->group != LANES_NONE && span->parent != LANES_NONE && !span->nested)
            add(f, span->parent, i);
    }
}

// Links to spans that are not exported, and to the span itself, have no arrow.
static void find_links(flows *f, const collected *c)
{
    span_key *keys = need_memory((c->span_count + 1) * sizeof *keys);
    size_t count = 0;
    for (uint32_t i = 0; i < c->store->row_count; i++)
        if (c->spans[i].group != LANES_NONE) {
            const uint64_t *trace_id = c->store->traces[c->store->rows[i].trace].id;
            keys[count++] = (span_key){c->store->rows[i].id, {trace_id[0], trace_id[1]}, i};
        }
    qsort(keys, count, sizeof *keys, by_key);
    for (size_t i = 0; i < c->link_count; i++) {
        const found_link *link = &c->links[i];
        const span_key wanted = {link->span, {link->trace[0], link->trace[1]}, 0};
        const span_key *found = bsearch(&wanted, keys, count, sizeof *keys, by_key);
        if (found != NULL && found->row != link->row)
            add(f, found->row, link->row);
    }
    free(keys);
}

void flows_find(flows *f, const collected *c)
{
    *f = (flows){0};
    find_parents(f, c);
    if (c->link_count)
        find_links(f, c);
    if (f->end_count)
        qsort(f->ends, f->end_count, sizeof *f->ends, by_row);
}

void flows_free(flows *f)
{
    free(f->ends);
}

size_t flows_of(const flows *f, uint32_t row)
{
    size_t from = 0, to = f->end_count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (f->ends[middle].row < row)
            from = middle + 1;
        else
            to = middle;
    }
    return from < f->end_count && f->ends[from].row == row ? from : f->end_count;
}
