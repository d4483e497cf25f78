// SPDX-License-Identifier: Apache-2.0
#include "critical_path.h"

#include <stdlib.h>

typedef struct candidate {
    uint64_t end;
    uint32_t at;
} candidate;

// A span that the walk is in, and which part of its time it has to explain. The walk goes back from `until` to `from`.
typedef struct frame {
    uint32_t at;
    uint64_t from, until;
    candidate *children; // that may be taken, the one that ends last at the end
    size_t left;
    uint32_t *running; // a heap of those that had not ended by `until`: the one that started last on top
    size_t running_count;
} frame;

typedef struct walk {
    const span_tree *tree;
    critical_path *path;
    frame *frames;
    size_t depth, capacity;
    // Of all frames together: each child is in one of them at most.
    candidate *children;
    uint32_t *running;
    size_t used;
} walk;

// Rows are sorted by start, so a later index is a later start.
static int by_end(const void *a, const void *b)
{
    const candidate *left = a, *right = b;
    if (left->end != right->end)
        return left->end < right->end ? -1 : 1;
    return left->at < right->at ? -1 : left->at > right->at;
}

static void heap_add(frame *f, uint32_t added)
{
    size_t at = f->running_count++;
    for (; at && f->running[(at - 1) / 2] < added; at = (at - 1) / 2)
        f->running[at] = f->running[(at - 1) / 2];
    f->running[at] = added;
}

static uint32_t heap_take(frame *f)
{
    const uint32_t top = f->running[0], last = f->running[--f->running_count];
    size_t at = 0;
    for (size_t below = 1; below < f->running_count; below = 2 * at + 1) {
        if (below + 1 < f->running_count && f->running[below + 1] > f->running[below])
            below++;
        if (f->running[below] <= last)
            break;
        f->running[at] = f->running[below];
        at = below;
    }
    f->running[at] = last;
    return top;
}

static void add_part(critical_path *path, uint32_t at, uint64_t start, uint64_t end)
{
    if (end <= start)
        return;
    critical_part *after = path->count ? &path->parts[path->count - 1] : NULL;
    if (after != NULL && after->at == at && after->start == end) {
        after->start = start; // only a child without a duration lies in between
        return;
    }
    path->parts = need_room(path->parts, path->count, &path->capacity, sizeof *path->parts);
    path->parts[path->count++] = (critical_part){at, start, end};
}

static uint64_t end_of(const walk *w, uint32_t at)
{
    return w->tree->rows[at].start + w->tree->rows[at].duration;
}

static void add_child(walk *w, frame *f, uint32_t at)
{
    if (w->tree->rows[at].start < f->until && end_of(w, at) > f->from)
        f->children[f->left++] = (candidate){end_of(w, at), at};
}

// Enters a span whose time from `from` to `until` is on the path. NOBODY stands above the spans without a parent.
static void enter(walk *w, uint32_t at, uint64_t from, uint64_t until)
{
    w->frames = need_room(w->frames, w->depth, &w->capacity, sizeof *w->frames);
    frame *f = &w->frames[w->depth++];
    *f = (frame){.at = at,
                 .from = from,
                 .until = until,
                 .children = w->children + w->used,
                 .running = w->running + w->used};
    if (at != NOBODY)
        for (uint32_t i = w->tree->nodes[at].first_child; i != NOBODY; i = w->tree->nodes[i].next)
            add_child(w, f, i);
    for (uint32_t i = 0; at == NOBODY && i < w->tree->count; i++)
        if (w->tree->nodes[i].parent == NOBODY)
            add_child(w, f, i);
    w->used += f->left;
    qsort(f->children, f->left, sizeof *f->children, by_end);
}

// The child that the span was waiting for at f->until, or else the one that ended last before; NOBODY: there is none.
static uint32_t take_child(const walk *w, frame *f)
{
    while (f->left && f->children[f->left - 1].end >= f->until)
        heap_add(f, f->children[--f->left].at);
    while (f->running_count) {
        const uint32_t child = heap_take(f);
        if (w->tree->rows[child].start < f->until)
            return child;
    }
    return f->left ? f->children[--f->left].at : NOBODY;
}

// Goes down to a child, or leaves the span.
static void step(walk *w)
{
    frame *f = &w->frames[w->depth - 1];
    const uint32_t child = f->until > f->from ? take_child(w, f) : NOBODY;
    if (child == NOBODY) {
        add_part(w->path, f->at, f->from, f->until);
        w->used = (size_t)(f->children - w->children);
        w->depth--;
        return;
    }
    const uint64_t child_start = w->tree->rows[child].start, child_end = end_of(w, child);
    const uint64_t end = child_end < f->until ? child_end : f->until;
    // By another clock, a child may begin before its parent: that part of it explains nothing here.
    const uint64_t start = child_start > f->from ? child_start : f->from;
    add_part(w->path, f->at, end, f->until);
    f->until = start;
    enter(w, child, start, end);
}

static void reverse(critical_path *path)
{
    for (size_t i = 0; i < path->count / 2; i++) {
        const critical_part part = path->parts[i];
        path->parts[i] = path->parts[path->count - 1 - i];
        path->parts[path->count - 1 - i] = part;
    }
}

void critical_path_find(critical_path *path, const span_tree *tree, const trace *t)
{
    const size_t most = (size_t)tree->count + 1;
    walk w = {.tree = tree,
              .path = path,
              .children = need_memory(most * sizeof *w.children),
              .running = need_memory(most * sizeof *w.running)};
    path->count = 0;
    if (t->rooted) {
        const uint32_t root = t->root - t->first;
        enter(&w, root, tree->rows[root].start, end_of(&w, root));
    } else {
        enter(&w, NOBODY, t->start, t->end);
    }
    while (w.depth)
        step(&w);
    reverse(path);
    free(w.frames);
    free(w.children);
    free(w.running);
}

void critical_path_free(critical_path *path)
{
    free(path->parts);
    *path = (critical_path){0};
}
