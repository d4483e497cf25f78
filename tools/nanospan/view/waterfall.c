// SPDX-License-Identifier: Apache-2.0
#include "waterfall.h"

#include "critical_spans.h"
#include "support/span_tree.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "view_links.h"
#include "waterfall_bar.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// Columns: the tree with the names, the duration, the self time and the time line, separated by two spaces.
enum {
    TIME_COLUMNS = 9,
    SHARE_COLUMNS = 7,
    GAP = 2,
    LEAST_NAMES = 16,
    LEAST_LINE = 12,
    DEEPEST_INDENT = 24,
    GUIDE = 3,
    ROOM_FOR_BOTH = 76
};

typedef struct canvas {
    paint *p;
    const trace_store *store;
    const trace *t;
    const span_tree *tree;
    size_t names;                   // columns of the tree with its names
    size_t line;                    // columns of the time line
    uint32_t deepest;               // deeper levels are drawn at this one
    text guides;                    // the tree's lines in front of the current span
    bool links;                     // each is shown, however many a span has
    const critical_spans *critical; // its shares take the place of self times; NULL: self times
    bool share_only;                // there is no room for the time that is on the critical path
} canvas;

static const char *const KINDS[] = {"", "", "server", "client", "producer", "consumer"};

static slice string_of(const canvas *c, uint32_t index)
{
    return c->store->strings[index];
}

// A span shows its service only if it differs from its parent's. A span without a parent is compared with the
// service in the headline.
static bool changes_service(const canvas *c, uint32_t at)
{
    uint32_t parent = c->tree->nodes[at].parent;
    uint32_t before = parent == NOBODY ? c->store->rows[c->t->root].service : c->tree->rows[parent].service;
    return before != c->tree->rows[at].service;
}

// The text after a span's name: its kind and service.
static void about(const canvas *c, uint32_t at, text *out)
{
    const span_row *row = &c->tree->rows[at];
    if (row->kind > 1 && row->kind < sizeof KINDS / sizeof KINDS[0])
        text_format(out, " %s", KINDS[row->kind]);
    if (changes_service(c, at)) {
        text_put(out, " @");
        trace_notes_plain(out, string_of(c, row->service));
    }
}

static bool is_top(const canvas *c, uint32_t at)
{
    return c->tree->nodes[at].parent == NOBODY && !c->tree->nodes[at].orphan;
}

// Orphans are drawn under a line of their own, so they are indented by one level.
static uint32_t level(const canvas *c, uint32_t at, bool under_orphan)
{
    uint32_t depth = c->tree->nodes[at].depth + under_orphan;
    return depth < c->deepest ? depth : c->deepest;
}

static bool has_later_sibling(const canvas *c, uint32_t at)
{
    if (c->tree->nodes[at].parent != NOBODY)
        return c->tree->nodes[at].next != NOBODY;
    // Orphans have no common parent: the sibling is the next orphan in the order.
    for (uint32_t i = at + 1; i < c->tree->count; i++)
        if (c->tree->nodes[i].parent == NOBODY && c->tree->nodes[i].orphan)
            return true;
    return false;
}

// Fills c->guides for the lines below the span; each level takes three columns.
static void draw_guides(canvas *c, uint32_t at, bool under_orphan)
{
    const char *pieces[DEEPEST_INDENT];
    uint32_t levels = level(c, at, under_orphan), used = 0;
    for (uint32_t up = at; used < levels && up != NOBODY; up = c->tree->nodes[up].parent)
        pieces[used++] = has_later_sibling(c, up) ? "\u2502  " : "   ";
    c->guides.length = 0;
    while (used)
        text_slice(&c->guides, nsp__slice_of(pieces[--used]));
}

static size_t name_columns(const canvas *c, uint32_t at, bool under_orphan)
{
    text behind = {0}, name = {0};
    about(c, at, &behind);
    trace_notes_plain(&name, string_of(c, c->tree->rows[at].name));
    size_t columns = GUIDE * (size_t)level(c, at, under_orphan) +
                     paint_width((slice){name.data, name.length}) +
                     paint_width((slice){behind.data, behind.length}) + 2;
    text_free(&behind);
    text_free(&name);
    return columns;
}

static void lay_out(canvas *c, uint32_t shown)
{
    size_t rest = c->p->width - 2 * (TIME_COLUMNS + GAP) - GAP - 1;
    c->share_only = c->critical != NULL && c->p->width < ROOM_FOR_BOTH;
    if (c->critical != NULL)
        rest = c->share_only ? rest + TIME_COLUMNS - SHARE_COLUMNS : rest - GAP - SHARE_COLUMNS;
    size_t most = rest - LEAST_LINE < rest * 6 / 10 ? rest - LEAST_LINE : rest * 6 / 10;
    c->deepest = (uint32_t)((most - LEAST_NAMES) / GUIDE);
    c->deepest = c->deepest < DEEPEST_INDENT ? c->deepest : DEEPEST_INDENT;
    c->names = LEAST_NAMES;
    bool under_orphan = false;
    for (uint32_t i = 0; i < shown; i++) {
        uint32_t at = c->tree->order[i];
        under_orphan = c->tree->nodes[at].parent == NOBODY ? c->tree->nodes[at].orphan : under_orphan;
        size_t columns = name_columns(c, at, under_orphan);
        c->names = columns > c->names ? columns : c->names;
    }
    c->names = c->names > most ? most : c->names;
    c->line = rest - c->names;
}

static void headline(canvas *c)
{
    const trace *t = c->t;
    const span_row *root = &c->store->rows[t->root];
    char duration[UNITS_SIZE], time[UNITS_SIZE], count[UNITS_SIZE];
    units_duration(duration, t->duration);
    units_time(time, t->start);
    units_count(count, t->count);
    text name = {0}, facts = {0};
    trace_notes_plain(&name, t->rooted ? string_of(c, root->name) : nsp__slice_of("(root not seen)"));
    paint_add(c->p, t->errors ? PAINT_RED : PAINT_CYAN, nsp__slice_of("\u25cf "));
    paint_add(c->p, PAINT_BOLD, (slice){name.data, name.length});
    text_format(&facts, "  %s  ", duration);
    paint_add(c->p, PAINT_YELLOW, (slice){facts.data, facts.length});
    facts.length = 0;
    if (string_of(c, root->service).length)
        trace_notes_plain(&facts, string_of(c, root->service));
    text_format(&facts, "%s%s %s", facts.length ? "  " : "", count, t->count == 1 ? "span" : "spans");
    paint_add(c->p, PAINT_PLAIN, (slice){facts.data, facts.length});
    if (t->errors) {
        facts.length = 0;
        text_format(&facts, "  %" PRIu32 " failed", t->errors);
        paint_add(c->p, PAINT_RED, (slice){facts.data, facts.length});
    }
    if (t->kept != KEPT_NOT) {
        facts.length = 0;
        text_format(&facts, "  kept: %s", kept_word((kept_why)t->kept));
        paint_add(c->p, PAINT_CYAN, (slice){facts.data, facts.length});
    }
    facts.length = 0;
    text_format(&facts, "\n  trace %016" PRIx64 "%016" PRIx64 "  %s UTC\n", t->id[0], t->id[1], time);
    paint_add(c->p, PAINT_DIM, (slice){facts.data, facts.length});
    if ((t->preempted | t->waited) != 0)
        waterfall_off_cpu_line(c->p, t);
    if (c->critical != NULL)
        critical_spans_line(c->p, c->critical, c->store, c->tree);
    text_free(&name);
    text_free(&facts);
}

static void column_titles(canvas *c)
{
    char total[UNITS_SIZE];
    units_duration(total, c->t->end - c->t->start);
    paint_spaces(c->p, c->names);
    paint_spaces(c->p, GAP);
    paint_right(c->p, PAINT_DIM, nsp__slice_of("duration"), TIME_COLUMNS);
    if (!c->share_only) {
        paint_spaces(c->p, GAP);
        paint_right(c->p, PAINT_DIM, nsp__slice_of(c->critical != NULL ? "critical" : "self"), TIME_COLUMNS);
    }
    if (c->critical != NULL) {
        paint_spaces(c->p, GAP);
        paint_right(c->p, PAINT_DIM, nsp__slice_of(c->share_only ? "crit." : ""), SHARE_COLUMNS);
    }
    paint_spaces(c->p, GAP);
    paint_add(c->p, PAINT_DIM, nsp__slice_of("0"));
    paint_right(c->p, PAINT_DIM, nsp__slice_of(total), c->line - 1);
    text_char(c->p->out, '\n');
}

static void name_cell(canvas *c, uint32_t at, bool under_orphan)
{
    const span_row *row = &c->tree->rows[at];
    const bool failed = row->status == STATUS_ERROR, aside = c->critical != NULL && !c->critical->lengths[at];
    // The last guide becomes the branch to this span.
    size_t columns = 0;
    if (level(c, at, under_orphan)) {
        bool goes_on = has_later_sibling(c, at);
        size_t last = goes_on ? strlen("\u2502  ") : GUIDE;
        columns = paint_add(c->p, PAINT_DIM, (slice){c->guides.data, c->guides.length - last});
        columns += paint_add(c->p, PAINT_DIM, nsp__slice_of(goes_on ? "\u251c\u2500 " : "\u2514\u2500 "));
    }
    text name = {0}, behind = {0};
    trace_notes_plain(&name, string_of(c, row->name));
    if (failed)
        text_put(&name, " \u2717");
    about(c, at, &behind);
    size_t room = c->names > columns ? c->names - columns : 0;
    size_t width = paint_width((slice){name.data, name.length});
    paint_colour colour = failed ? PAINT_RED : aside ? PAINT_DIM : is_top(c, at) ? PAINT_BOLD : PAINT_PLAIN;
    paint_cell(c->p, colour, (slice){name.data, name.length}, width < room ? width : room);
    paint_cell(c->p, PAINT_DIM, (slice){behind.data, behind.length}, width < room ? room - width : 0);
    text_free(&name);
    text_free(&behind);
}

static void number(canvas *c, paint_colour colour, const char *shown, size_t columns)
{
    paint_spaces(c->p, GAP);
    paint_right(c->p, colour, nsp__slice_of(shown), columns);
}

// The duration, and how much of it is the span's own: self time, or its part of the critical path.
static void numbers(canvas *c, uint32_t at)
{
    const uint64_t all = c->tree->rows[at].duration;
    char duration[UNITS_SIZE], own[UNITS_SIZE], share[UNITS_SIZE];
    units_duration(duration, all);
    if (c->critical == NULL) {
        units_duration(own, c->tree->nodes[at].self);
        number(c, PAINT_YELLOW, duration, TIME_COLUMNS);
        number(c, PAINT_DIM, c->tree->nodes[at].self == all ? "\u00b7" : own, TIME_COLUMNS);
        return;
    }
    const uint64_t length = c->critical->lengths[at];
    units_duration(own, length);
    units_share(share, c->critical->whole ? (double)length / (double)c->critical->whole : 0);
    number(c, length ? PAINT_PLAIN : PAINT_DIM, duration, TIME_COLUMNS);
    if (!c->share_only)
        number(c, length ? PAINT_YELLOW : PAINT_DIM, length ? own : "\u00b7", TIME_COLUMNS);
    number(c, length ? PAINT_YELLOW : PAINT_DIM, length || c->share_only ? share : "", SHARE_COLUMNS);
}

static void span_line(canvas *c, uint32_t at, bool under_orphan)
{
    const waterfall_bar bar = {.store = c->store, .t = c->t, .critical = c->critical, .columns = c->line};
    name_cell(c, at, under_orphan);
    numbers(c, at);
    paint_spaces(c->p, GAP);
    waterfall_bar_draw(c->p, &bar, c->tree, at,
                       c->tree->rows[at].status == STATUS_ERROR   ? PAINT_RED
                       : c->tree->nodes[at].first_child == NOBODY ? PAINT_CYAN
                                                                  : PAINT_BLUE);
    text_char(c->p->out, '\n');
}

// A line of notes begins with the guides and the line that leads down to the first child.
static size_t begin_note(canvas *c, uint32_t at)
{
    size_t columns = paint_add(c->p, PAINT_DIM, (slice){c->guides.data, c->guides.length});
    bool has_children = c->tree->nodes[at].first_child != NOBODY;
    return columns + paint_add(c->p, PAINT_DIM, nsp__slice_of(has_children ? "\u2502 " : "  "));
}

// Attributes share a paragraph; each of the other notes has a line of its own.
static void attribute_lines(canvas *c, uint32_t at, const span_notes *notes)
{
    size_t column = 0;
    for (size_t i = 0; i < notes->count; i++) {
        const note *one = &notes->notes[i];
        slice value = {one->text.data, one->text.length};
        if (one->type != NOTE_ATTRIBUTE)
            continue;
        size_t width = paint_width(value);
        if (column && column + GAP + width > c->p->width) {
            text_char(c->p->out, '\n');
            column = 0;
        }
        if (column) {
            paint_spaces(c->p, GAP);
            column += GAP;
        } else {
            column = begin_note(c, at);
        }
        const char *equals = memchr(value.text, '=', value.length);
        size_t key = (size_t)(equals - value.text) + 1;
        paint_add(c->p, PAINT_DIM, (slice){value.text, key});
        paint_add(c->p, PAINT_PLAIN, (slice){value.text + key, value.length - key});
        column += width;
    }
    if (column)
        text_char(c->p->out, '\n');
}

// One line instead of many links, which would push the tree off the terminal.
static void links_line(canvas *c, uint32_t at, const view_links *links, bool history)
{
    text line = {0};
    begin_note(c, at);
    paint_add(c->p, PAINT_CYAN, nsp__slice_of("\u2192 "));
    view_links_say(&line, links, history);
    text_char(&line, '\n');
    paint_add(c->p, PAINT_DIM, (slice){line.data, line.length});
    text_free(&line);
}

static void other_lines(canvas *c, uint32_t at, const span_notes *notes)
{
    const view_links links = view_links_of(notes);
    uint64_t link = 0;
    for (size_t i = 0; i < notes->count; i++) {
        const note *one = &notes->notes[i];
        slice value = {one->text.data, one->text.length};
        if (one->type == NOTE_ATTRIBUTE || (one->type == NOTE_STATUS && !value.length))
            continue;
        if (one->type == NOTE_LINK && !c->links) {
            const bool history = link >= links.own, first = link == 0 || link == links.own;
            link++;
            if ((history ? links.history : links.own) > VIEW_LINKS_SHOWN) {
                if (first)
                    links_line(c, at, &links, history);
                continue;
            }
        }
        begin_note(c, at);
        if (one->type == NOTE_EVENT) {
            char offset[UNITS_SIZE];
            text when = {0};
            bool before = one->time < c->tree->rows[at].start;
            units_duration(offset, before ? c->tree->rows[at].start - one->time
                                          : one->time - c->tree->rows[at].start);
            text_format(&when, "%s%s ", before ? "-" : "+", offset);
            paint_add(c->p, PAINT_CYAN, nsp__slice_of("\u25c6 "));
            paint_add(c->p, PAINT_YELLOW, (slice){when.data, when.length});
            text_free(&when);
        } else if (one->type == NOTE_LINK) {
            paint_add(c->p, PAINT_CYAN, nsp__slice_of("\u2192 "));
        }
        paint_add(c->p, one->type == NOTE_STATUS ? PAINT_RED : PAINT_PLAIN, value);
        text_char(c->p->out, '\n');
    }
}

static void orphans_line(canvas *c)
{
    paint_add(c->p, PAINT_DIM, nsp__slice_of("(parent not seen)\n"));
}

void view_waterfall(paint *p, const trace_store *store, const trace *t, const span_notes *notes,
                    const view_style *style)
{
    span_tree tree;
    critical_spans critical = {0};
    span_tree_build(&tree, store, t);
    canvas c = {.p = p, .store = store, .t = t, .tree = &tree, .links = style->links};
    if (style->critical) {
        critical_spans_find(&critical, &tree, t);
        c.critical = &critical;
    }
    uint32_t shown =
        style->most_rows && style->most_rows < tree.count ? (uint32_t)style->most_rows : tree.count;
    lay_out(&c, shown);
    headline(&c);
    column_titles(&c);
    bool under_orphan = false;
    for (uint32_t i = 0; i < shown; i++) {
        uint32_t at = tree.order[i];
        if (tree.nodes[at].parent == NOBODY) {
            if (tree.nodes[at].orphan && !under_orphan)
                orphans_line(&c);
            under_orphan = tree.nodes[at].orphan;
        }
        draw_guides(&c, at, under_orphan);
        span_line(&c, at, under_orphan);
        if (notes != NULL) {
            attribute_lines(&c, at, &notes[at]);
            other_lines(&c, at, &notes[at]);
        }
    }
    if (shown < tree.count) {
        char hidden[UNITS_SIZE];
        text line = {0};
        units_count(hidden, tree.count - shown);
        text_format(&line, "\u2026 %s more spans; --spans 0 shows all\n", hidden);
        paint_add(p, PAINT_DIM, (slice){line.data, line.length});
        text_free(&line);
    }
    text_free(&c.guides);
    critical_spans_free(&critical);
    span_tree_free(&tree);
}
