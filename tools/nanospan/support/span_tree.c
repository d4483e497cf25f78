// SPDX-License-Identifier: Apache-2.0
#include "span_tree.h"

#include <stdlib.h>

typedef struct id_place {
    uint64_t id;
    uint32_t place;
} id_place;

static int by_id(const void *a, const void *b)
{
    const id_place *left = a, *right = b;
    return left->id < right->id ? -1 : left->id > right->id;
}

static void find_parents(span_tree *tree)
{
    id_place *places = need_memory((tree->count + 1) * sizeof *places);
    for (uint32_t i = 0; i < tree->count; i++)
        places[i] = (id_place){tree->rows[i].id, i};
    qsort(places, tree->count, sizeof *places, by_id);
    for (uint32_t i = 0; i < tree->count; i++) {
        id_place wanted = {tree->rows[i].parent, 0};
        if (!wanted.id)
            continue;
        const id_place *found = bsearch(&wanted, places, tree->count, sizeof *places, by_id);
        if (found != NULL && found->place != i)
            tree->nodes[i].parent = found->place;
        else
            tree->nodes[i].orphan = true;
    }
    free(places);
}

// Follows the parents of each span. If they lead back to a span of the same walk, the cycle is cut there.
static void cut_circles(span_tree *tree)
{
    uint32_t *seen_by = need_zeroes(tree->count + 1, sizeof *seen_by);
    for (uint32_t i = 0; i < tree->count; i++)
        for (uint32_t at = i; at != NOBODY && seen_by[at] != i + 1; at = tree->nodes[at].parent) {
            if (seen_by[at])
                break;
            seen_by[at] = i + 1;
            uint32_t parent = tree->nodes[at].parent;
            if (parent != NOBODY && seen_by[parent] == i + 1) {
                tree->nodes[at].parent = NOBODY;
                tree->nodes[at].orphan = true;
            }
        }
    free(seen_by);
}

// Rows are sorted by start, so children are too.
static void join_children(span_tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        uint32_t parent = tree->nodes[i].parent;
        if (parent == NOBODY)
            continue;
        span_node *above = &tree->nodes[parent];
        if (above->first_child == NOBODY)
            above->first_child = i;
        else
            tree->nodes[above->last_child].next = i;
        above->last_child = i;
    }
}

// Children may overlap and outlive their parent. Only the part of the parent that they cover counts, and
// once.
static uint64_t self_time(const span_tree *tree, uint32_t at)
{
    const span_row *row = &tree->rows[at];
    uint64_t end = row->start + row->duration, covered_to = row->start, covered = 0;
    for (uint32_t child = tree->nodes[at].first_child; child != NOBODY; child = tree->nodes[child].next) {
        uint64_t from = tree->rows[child].start, to = from + tree->rows[child].duration;
        from = from > covered_to ? from : covered_to;
        to = to < end ? to : end;
        if (to > from) {
            covered += to - from;
            covered_to = to;
        }
    }
    return row->duration - covered;
}

// Depth first, without recursion, because a trace may be as deep as it has spans.
static uint32_t walk(span_tree *tree, uint32_t top, uint32_t filled)
{
    uint32_t at = top;
    uint32_t depth = 0;
    for (;;) {
        tree->nodes[at].depth = depth;
        tree->order[filled++] = at;
        if (tree->nodes[at].first_child != NOBODY) {
            at = tree->nodes[at].first_child;
            depth++;
            continue;
        }
        while (at != top && tree->nodes[at].next == NOBODY) {
            at = tree->nodes[at].parent;
            depth--;
        }
        if (at == top)
            return filled;
        at = tree->nodes[at].next;
    }
}

void span_tree_build(span_tree *tree, const trace_store *store, const trace *t)
{
    *tree = (span_tree){.rows = &store->rows[t->first], .count = t->count};
    tree->nodes = need_memory((t->count + 1) * sizeof *tree->nodes);
    tree->order = need_memory((t->count + 1) * sizeof *tree->order);
    for (uint32_t i = 0; i < t->count; i++)
        tree->nodes[i] =
            (span_node){.parent = NOBODY, .first_child = NOBODY, .last_child = NOBODY, .next = NOBODY};
    find_parents(tree);
    cut_circles(tree);
    join_children(tree);
    for (uint32_t i = 0; i < t->count; i++)
        tree->nodes[i].self = self_time(tree, i);
    uint32_t filled = 0;
    for (int orphans = 0; orphans < 2; orphans++)
        for (uint32_t i = 0; i < t->count; i++)
            if (tree->nodes[i].parent == NOBODY && tree->nodes[i].orphan == orphans)
                filled = walk(tree, i, filled);
}

void span_tree_free(span_tree *tree)
{
    free(tree->nodes);
    free(tree->order);
}
