// SPDX-License-Identifier: Apache-2.0
//
// The table of engines and threads: the same on a screen and without one.
#include "lines.h"

#include "support/complain.h"
#include "support/paint.h"
#include "support/sampling.h"
#include <stdio.h>
#include <stdlib.h>

// ---- columns ----

static void percent(char out[TOP_CELL], double share)
{
    snprintf(out, TOP_CELL, "%.0f%%", share * 100);
}

static void per_second(char out[TOP_CELL], double value, bool rated)
{
    if (rated)
        top_number(out, value);
    else
        snprintf(out, TOP_CELL, "-");
}

// What a row is about: an engine, or one of its threads.
typedef struct row {
    const figures_engine *engine;
    const figures_thread *thread; // NULL: the engine
} row;

static double share_of(uint64_t part, uint64_t whole)
{
    return whole != 0 ? (double)part / (double)whole : 0;
}

static void pid_cell(char out[TOP_CELL], const row *r)
{
    const uint32_t id = r->thread != NULL ? r->thread->seen.tid : r->engine->seen.pid;
    if (id != 0)
        snprintf(out, TOP_CELL, "%u", id);
    else
        snprintf(out, TOP_CELL, "-"); // a thread that has ended
}

static void state_cell(char out[TOP_CELL], const row *r)
{
    static const char *const THREADS[] = {"attached", "ended", "drained"};
    snprintf(out, TOP_CELL, "%s",
             r->thread != NULL ? THREADS[r->thread->seen.state] : figures_state(r->engine));
}

static const figures_rates *rates_of(const row *r)
{
    return r->thread != NULL ? &r->thread->rates : &r->engine->rates;
}

static bool rated(const row *r)
{
    return r->thread != NULL ? r->thread->rated : r->engine->rated;
}

static void spans_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, rates_of(r)->spans, rated(r));
}

static void drops_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, rates_of(r)->dropped + rates_of(r)->refused, rated(r));
}

static void ring_cell(char out[TOP_CELL], const row *r)
{
    const nsp_session_thread *seen = r->thread != NULL ? &r->thread->seen : NULL;
    percent(out, seen != NULL ? share_of(seen->ring_fill, seen->ring_bytes) : figures_ring_fill(r->engine));
}

static void peak_cell(char out[TOP_CELL], const row *r)
{
    const nsp_session_thread *seen = r->thread != NULL ? &r->thread->seen : NULL;
    percent(out,
            seen != NULL ? share_of(seen->ring_fill_peak, seen->ring_bytes) : figures_ring_peak(r->engine));
}

static double lag_of(const figures_engine *engine)
{
    return (double)figures_lag_ns(engine);
}

static void lag_cell(char out[TOP_CELL], const row *r)
{
    top_time(out, lag_of(r->engine));
}

static void answer_cell(char out[TOP_CELL], const row *r)
{
    top_time(out, r->engine->answer_ns);
}

static void rate_cell(char out[TOP_CELL], const row *r)
{
    const size_t rules = r->engine->seen.rule_count;
    // It moves all the time, so two digits of it are enough.
    const double factor = r->engine->seen.limit_factor;
    int length = snprintf(out, TOP_CELL, factor < 1 ? "%.2g" : "%.3g", r->engine->seen.rate * factor);
    if (rules != 0)
        snprintf(out + length, (size_t)(TOP_CELL - length), "+%zu", rules);
}

static void source_cell(char out[TOP_CELL], const row *r)
{
    snprintf(out, TOP_CELL, "%s", sampling_source(r->engine->seen.rate_source));
}

static void threads_cell(char out[TOP_CELL], const row *r)
{
    snprintf(out, TOP_CELL, "%u", r->engine->seen.stats.threads);
}

static void unsampled_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, rates_of(r)->unsampled, rated(r));
}

static void kept_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, r->engine->rates.kept, rated(r));
}

static void exported_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, r->engine->rates.exported, rated(r));
}

static void batches_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, r->engine->rates.batches, rated(r));
}

static void bytes_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, r->engine->rates.bytes, rated(r));
}

static void retries_cell(char out[TOP_CELL], const row *r)
{
    per_second(out, r->engine->rates.retries, rated(r));
}

// The first ones fit into 80 columns; the others come where there is room for them.
static const struct {
    const char *title;
    size_t width;
    bool of_threads; // threads have it too
    bool always;     // also of a session that cannot be read
    void (*write)(char out[TOP_CELL], const row *r);
} COLUMNS[] = {
    {"PID", 7, true, true, pid_cell},
    {"DRAINED", 8, true, true, state_cell},
    {"SPANS/s", 7, true, false, spans_cell},
    {"LOST/s", 6, true, false, drops_cell},
    {"RING", 4, true, false, ring_cell},
    {"PEAK", 4, true, false, peak_cell},
    {"LAG", 6, false, false, lag_cell},
    {"ANSWER", 6, false, false, answer_cell},
    {"RATE", 7, false, false, rate_cell}, // as a limit lowers it
    {"THR", 4, false, false, threads_cell},
    {"SET BY", 11, false, false, source_cell},
    {"UNSAMP/s", 8, true, false, unsampled_cell},
    {"SENT/s", 7, false, false, exported_cell},
    {"REQ/s", 6, false, false, batches_cell},
    {"BYTES/s", 7, false, false, bytes_cell},
    {"RETRY/s", 7, false, false, retries_cell},
    {"KEPT/s", 6, false, false, kept_cell},
};
enum { COLUMN_COUNT = sizeof COLUMNS / sizeof COLUMNS[0], NAME_MIN = 16, NAME_MAX_WIDTH = 40 };

// How many columns there is room for, and how wide the name is then.
static size_t columns_of(size_t width, size_t *name)
{
    size_t used = NAME_MIN, count = 0;
    while (count < COLUMN_COUNT && used + 1 + COLUMNS[count].width <= width)
        used += 1 + COLUMNS[count++].width;
    *name = NAME_MIN + (width > used ? width - used : 0);
    *name = *name < NAME_MAX_WIDTH ? *name : NAME_MAX_WIDTH;
    return count;
}

// ---- rows ----

static void cells(text *out, const char *name, const row *r, size_t width)
{
    paint p = {.out = out};
    size_t name_width;
    const size_t count = columns_of(width, &name_width);
    paint_cell(&p, PAINT_PLAIN, nsp__slice_of(name), name_width);
    for (size_t i = 0; i < count; i++) {
        char cell[TOP_CELL] = "";
        if (r == NULL)
            snprintf(cell, sizeof cell, "%s", COLUMNS[i].title);
        else if (r->engine->problem != NULL && !COLUMNS[i].always)
            snprintf(cell, sizeof cell, "-");
        else if (r->thread == NULL || COLUMNS[i].of_threads)
            COLUMNS[i].write(cell, r);
        paint_spaces(&p, 1);
        if (strlen(cell) <= COLUMNS[i].width)
            paint_right(&p, PAINT_PLAIN, nsp__slice_of(cell), COLUMNS[i].width);
        else
            paint_cell(&p, PAINT_PLAIN, nsp__slice_of(cell), COLUMNS[i].width);
    }
}

static top_style style_of(const figures_engine *engine)
{
    if (engine->rates.dropped > 0 || engine->rates.refused > 0)
        return TOP_BAD;
    const char *state = figures_state(engine);
    const bool well = strcmp(state, "itself") == 0 || strcmp(state, "agent") == 0;
    return well && figures_ring_fill(engine) < 0.5 ? TOP_PLAIN : TOP_WARN;
}

static void engine_line(top_lines *to, const figures_engine *engine, size_t width)
{
    char name[200];
    const row r = {.engine = engine};
    top_line *line = top_new(to, style_of(engine));
    line->engine = engine;
    top_plain(name, sizeof name, engine->service);
    cells(&line->text, name, &r, width);
}

static void thread_line(top_lines *to, const row *r, size_t width)
{
    char name[100], plain_name[80];
    top_plain(plain_name, sizeof plain_name, r->thread->name[0] != 0 ? r->thread->name : "(no name)");
    snprintf(name, sizeof name, "  %s", plain_name);
    top_line *line = top_new(to, r->thread->rates.dropped + r->thread->rates.refused > 0 ? TOP_BAD : TOP_DIM);
    line->engine = r->engine;
    cells(&line->text, name, r, width);
}

// ---- order and choice ----

const char *const top_sort_names[TOP_SORTS] = {"spans", "lost", "ring", "lag", "answer", "service", "pid"};

static double engine_key(const figures_engine *e, top_sort sort)
{
    switch (sort) {
    case TOP_BY_SPANS: return e->rates.spans;
    case TOP_BY_DROPS: return e->rates.dropped + e->rates.refused;
    case TOP_BY_RING: return figures_ring_fill(e);
    case TOP_BY_LAG: return lag_of(e);
    case TOP_BY_ANSWER: return e->answer_ns;
    default: return -(double)e->seen.pid;
    }
}

static double thread_key(const figures_thread *t, top_sort sort)
{
    switch (sort) {
    case TOP_BY_SPANS: return t->rates.spans;
    case TOP_BY_DROPS: return t->rates.dropped + t->rates.refused;
    case TOP_BY_RING: return share_of(t->seen.ring_fill, t->seen.ring_bytes);
    default: return -(double)t->seen.slot;
    }
}

// The largest first, and what is equal always in the same order, so that lines do not jump.
static int compare_engines(const void *left, const void *right, void *argument)
{
    const figures_engine *a = *(figures_engine *const *)left, *b = *(figures_engine *const *)right;
    const top_view *view = argument;
    const double key_a = engine_key(a, view->sort), key_b = engine_key(b, view->sort);
    int order =
        view->sort == TOP_BY_SERVICE ? strcmp(a->service, b->service) : (key_a < key_b) - (key_a > key_b);
    if (order == 0)
        return strcmp(a->name, b->name);
    return view->reverse ? -order : order;
}

static int compare_threads(const void *left, const void *right, void *argument)
{
    const figures_thread *a = *(figures_thread *const *)left, *b = *(figures_thread *const *)right;
    const top_view *view = argument;
    const double key_a = thread_key(a, view->sort), key_b = thread_key(b, view->sort);
    const int order = (key_a < key_b) - (key_a > key_b);
    if (order == 0)
        return (a->seen.slot > b->seen.slot) - (a->seen.slot < b->seen.slot);
    return view->reverse ? -order : order;
}

static bool matches_number(uint32_t number, const char *filter)
{
    char digits[16];
    snprintf(digits, sizeof digits, "%u", number);
    return strcmp(digits, filter) == 0;
}

static bool engine_matches(const figures_engine *engine, const char *filter)
{
    return filter[0] == 0 || strcasestr(engine->service, filter) != NULL ||
           strcasestr(engine->name, filter) != NULL || matches_number(engine->seen.pid, filter);
}

static bool thread_matches(const figures_thread *thread, const char *filter)
{
    return strcasestr(thread->name, filter) != NULL || matches_number(thread->seen.tid, filter);
}

static bool any_thread_matches(const figures_engine *engine, const char *filter)
{
    for (size_t i = 0; i < engine->seen.thread_count; i++)
        if (thread_matches(&engine->threads[i], filter))
            return true;
    return false;
}

// If the filter is one for the engine, all of its threads are shown, otherwise those that it is for.
static void thread_lines(top_lines *to, const figures_engine *engine, top_view *view)
{
    const figures_thread **chosen = need_zeroes(engine->seen.thread_count + 1, sizeof(figures_thread *));
    const bool all = engine_matches(engine, view->filter);
    size_t count = 0;
    for (size_t i = 0; i < engine->seen.thread_count; i++)
        if (all || thread_matches(&engine->threads[i], view->filter))
            chosen[count++] = &engine->threads[i];
    qsort_r(chosen, count, sizeof(figures_thread *), compare_threads, view);
    for (size_t i = 0; i < count; i++)
        thread_line(to, &(row){engine, chosen[i]}, view->width);
    free(chosen);
}

void top_table(top_lines *to, const figures *all, const top_view *view)
{
    top_view order = *view;
    const figures_engine **chosen = need_zeroes(all->count + 1, sizeof(figures_engine *));
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        if (engine_matches(&all->engines[i], view->filter) ||
            (view->threads && any_thread_matches(&all->engines[i], view->filter)))
            chosen[count++] = &all->engines[i];
    qsort_r(chosen, count, sizeof(figures_engine *), compare_engines, &order);
    cells(&top_new(to, TOP_HEAD)->text, "SERVICE", NULL, view->width);
    for (size_t i = 0; i < count; i++) {
        engine_line(to, chosen[i], view->width);
        if (view->threads)
            thread_lines(to, chosen[i], &order);
    }
    if (count == 0)
        top_add(to, TOP_DIM, "%s",
                all->count == 0 ? "no engine of this user runs here" : "the filter leaves none");
    free(chosen);
}
