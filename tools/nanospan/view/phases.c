// SPDX-License-Identifier: Apache-2.0
#include "phases.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 64 };

static size_t slot_of(const phases *p, uint32_t parent, uint32_t name)
{
    uint64_t mixed = ((uint64_t)parent << 32 | name) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 29) * 0xd6e8feb86659fd93u;
    size_t at = (size_t)(mixed ^ mixed >> 32) & p->mask;
    while (p->slots[at] &&
           (p->list[p->slots[at] - 1].parent != parent || p->list[p->slots[at] - 1].name != name))
        at = (at + 1) & p->mask;
    return at;
}

// Keeps the table at most half full.
static void grow(phases *p)
{
    free(p->slots);
    p->mask = p->slots == NULL ? FIRST_SLOTS - 1 : p->mask * 2 + 1;
    p->slots = need_zeroes(p->mask + 1, sizeof *p->slots);
    for (size_t i = 0; i < p->count; i++)
        p->slots[slot_of(p, p->list[i].parent, p->list[i].name)] = (uint32_t)i + 1;
}

static uint32_t phase_of(phases *p, uint32_t parent, uint32_t name)
{
    if (p->slots == NULL || p->count * 2 >= p->mask)
        grow(p);
    const size_t at = slot_of(p, parent, name);
    if (p->slots[at])
        return p->slots[at] - 1;
    p->list = need_room(p->list, p->count, &p->capacity, sizeof *p->list);
    p->list[p->count] =
        (phase){.parent = parent, .name = name, .depth = parent == NOBODY ? 0 : p->list[parent].depth + 1};
    p->slots[at] = (uint32_t)p->count + 1;
    return (uint32_t)p->count++;
}

static double off_cpu_of(const trace_store *store, const span_row *row)
{
    double sum = 0;
    for (uint32_t i = 0; i < row->pause_count; i++)
        sum += (double)store->pauses[row->first_pause + i].duration;
    return sum;
}

void phases_add(phases *p, int set, const trace_store *store, const uint32_t *names, const trace *t)
{
    span_tree tree;
    span_tree_build(&tree, store, t);
    uint32_t *found = need_memory(((size_t)tree.count + 1) * sizeof *found);
    uint32_t top = NOBODY;
    p->traces[set]++;
    if (!t->rooted) {
        top = phase_of(p, NOBODY, NOBODY);
        p->list[top].occurrences[set]++;
    }
    for (uint32_t i = 0; i < tree.count; i++) {
        const uint32_t at = tree.order[i], parent = tree.nodes[at].parent;
        const span_row *row = &tree.rows[at];
        found[at] = NOBODY;
        // What does not hang below the root is in no phase.
        if (parent == NOBODY ? t->rooted && t->first + at != t->root : found[parent] == NOBODY)
            continue;
        found[at] =
            phase_of(p, parent == NOBODY ? top : found[parent], names != NULL ? names[row->name] : row->name);
        p->list[found[at]].occurrences[set]++;
        p->list[found[at]].off_cpu[set] += off_cpu_of(store, row);
    }
    critical_path_find(&p->path, &tree, t);
    for (size_t i = 0; i < p->path.count; i++) {
        const critical_part *part = &p->path.parts[i];
        p->list[part->at == NOBODY ? top : found[part->at]].on_path[set] += (double)(part->end - part->start);
    }
    free(found);
    span_tree_free(&tree);
}

void phases_free(phases *p)
{
    free(p->list);
    free(p->slots);
    critical_path_free(&p->path);
}

double phases_mean(const phases *p, double sum, int set)
{
    return p->traces[set] ? sum / (double)p->traces[set] : 0;
}
