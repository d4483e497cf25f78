// SPDX-License-Identifier: Apache-2.0
#include "lanes.h"

#include "support/complain.h"
#include <stdlib.h>

typedef struct heap_item {
    uint64_t key;
    uint32_t lane;
} heap_item;

// The smallest key is at the top.
typedef struct heap {
    heap_item *items;
    size_t count, capacity;
} heap;

typedef struct lane_group {
    heap busy; // lanes by the end of their outermost span
    heap idle; // lanes whose spans are over, by their number
    uint32_t lane_count, first_lane;
} lane_group;

typedef struct placing {
    lanes *out;
    placed_span *spans;
    lane_group *groups;
    uint64_t sequence;
} placing;

typedef struct order_key {
    uint64_t start, end;
    uint32_t depth, span;
} order_key;

static void heap_push(heap *h, heap_item item)
{
    h->items = need_room(h->items, h->count, &h->capacity, sizeof *h->items);
    size_t at = h->count++;
    for (; at != 0 && h->items[(at - 1) / 2].key > item.key; at = (at - 1) / 2)
        h->items[at] = h->items[(at - 1) / 2];
    h->items[at] = item;
}

static heap_item heap_pop(heap *h)
{
    const heap_item top = h->items[0], last = h->items[--h->count];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < h->count; at = child) {
        if (child + 1 < h->count && h->items[child + 1].key < h->items[child].key)
            child++;
        if (last.key <= h->items[child].key)
            break;
        h->items[at] = h->items[child];
    }
    h->items[at] = last;
    return top;
}

// Parents come before their children even if both begin and end together.
static int outer_first(const void *a, const void *b)
{
    const order_key *left = a, *right = b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    if (left->end != right->end)
        return left->end > right->end ? -1 : 1;
    if (left->depth != right->depth)
        return left->depth < right->depth ? -1 : 1;
    return left->span < right->span ? -1 : left->span > right->span;
}

static order_key *in_order(const placed_span *spans, uint32_t span_count, size_t *count)
{
    order_key *keys = need_memory(((size_t)span_count + 1) * sizeof *keys);
    *count = 0;
    for (uint32_t i = 0; i < span_count; i++)
        if (spans[i].group != LANES_NONE)
            keys[(*count)++] = (order_key){spans[i].start, spans[i].end, spans[i].depth, i};
    qsort(keys, *count, sizeof *keys, outer_first);
    return keys;
}

static void end_innermost(placing *p, lane *on)
{
    p->spans[on->open[--on->depth]].ends = p->sequence++;
}

// Ends what is over when the span begins, up to its parent: a span of no length at its parent's end still lies within it.
static void end_before(placing *p, lane *on, const placed_span *span)
{
    while (on->depth) {
        const uint32_t innermost = on->open[on->depth - 1];
        if (p->spans[innermost].end > span->start ||
            (innermost == span->parent && span->end <= p->spans[innermost].end))
            return;
        end_innermost(p, on);
    }
}

static bool fits_below_parent(placing *p, const placed_span *span)
{
    if (span->parent == LANES_NONE)
        return false;
    const placed_span *parent = &p->spans[span->parent];
    if (parent->group != span->group || parent->lane == LANES_NONE || span->end > parent->end)
        return false;
    lane *on = &p->out->lanes[parent->lane];
    end_before(p, on, span);
    return on->depth && on->depth < LANES_DEEPEST && on->open[on->depth - 1] == span->parent;
}

static uint32_t lowest_idle(placing *p, const placed_span *span)
{
    lane_group *group = &p->groups[span->group];
    while (group->busy.count && group->busy.items[0].key <= span->start) {
        const uint32_t over = heap_pop(&group->busy).lane;
        heap_push(&group->idle, (heap_item){p->out->lanes[over].number, over});
    }
    uint32_t chosen = (uint32_t)p->out->count;
    if (group->idle.count) {
        chosen = heap_pop(&group->idle).lane;
        while (p->out->lanes[chosen].depth)
            end_innermost(p, &p->out->lanes[chosen]);
    } else {
        p->out->lanes = need_room(p->out->lanes, p->out->count, &p->out->capacity, sizeof *p->out->lanes);
        if (!group->lane_count)
            group->first_lane = chosen;
        p->out->lanes[p->out->count++] =
            (lane){.group = span->group, .number = group->lane_count++, .first = group->first_lane};
    }
    heap_push(&group->busy, (heap_item){span->end, chosen});
    return chosen;
}

static void place(placing *p, uint32_t index)
{
    placed_span *span = &p->spans[index];
    span->nested = fits_below_parent(p, span);
    span->lane = span->nested ? p->spans[span->parent].lane : lowest_idle(p, span);
    lane *on = &p->out->lanes[span->lane];
    on->open = need_room(on->open, on->depth, &on->capacity, sizeof *on->open);
    on->open[on->depth++] = index;
    span->begins = p->sequence++;
}

void lanes_place(lanes *out, placed_span *spans, uint32_t span_count, uint32_t group_count)
{
    *out = (lanes){0};
    placing p = {
        .out = out, .spans = spans, .groups = need_zeroes((size_t)group_count + 1, sizeof *p.groups)};
    for (uint32_t i = 0; i < span_count; i++)
        spans[i].lane = LANES_NONE;
    size_t count;
    order_key *keys = in_order(spans, span_count, &count);
    for (size_t i = 0; i < count; i++)
        place(&p, keys[i].span);
    for (size_t i = 0; i < out->count; i++)
        while (out->lanes[i].depth)
            end_innermost(&p, &out->lanes[i]);
    free(keys);
    for (uint32_t i = 0; i < group_count; i++) {
        free(p.groups[i].busy.items);
        free(p.groups[i].idle.items);
    }
    free(p.groups);
}

void lanes_free(lanes *out)
{
    for (size_t i = 0; i < out->count; i++)
        free(out->lanes[i].open);
    free(out->lanes);
    *out = (lanes){0};
}
