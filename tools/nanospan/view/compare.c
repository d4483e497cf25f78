// SPDX-License-Identifier: Apache-2.0
#include "compare.h"

#include "phase_table.h"
#include "root_groups.h"
#include "support/units.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT_COLUMNS = 10, TIME_COLUMNS = 9, GAP = 2, LABEL_COLUMNS = 9 };

// Both sides of a comparison.
typedef struct comparison {
    const view_options *o;
    paint *p;
    trace_set sets[2];     // the one that is compared with, and the one that is looked at
    const char *labels[2]; // at most LABEL_COLUMNS wide
    const trace_store *names;
} comparison;

// Cut to what is left of the line.
static void put_cut(paint *p, paint_colour colour, const text *value, size_t used)
{
    const slice whole = {value->data, value->length};
    const size_t width = paint_width(whole), room = p->width > used ? p->width - used : 0;
    paint_cell(p, colour, whole, width < room ? width : room);
}

static void headline(const comparison *c, const root_group *group)
{
    const double change =
        trace_mean(group->traces[1], group->counts[1]) - trace_mean(group->traces[0], group->counts[0]);
    char shown[40];
    text name = {0}, facts = {0};
    root_group_name(&name, c->names, group->name);
    phase_table_change(shown, change);
    text_format(&facts, "  %s", shown);
    paint_add(c->p, PAINT_CYAN, nsp__slice_of("\u25cf "));
    put_cut(c->p, PAINT_BOLD, &name, 2 + paint_width((slice){facts.data, facts.length}));
    paint_add(c->p, change > 0 ? PAINT_RED : PAINT_CYAN, (slice){facts.data, facts.length});
    text_char(c->p->out, '\n');
    text_free(&name);
    text_free(&facts);
}

static void duration_cell(paint *p, uint64_t duration)
{
    char shown[UNITS_SIZE];
    units_duration(shown, duration);
    paint_spaces(p, GAP);
    paint_right(p, PAINT_PLAIN, nsp__slice_of(shown), TIME_COLUMNS);
}

// How many traces each side has, and how long they took.
static void sides(const comparison *c, const root_group *group)
{
    static const char *const TITLES[] = {"mean", "p50", "p99"};
    paint *p = c->p;
    paint_spaces(p, GAP + LABEL_COLUMNS);
    paint_right(p, PAINT_DIM, nsp__slice_of("traces"), COUNT_COLUMNS);
    for (int i = 0; i < 3; i++) {
        paint_spaces(p, GAP);
        paint_right(p, PAINT_DIM, nsp__slice_of(TITLES[i]), TIME_COLUMNS);
    }
    text_char(p->out, '\n');
    for (int set = 0; set < 2; set++) {
        const trace *const *traces = group->traces[set];
        const size_t count = group->counts[set];
        char number[UNITS_SIZE];
        units_count(number, count);
        paint_spaces(p, GAP);
        paint_cell(p, PAINT_PLAIN, nsp__slice_of(c->labels[set]), LABEL_COLUMNS);
        paint_right(p, PAINT_PLAIN, nsp__slice_of(number), COUNT_COLUMNS);
        duration_cell(p, (uint64_t)(trace_mean(traces, count) + 0.5));
        duration_cell(p, trace_quantile(traces, count, 0.5));
        duration_cell(p, trace_quantile(traces, count, 0.99));
        text_char(p->out, '\n');
    }
}

static void table(const comparison *c, const root_group *group, bool difference)
{
    phases found = {0};
    for (int set = 0; set < 2; set++)
        for (size_t i = 0; i < group->counts[set]; i++)
            phases_add(&found, set, c->sets[set].store, c->sets[set].names, group->traces[set][i]);
    const phase_table drawn = {.phases = &found,
                               .names = c->names->strings,
                               .titles = {c->labels[0], c->labels[1]},
                               .difference = difference,
                               .most_rows = c->o->style.most_rows};
    phase_table_draw(c->p, &drawn);
    text_char(c->p->out, '\n');
    phases_free(&found);
}

// The groups that have traces on one side only, in one line.
static void lonely_line(const comparison *c, const root_groups *groups, int set, const char *title)
{
    text line = {0};
    size_t listed = 0, more = 0;
    char number[UNITS_SIZE];
    for (size_t i = 0; i < groups->count; i++) {
        const root_group *group = &groups->list[i];
        if (!group->counts[set] || group->counts[!set])
            continue;
        if (c->o->limit && listed == c->o->limit) {
            more++;
            continue;
        }
        units_count(number, group->counts[set]);
        text_format(&line, "%s ", listed++ ? "," : title);
        root_group_name(&line, c->names, group->name);
        text_format(&line, " (%s)", number);
    }
    if (more)
        text_format(&line, ", and %zu more", more);
    if (line.length) {
        text_char(&line, '\n');
        paint_add(c->p, PAINT_YELLOW, (slice){line.data, line.length});
    }
    text_free(&line);
}

static void more_line(const comparison *c, size_t hidden)
{
    text line = {0};
    if (!hidden)
        return;
    text_format(&line, "\u2026 %zu more root name%s; --limit 0 shows all\n", hidden, hidden == 1 ? "" : "s");
    paint_add(c->p, PAINT_DIM, (slice){line.data, line.length});
    text_free(&line);
}

static void draw(const comparison *c, root_groups *groups)
{
    size_t compared = 0, shown = 0;
    for (size_t i = 0; i < groups->count; i++) {
        const root_group *group = &groups->list[i];
        if (!group->counts[0] || !group->counts[1])
            continue;
        compared++;
        if (c->o->limit && shown == c->o->limit)
            continue;
        shown++;
        headline(c, group);
        sides(c, group);
        table(c, group, true);
    }
    more_line(c, compared - shown);
    if (!compared && groups->count)
        paint_add(c->p, PAINT_YELLOW, nsp__slice_of("nothing to compare: no root name is on both sides\n"));
}

static void compare_slowest(comparison *c)
{
    c->labels[0] = "middle";
    c->labels[1] = "slowest";
    paint_add(c->p, PAINT_DIM,
              nsp__slice_of(
                  "the slowest 1 % against the middle, which is from the 25th to the 75th percentile\n\n"));
    c->sets[1] = (trace_set){.store = c->sets[0].store};
    root_groups groups = root_groups_make(c->sets);
    for (size_t i = 0; i < groups.count; i++)
        root_group_split(&groups.list[i]);
    draw(c, &groups);
    lonely_line(c, &groups, 1, "one trace only:");
    free(groups.list);
}

// Moves the later traces to the end; returns how many are before.
static size_t divide(const trace **traces, size_t count, uint64_t at)
{
    size_t before = 0;
    for (size_t i = 0; i < count; i++)
        if (traces[i]->start < at) {
            const trace *moved = traces[i];
            traces[i] = traces[before];
            traces[before++] = moved;
        }
    return before;
}

static void compare_at(comparison *c)
{
    trace_set *all = &c->sets[0];
    uint64_t at = c->o->compare_at.time, first = UINT64_MAX;
    char shown[UNITS_SIZE];
    text what = {0};
    for (size_t i = 0; i < all->count; i++)
        first = all->traces[i]->start < first ? all->traces[i]->start : first;
    if (c->o->compare_at.relative)
        at = at > UINT64_MAX - first ? UINT64_MAX : first + at;
    const size_t before = divide(all->traces, all->count, at);
    units_time(shown, at);
    c->labels[0] = "before";
    c->labels[1] = "after";
    text_format(&what, "traces that start at %s UTC or later against earlier ones\n\n", shown);
    paint_add(c->p, PAINT_DIM, (slice){what.data, what.length});
    text_free(&what);
    c->sets[1] =
        (trace_set){.store = all->store, .traces = all->traces + before, .count = all->count - before};
    all->count = before;
    root_groups groups = root_groups_make(c->sets);
    draw(c, &groups);
    lonely_line(c, &groups, 0, "only before:");
    lonely_line(c, &groups, 1, "only after:");
    free(groups.list);
}

static void compare_files(comparison *c, view_files *files, const view_files *other_files,
                          const trace **others, size_t other_count)
{
    const trace_store *store = &other_files->store;
    uint32_t *names = need_memory((store->string_count + 1) * sizeof *names);
    for (size_t i = 0; i < store->string_count; i++)
        names[i] = trace_store_string(&files->store, store->strings[i]);
    c->labels[0] = "OTHER";
    c->labels[1] = "FILE";
    text what = {0};
    text_put(&what, "FILE   ");
    view_files_names(files, &what);
    text_put(&what, "\nOTHER  ");
    view_files_names(other_files, &what);
    text_put(&what, "\n\n");
    paint_add(c->p, PAINT_DIM, (slice){what.data, what.length});
    text_free(&what);
    c->sets[1] = c->sets[0];
    c->sets[0] = (trace_set){.store = store, .names = names, .traces = others, .count = other_count};
    root_groups groups = root_groups_make(c->sets);
    draw(c, &groups);
    lonely_line(c, &groups, 0, "only in OTHER:");
    lonely_line(c, &groups, 1, "only in FILE:");
    free(groups.list);
    free(names);
}

void view_compare(const view_options *o, paint *p, view_files *files, const trace **chosen, size_t count,
                  const view_files *other_files, const trace **others, size_t other_count)
{
    comparison c = {.o = o,
                    .p = p,
                    .sets = {{.store = &files->store, .traces = chosen, .count = count}},
                    .names = &files->store};
    if (o->compare == COMPARE_SLOWEST)
        compare_slowest(&c);
    else if (o->compare == COMPARE_AT)
        compare_at(&c);
    else
        compare_files(&c, files, other_files, others, other_count);
}

void view_critical_summary(const view_options *o, paint *p, const trace_store *store, const trace **chosen,
                           size_t count)
{
    comparison c = {.o = o,
                    .p = p,
                    .sets = {{.store = store, .traces = chosen, .count = count}, {.store = store}},
                    .labels = {"all", "slowest"},
                    .names = store};
    root_groups groups = root_groups_make(c.sets);
    size_t shown = o->limit && o->limit < groups.count ? (size_t)o->limit : groups.count;
    for (size_t i = 0; i < shown; i++) {
        root_group *group = &groups.list[i];
        char all[UNITS_SIZE], slowest[UNITS_SIZE];
        text name = {0}, facts = {0};
        group->traces[1] = group->traces[0];
        group->counts[1] = root_groups_tail(group->counts[0]);
        units_count(all, group->counts[0]);
        units_count(slowest, group->counts[1]);
        root_group_name(&name, store, group->name);
        text_format(&facts, "  critical path of all %s, and of the slowest 1 %% (%s)\n", all, slowest);
        paint_add(p, PAINT_CYAN, nsp__slice_of("\u25cf "));
        put_cut(p, PAINT_BOLD, &name, 2 + facts.length - 1);
        paint_add(p, PAINT_DIM, (slice){facts.data, facts.length});
        table(&c, group, false);
        text_free(&name);
        text_free(&facts);
    }
    more_line(&c, groups.count - shown);
    free(groups.list);
}
