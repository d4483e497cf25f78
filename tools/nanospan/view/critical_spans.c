// SPDX-License-Identifier: Apache-2.0
#include "critical_spans.h"

#include "support/trace_notes.h"
#include "support/units.h"
#include <stdlib.h>

enum { LEAST_NAME = 8, ROOM_FOR_OTHERS = 24 };

static const double LEAST_SHARE = 0.001; // lesser ones are summed up

// By counting: path's parts are in the order of time already.
static void sort_by_span(critical_spans *out, const critical_path *path, uint32_t count)
{
    for (size_t i = 0; i < path->count; i++) {
        const critical_part *part = &path->parts[i];
        out->whole += part->end - part->start;
        if (part->at == NOBODY) {
            out->not_seen += part->end - part->start;
            continue;
        }
        out->first[part->at + 1]++;
        out->lengths[part->at] += part->end - part->start;
    }
    for (uint32_t i = 0; i < count; i++)
        out->first[i + 1] += out->first[i];
    uint32_t *filled = need_zeroes((size_t)count + 1, sizeof *filled);
    for (size_t i = 0; i < path->count; i++) {
        const uint32_t at = path->parts[i].at;
        if (at != NOBODY)
            out->parts[out->first[at] + filled[at]++] = path->parts[i];
    }
    free(filled);
}

void critical_spans_find(critical_spans *out, const span_tree *tree, const trace *t)
{
    critical_path path = {0};
    critical_path_find(&path, tree, t);
    *out = (critical_spans){.parts = need_memory((path.count + 1) * sizeof *out->parts),
                            .first = need_zeroes((size_t)tree->count + 2, sizeof *out->first),
                            .lengths = need_zeroes((size_t)tree->count + 1, sizeof *out->lengths)};
    sort_by_span(out, &path, tree->count);
    critical_path_free(&path);
}

void critical_spans_free(critical_spans *spans)
{
    free(spans->parts);
    free(spans->first);
    free(spans->lengths);
}

// What all spans of a name have of the path.
typedef struct name_share {
    uint32_t name; // NOBODY: not seen
    uint64_t length;
} name_share;

static int by_name(const void *a, const void *b)
{
    const name_share *left = a, *right = b;
    return left->name < right->name ? -1 : left->name > right->name;
}

static int longest_first(const void *a, const void *b)
{
    const name_share *left = a, *right = b;
    if (left->length != right->length)
        return left->length > right->length ? -1 : 1;
    return by_name(a, b);
}

static size_t by_names(name_share *out, const critical_spans *spans, const span_tree *tree)
{
    size_t given = 0, count = 0;
    for (uint32_t i = 0; i < tree->count; i++)
        if (spans->lengths[i])
            out[given++] = (name_share){tree->rows[i].name, spans->lengths[i]};
    if (spans->not_seen)
        out[given++] = (name_share){NOBODY, spans->not_seen};
    qsort(out, given, sizeof *out, by_name);
    for (size_t i = 0; i < given; i++)
        if (count && out[count - 1].name == out[i].name)
            out[count - 1].length += out[i].length;
        else
            out[count++] = out[i];
    qsort(out, count, sizeof *out, longest_first);
    return count;
}

// One of them, if there is room; its name is cut, but to no less than a few columns.
static size_t put_share(text *line, const trace_store *store, const name_share *one, uint64_t whole,
                        size_t room)
{
    char share[UNITS_SIZE];
    text name = {0};
    if (one->name == NOBODY)
        text_put(&name, "not seen");
    else
        trace_notes_plain(&name, store->strings[one->name]);
    units_share(share, (double)one->length / (double)whole);
    const size_t columns = paint_width((slice){name.data, name.length}), others = 3 + strlen(share);
    const bool fits = columns + others <= room;
    size_t used = 0;
    if (fits || room >= others + LEAST_NAME + 1) {
        const slice shown = paint_head((slice){name.data, name.length}, fits ? columns : room - others - 1);
        text_put(line, line->length ? "  " : " ");
        text_slice(line, shown);
        text_format(line, "%s %s", fits ? "" : "\u2026", share);
        used = paint_width(shown) + (fits ? 0 : 1) + others;
    }
    text_free(&name);
    return used;
}

void critical_spans_line(paint *p, const critical_spans *spans, const trace_store *store,
                         const span_tree *tree)
{
    static const char TITLE[] = "  critical path:";
    name_share *names = need_memory(((size_t)tree->count + 1) * sizeof *names);
    const size_t count = by_names(names, spans, tree);
    text line = {0};
    size_t shown = 0, room = p->width - (sizeof TITLE - 1), others = 0;
    uint64_t rest = spans->whole;
    for (; shown < count && (!shown || (double)names[shown].length >= LEAST_SHARE * (double)spans->whole);
         shown++) {
        const bool last = shown + 1 == count;
        const size_t used = put_share(&line, store, &names[shown], spans->whole,
                                      last                     ? room
                                      : room > ROOM_FOR_OTHERS ? room - ROOM_FOR_OTHERS
                                                               : 0);
        if (!used)
            break;
        room -= used;
        rest -= names[shown].length;
    }
    others = count - shown;
    paint_add(p, PAINT_DIM, nsp__slice_of(TITLE));
    if (others) {
        char share[UNITS_SIZE];
        units_share(share, (double)rest / (double)spans->whole);
        text_format(&line, "  %zu other%s %s", others, others == 1 ? "" : "s", share);
    }
    if (!count)
        text_put(&line, " none, since it took no time");
    text_char(&line, '\n');
    paint_add(p, PAINT_CYAN, (slice){line.data, line.length});
    text_free(&line);
    free(names);
}
