// SPDX-License-Identifier: Apache-2.0
#include "phase_table.h"

#include "support/trace_notes.h"
#include "support/units.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CELLS = 4,
    CELL_SIZE = 40,
    GAP = 2,
    GUIDE = 3,
    LEAST_NAMES = 16,
    DEEPEST_INDENT = 24,
    LEAST_BAR = 8,
    MOST_BAR = 40
};

static const size_t DIFFERENCE_COLUMNS[CELLS] = {9, 9, 10, 8}, SHARE_COLUMNS[CELLS] = {9, 6, 9, 6};

static const double SMALL = 0.01; // of the difference, or of the duration

typedef struct shape {
    paint *p;
    const phase_table *table;
    const phase *list;
    size_t count;
    double total[2];       // mean durations
    double *weight;        // of each phase: how much of it there is to show
    double *heaviest;      // of the phase and those below it
    double least;          // lighter ones are not shown
    uint32_t *sorted;      // children of one phase in a row, the heaviest first
    uint32_t *place;       // in `sorted`, of each phase
    uint32_t *first;       // child of each phase: a place, or NOBODY
    const size_t *columns; // of the cells
    size_t names, bar;
    uint32_t deepest; // deeper levels are drawn at this one
    text guides;      // in front of the current phase
} shape;

void phase_table_change(char out[static CELL_SIZE], double nanoseconds)
{
    char duration[UNITS_SIZE];
    const double size = fabs(nanoseconds);
    units_duration(duration, (uint64_t)(size + 0.5));
    snprintf(out, CELL_SIZE, "%s%s",
             size < 0.5        ? ""
             : nanoseconds > 0 ? "+"
                               : "-",
             size < 0.5 ? "\u00b7" : duration);
}

static double mean(const shape *s, const double sums[2], int set)
{
    return phases_mean(s->table->phases, sums[set], set);
}

static double difference(const shape *s, uint32_t at)
{
    return mean(s, s->list[at].on_path, 1) - mean(s, s->list[at].on_path, 0);
}

static double part(double some, double whole)
{
    return whole != 0 ? some / whole : 0;
}

static double weight_of(const shape *s, uint32_t at)
{
    if (s->table->difference)
        return fabs(difference(s, at));
    return fmax(part(mean(s, s->list[at].on_path, 0), s->total[0]),
                part(mean(s, s->list[at].on_path, 1), s->total[1]));
}

static const shape *sorting; // qsort passes no argument to its comparison

static int by_parent_then_weight(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    const uint32_t above_left = sorting->list[left].parent, above_right = sorting->list[right].parent;
    if (above_left != above_right)
        return above_left < above_right ? -1 : 1;
    if (sorting->heaviest[left] != sorting->heaviest[right])
        return sorting->heaviest[left] > sorting->heaviest[right] ? -1 : 1;
    return left < right ? -1 : 1;
}

static void weigh(shape *s)
{
    for (size_t i = 0; i < s->count; i++)
        for (int set = 0; set < 2; set++)
            s->total[set] += mean(s, s->list[i].on_path, set);
    for (uint32_t i = 0; i < s->count; i++) {
        s->heaviest[i] = s->weight[i] = weight_of(s, i);
        s->sorted[i] = i;
        s->first[i] = NOBODY;
    }
    // Parents come before their children.
    for (size_t i = s->count; i-- > 1;)
        s->heaviest[s->list[i].parent] = fmax(s->heaviest[s->list[i].parent], s->heaviest[i]);
    if (s->table->most_rows)
        s->least = s->table->difference ? SMALL * fabs(s->total[1] - s->total[0]) : SMALL;
    sorting = s;
    qsort(s->sorted, s->count, sizeof *s->sorted, by_parent_then_weight);
    for (uint32_t i = (uint32_t)s->count; i-- > 0;) {
        s->place[s->sorted[i]] = i;
        if (s->list[s->sorted[i]].parent != NOBODY)
            s->first[s->list[s->sorted[i]].parent] = i;
    }
}

static bool is_shown(const shape *s, uint32_t at)
{
    return s->list[at].parent == NOBODY || s->heaviest[at] >= s->least;
}

// The heaviest child, or the next sibling; NOBODY: there is none that is shown. Siblings are in the order of their weight.
static uint32_t at_place(const shape *s, size_t place, uint32_t parent)
{
    if (place >= s->count || s->list[s->sorted[place]].parent != parent || !is_shown(s, s->sorted[place]))
        return NOBODY;
    return s->sorted[place];
}

static uint32_t child_of(const shape *s, uint32_t at)
{
    return s->first[at] == NOBODY ? NOBODY : at_place(s, s->first[at], at);
}

static uint32_t sibling_of(const shape *s, uint32_t at)
{
    return s->list[at].parent == NOBODY ? NOBODY : at_place(s, (size_t)s->place[at] + 1, s->list[at].parent);
}

// Depth first. NOBODY at the end.
static uint32_t following(const shape *s, uint32_t at)
{
    uint32_t next = child_of(s, at);
    while (next == NOBODY && at != NOBODY) {
        next = sibling_of(s, at);
        at = s->list[at].parent;
    }
    return next;
}

static uint32_t level(const shape *s, uint32_t at)
{
    return s->list[at].depth < s->deepest ? s->list[at].depth : s->deepest;
}

static void name_of(const shape *s, uint32_t at, text *out)
{
    if (s->list[at].name == NOBODY)
        text_put(out, "(root not seen)");
    else
        trace_notes_plain(out, s->table->names[s->list[at].name]);
}

static void lay_out(shape *s)
{
    s->columns = s->table->difference ? DIFFERENCE_COLUMNS : SHARE_COLUMNS;
    size_t fixed = 0;
    for (int i = 0; i < CELLS; i++)
        fixed += GAP + s->columns[i];
    const size_t rest = s->p->width > fixed + LEAST_NAMES ? s->p->width - fixed : LEAST_NAMES;
    const size_t most = rest > 2 * LEAST_NAMES ? rest - (GAP + LEAST_BAR) : rest;
    s->deepest = (uint32_t)((most - LEAST_NAMES + 6) / GUIDE);
    s->deepest = s->deepest < DEEPEST_INDENT ? s->deepest : DEEPEST_INDENT;
    s->names = LEAST_NAMES;
    for (uint32_t at = 0; at != NOBODY; at = following(s, at)) {
        text name = {0};
        name_of(s, at, &name);
        const size_t columns = GUIDE * (size_t)level(s, at) + paint_width((slice){name.data, name.length});
        s->names = columns > s->names ? columns : s->names;
        text_free(&name);
    }
    s->names = s->names < most ? s->names : most;
    s->bar = rest > s->names + GAP + LEAST_BAR - 1 ? rest - s->names - GAP : 0;
    s->bar = s->bar < MOST_BAR ? s->bar : MOST_BAR;
}

static void titles(shape *s)
{
    const char *const *sets = s->table->titles;
    const char *const differences[CELLS] = {sets[0], sets[1], "difference", "share"};
    const char *const shares[CELLS] = {sets[0], "share", sets[1], "share"};
    const char *const *words = s->table->difference ? differences : shares;
    paint_cell(s->p, PAINT_DIM, nsp__slice_of("phase"), s->names);
    for (int i = 0; i < CELLS; i++) {
        paint_spaces(s->p, GAP);
        paint_right(s->p, PAINT_DIM, nsp__slice_of(words[i]), s->columns[i]);
    }
    text_char(s->p->out, '\n');
}

// Fills s->guides for the lines below the phase; each level takes three columns.
static void draw_guides(shape *s, uint32_t at)
{
    const char *pieces[DEEPEST_INDENT];
    const uint32_t levels = level(s, at);
    uint32_t used = 0;
    for (uint32_t up = at; used < levels; up = s->list[up].parent)
        pieces[used++] = sibling_of(s, up) != NOBODY ? "\u2502  " : "   ";
    s->guides.length = 0;
    while (used)
        text_slice(&s->guides, nsp__slice_of(pieces[--used]));
}

static void name_cell(shape *s, uint32_t at, bool light)
{
    size_t columns = 0;
    if (level(s, at)) {
        const bool goes_on = sibling_of(s, at) != NOBODY;
        const size_t last = goes_on ? strlen("\u2502  ") : GUIDE;
        columns = paint_add(s->p, PAINT_DIM, (slice){s->guides.data, s->guides.length - last});
        columns += paint_add(s->p, PAINT_DIM, nsp__slice_of(goes_on ? "\u251c\u2500 " : "\u2514\u2500 "));
    }
    text name = {0};
    name_of(s, at, &name);
    paint_cell(s->p,
               light                    ? PAINT_DIM
               : s->list[at].depth == 0 ? PAINT_BOLD
                                        : PAINT_PLAIN,
               (slice){name.data, name.length}, s->names > columns ? s->names - columns : 0);
    text_free(&name);
}

static void duration_cell(char out[static CELL_SIZE], double nanoseconds)
{
    char duration[UNITS_SIZE];
    units_duration(duration, (uint64_t)(nanoseconds + 0.5));
    snprintf(out, CELL_SIZE, "%s", nanoseconds > 0 ? duration : "\u00b7");
}

static void draw_bar(shape *s, double share, paint_colour colour)
{
    if (!s->bar || share <= 0)
        return;
    paint_spaces(s->p, GAP);
    paint_bar(s->p, colour, 0, share < 1 ? share : 1, s->bar);
}

static void row(shape *s, uint32_t at)
{
    char cells[CELLS][CELL_SIZE];
    const double *sums = s->list[at].on_path, change = difference(s, at), all = s->total[1] - s->total[0];
    const bool light = s->weight[at] < s->least || s->weight[at] == 0;
    const paint_colour plain = light ? PAINT_DIM : PAINT_PLAIN;
    paint_colour colour = light ? PAINT_DIM : change > 0 ? PAINT_RED : PAINT_CYAN;
    duration_cell(cells[0], mean(s, sums, 0));
    if (s->table->difference) {
        duration_cell(cells[1], mean(s, sums, 1));
        phase_table_change(cells[2], change);
        units_share(cells[3], part(change, all));
    } else {
        colour = light ? PAINT_DIM : PAINT_YELLOW;
        units_share(cells[1], part(mean(s, sums, 0), s->total[0]));
        duration_cell(cells[2], mean(s, sums, 1));
        units_share(cells[3], part(mean(s, sums, 1), s->total[1]));
    }
    name_cell(s, at, light);
    for (int i = 0; i < CELLS; i++) {
        paint_spaces(s->p, GAP);
        paint_right(s->p, i < 2 ? plain : colour, nsp__slice_of(cells[i]), s->columns[i]);
    }
    if (s->table->difference)
        draw_bar(s, part(fabs(change), s->heaviest[0]), colour);
    else
        draw_bar(s, part(mean(s, sums, 1), s->total[1]), colour);
    text_char(s->p->out, '\n');
}

static void begin_note(shape *s, uint32_t at)
{
    paint_add(s->p, PAINT_DIM, (slice){s->guides.data, s->guides.length});
    paint_add(s->p, PAINT_DIM, nsp__slice_of(child_of(s, at) != NOBODY ? "\u2502 " : "  "));
}

// What else differs: how often the phase occurs, and how long its threads were off their CPUs.
static void notes(shape *s, uint32_t at)
{
    const phase *one = &s->list[at];
    char before[CELL_SIZE], after[CELL_SIZE];
    text line = {0};
    const double times[2] = {(double)one->occurrences[0], (double)one->occurrences[1]};
    snprintf(before, sizeof before, "%.2f", mean(s, times, 0));
    snprintf(after, sizeof after, "%.2f", mean(s, times, 1));
    if (strcmp(before, after) != 0)
        text_format(&line, "%s \u2192 %s a trace", before, after);
    if (one->off_cpu[0] > 0 || one->off_cpu[1] > 0) {
        duration_cell(before, mean(s, one->off_cpu, 0));
        duration_cell(after, mean(s, one->off_cpu, 1));
        text_format(&line, "%soff the CPU %s \u2192 %s", line.length ? "  " : "", before, after);
    }
    if (line.length) {
        begin_note(s, at);
        text_char(&line, '\n');
        paint_add(s->p, PAINT_DIM, (slice){line.data, line.length});
    }
    text_free(&line);
}

// `sums` and `weight`: of the phases that were shown.
static void rest_line(shape *s, size_t shown, double sum, double share)
{
    char number[UNITS_SIZE], change[CELL_SIZE], cell[CELL_SIZE];
    text line = {0};
    if (shown == s->count)
        return;
    units_count(number, s->count - shown);
    text_format(&line, "\u2026 %s more phase%s: ", number, s->count - shown == 1 ? "" : "s");
    if (s->table->difference)
        phase_table_change(change, sum);
    else
        duration_cell(change, sum);
    units_share(cell, share);
    text_format(&line, "%s, %s; --spans 0 shows all\n", change, cell);
    paint_add(s->p, PAINT_DIM, (slice){line.data, line.length});
    text_free(&line);
}

static void rows(shape *s)
{
    size_t shown = 0;
    double left[2] = {s->total[0], s->total[1]};
    for (uint32_t at = 0; at != NOBODY; at = following(s, at)) {
        if (s->table->most_rows && shown == s->table->most_rows)
            break;
        draw_guides(s, at);
        row(s, at);
        if (s->table->difference)
            notes(s, at);
        shown++;
        for (int set = 0; set < 2; set++)
            left[set] -= mean(s, s->list[at].on_path, set);
    }
    if (s->table->difference)
        rest_line(s, shown, left[1] - left[0], part(left[1] - left[0], s->total[1] - s->total[0]));
    else
        rest_line(s, shown, left[1], part(left[1], s->total[1]));
}

void phase_table_draw(paint *p, const phase_table *table)
{
    shape s = {.p = p, .table = table, .list = table->phases->list, .count = table->phases->count};
    s.weight = need_memory(s.count * sizeof *s.weight);
    s.heaviest = need_memory(s.count * sizeof *s.heaviest);
    s.sorted = need_memory(s.count * sizeof *s.sorted);
    s.place = need_memory(s.count * sizeof *s.place);
    s.first = need_memory(s.count * sizeof *s.first);
    weigh(&s);
    lay_out(&s);
    titles(&s);
    rows(&s);
    free(s.weight);
    free(s.heaviest);
    free(s.sorted);
    free(s.place);
    free(s.first);
    text_free(&s.guides);
}
