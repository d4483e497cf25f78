// SPDX-License-Identifier: Apache-2.0
#include "summary.h"

#include "root_groups.h"
#include "support/units.h"
#include <math.h>
#include <stdlib.h>

enum { COUNT_COLUMNS = 10, FAILED_COLUMNS = 8, TIME_COLUMNS = 9, GAP = 2, MOST_BINS = 24 };

typedef struct group {
    slice name;
    const trace *const *traces; // the slowest first
    size_t count;
    uint64_t failed; // traces that contain an error
    uint64_t kept[KEPT_WORDS];
    bool off_cpu; // some of them say how long they were off the CPU
} group;

typedef struct scale {
    double lowest, highest; // logarithms of the shortest and the longest duration
} scale;

static double logarithm(uint64_t duration)
{
    return log((double)(duration ? duration : 1));
}

// A histogram over the logarithm of the duration, one character per bin; the highest bin fills its cell.
static void spread(paint *p, const group *g, const scale *s, size_t bins)
{
    static const char *const LEVELS[] = {"\u2581", "\u2582", "\u2583", "\u2584",
                                         "\u2585", "\u2586", "\u2587", "\u2588"};
    size_t counts[MOST_BINS] = {0}, highest = 0;
    for (size_t i = 0; i < g->count; i++) {
        double place = s->highest > s->lowest
                           ? (logarithm(g->traces[i]->duration) - s->lowest) / (s->highest - s->lowest)
                           : 0;
        size_t bin = (size_t)(place * (double)bins);
        bin = bin < bins ? bin : bins - 1;
        counts[bin]++;
        highest = counts[bin] > highest ? counts[bin] : highest;
    }
    for (size_t i = 0; i < bins; i++) {
        // The square root keeps rare slow traces visible beside the many fast ones.
        size_t height = counts[i] ? (size_t)(sqrt((double)counts[i] / (double)highest) * 7 + 0.5) : 0;
        paint_add(p, counts[i] ? PAINT_CYAN : PAINT_PLAIN, nsp__slice_of(counts[i] ? LEVELS[height] : " "));
    }
}

static group group_of(const root_group *from)
{
    group g = {.traces = from->traces[0], .count = from->counts[0]};
    for (size_t i = 0; i < g.count; i++) {
        const trace *one = g.traces[i];
        g.failed += one->errors > 0;
        g.kept[one->kept]++;
        g.off_cpu |= (one->preempted | one->waited) != 0;
    }
    return g;
}

static void titles(paint *p, size_t names, size_t bins, const scale *s)
{
    static const char *const TIMES[] = {"p50", "p90", "p99", "max"};
    char lowest[UNITS_SIZE], highest[UNITS_SIZE];
    paint_cell(p, PAINT_DIM, nsp__slice_of("root"), names);
    paint_right(p, PAINT_DIM, nsp__slice_of("traces"), COUNT_COLUMNS);
    paint_right(p, PAINT_DIM, nsp__slice_of("failed"), FAILED_COLUMNS);
    for (int i = 0; i < 4; i++) {
        paint_spaces(p, GAP);
        paint_right(p, PAINT_DIM, nsp__slice_of(TIMES[i]), TIME_COLUMNS);
    }
    paint_spaces(p, GAP);
    units_duration(lowest, (uint64_t)(exp(s->lowest) + 0.5));
    units_duration(highest, (uint64_t)(exp(s->highest) + 0.5));
    const size_t used = paint_add(p, PAINT_DIM, nsp__slice_of(lowest));
    if (used + 1 + paint_width(nsp__slice_of(highest)) <= bins)
        paint_right(p, PAINT_DIM, nsp__slice_of(highest), bins - used);
    text_char(p->out, '\n');
}

static void row(paint *p, const group *g, size_t names, size_t bins, const scale *s)
{
    static const double SHARES[] = {0.5, 0.9, 0.99, 1};
    char number[UNITS_SIZE];
    paint_cell(p, PAINT_BOLD, g->name, names);
    units_count(number, g->count);
    paint_right(p, PAINT_PLAIN, nsp__slice_of(number), COUNT_COLUMNS);
    units_count(number, g->failed);
    paint_right(p, g->failed ? PAINT_RED : PAINT_DIM, nsp__slice_of(g->failed ? number : "\u00b7"),
                FAILED_COLUMNS);
    for (int i = 0; i < 4; i++) {
        units_duration(number, trace_quantile(g->traces, g->count, SHARES[i]));
        paint_spaces(p, GAP);
        paint_right(p, i == 3 ? PAINT_YELLOW : PAINT_PLAIN, nsp__slice_of(number), TIME_COLUMNS);
    }
    paint_spaces(p, GAP);
    spread(p, g, s, bins);
    text_char(p->out, '\n');
}

// Which of a name were kept at their end, although the head had left them out: they are no random sample.
static void kept_line(paint *p, const group *g)
{
    text line = {0};
    char number[UNITS_SIZE];
    units_count(number, g->count - g->kept[KEPT_NOT]);
    text_format(&line, "kept: %s of %.*s (", number, (int)g->name.length, g->name.text);
    bool first = true;
    for (kept_why why = KEPT_SLOW; why < KEPT_WORDS; why++) {
        if (g->kept[why] == 0)
            continue;
        units_count(number, g->kept[why]);
        text_format(&line, "%s%s %s", first ? "" : ", ", kept_word(why), number);
        first = false;
    }
    text_put(&line, ")\n");
    paint_add(p, PAINT_CYAN, (slice){line.data, line.length});
    text_free(&line);
}

typedef struct off_share {
    double preempted, waited; // of the time that these traces took, in percent
} off_share;

static off_share share_of(const trace *const *traces, size_t count)
{
    double took = 0, preempted = 0, waited = 0;
    for (size_t i = 0; i < count; i++) {
        took += (double)traces[i]->duration;
        preempted += (double)traces[i]->preempted;
        waited += (double)traces[i]->waited;
    }
    return took > 0 ? (off_share){100 * preempted / took, 100 * waited / took} : (off_share){0, 0};
}

// How much of the tail is explained by what was not the traces' own work: the slowest hundredth beside all of them.
static void off_cpu_line(paint *p, const group *g)
{
    const size_t tail = root_groups_tail(g->count);
    const off_share slowest = share_of(g->traces, tail), all = share_of(g->traces, g->count);
    text line = {0};
    char number[UNITS_SIZE];
    units_count(number, tail);
    text_format(&line,
                "off the CPU: of the slowest 1 %% of %.*s (%s %s) %.1f %% of the time, preempted %.1f %%, "
                "waited %.1f %%; of all %.1f %%\n",
                (int)g->name.length, g->name.text, number, tail == 1 ? "trace" : "traces",
                slowest.preempted + slowest.waited, slowest.preempted, slowest.waited,
                all.preempted + all.waited);
    paint_add(p, PAINT_YELLOW, (slice){line.data, line.length});
    text_free(&line);
}

void view_summary(paint *p, const trace_store *store, const trace **traces, size_t count)
{
    if (!count)
        return;
    const trace_set sets[2] = {{.store = store, .traces = traces, .count = count}, {.store = store}};
    root_groups found = root_groups_make(sets);
    const size_t made = found.count;
    group *groups = need_memory(made * sizeof *groups);

    scale s = {INFINITY, 0};
    size_t fixed = COUNT_COLUMNS + FAILED_COLUMNS + 4 * (TIME_COLUMNS + GAP) + GAP, names = 8;
    text *shown = need_zeroes(made, sizeof *shown);
    for (size_t i = 0; i < made; i++) {
        groups[i] = group_of(&found.list[i]);
        root_group_name(&shown[i], store, found.list[i].name);
        groups[i].name = (slice){shown[i].data, shown[i].length};
        size_t width = paint_width(groups[i].name);
        names = width > names ? width : names;
        s.lowest = fmin(s.lowest, logarithm(groups[i].traces[groups[i].count - 1]->duration));
        s.highest = fmax(s.highest, logarithm(groups[i].traces[0]->duration));
    }
    size_t bins = MOST_BINS / 2;
    size_t room = p->width > fixed + bins + 8 ? p->width - fixed - bins : 8;
    names = names > room ? room : names;
    bins = p->width > fixed + names + bins ? p->width - fixed - names : bins;
    bins = bins > MOST_BINS ? MOST_BINS : bins;
    titles(p, names, bins, &s);
    for (size_t i = 0; i < made; i++)
        row(p, &groups[i], names, bins, &s);
    for (size_t i = 0; i < made; i++) {
        if (groups[i].kept[KEPT_NOT] < groups[i].count)
            kept_line(p, &groups[i]);
        if (groups[i].off_cpu)
            off_cpu_line(p, &groups[i]);
        text_free(&shown[i]);
    }
    free(shown);
    free(groups);
    free(found.list);
}
