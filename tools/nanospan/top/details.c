// SPDX-License-Identifier: Apache-2.0
//
// What is above the table, and what is below it: sums, and all that is known of one engine.
#include "lines.h"

#include "support/paint.h"
#include "support/sampling.h"
#include "support/units.h"
#include "common/time.h"
#include <stdio.h>

void top_summary(top_lines *to, const figures *all, const top_view *view)
{
    double spans = 0, exported = 0, lost = 0;
    size_t alive = 0, threads = 0;
    char a[TOP_CELL], b[TOP_CELL], c[TOP_CELL];
    for (size_t i = 0; i < all->count; i++) {
        const figures_engine *e = &all->engines[i];
        spans += e->rates.spans;
        exported += e->rates.exported;
        lost += e->rates.dropped + e->rates.refused;
        alive += e->seen.alive;
        threads += e->seen.alive ? e->seen.stats.threads : 0;
    }
    top_number(a, spans);
    top_number(b, exported);
    top_number(c, lost);
    top_add(to, TOP_BOLD, "%zu engine%s, %zu thread%s; spans/s %s, sent/s %s, lost/s %s; by %s%s%s%s", alive,
            alive == 1 ? "" : "s", threads, threads == 1 ? "" : "s", a, b, c, top_sort_names[view->sort],
            view->reverse ? ", reversed" : "", view->filter[0] != 0 ? "; filter " : "", view->filter);
}

static void add_count(text *line, const char *what, uint64_t value)
{
    char count[UNITS_SIZE];
    units_count(count, value);
    text_format(line, "%s%s %s", line->length != 0 ? ", " : "", what, count);
}

// Breaks between the parts, which commas separate.
static void wrapped(top_lines *to, top_style style, const char *title, const text *parts, size_t width)
{
    const char *at = parts->data, *end = at + parts->length;
    const size_t indent = 8; // the longest title, its colon, and a space
    bool first = true;
    while (at < end) {
        const size_t room = width > indent + 10 ? width - indent : 10;
        const char *edge = at + paint_head((slice){at, (size_t)(end - at)}, room).length, *stop = edge;
        while (edge != end && stop > at && !(stop[0] == ' ' && stop[-1] == ','))
            stop--;
        stop = stop > at ? stop : edge;
        top_line *line = top_new(to, style);
        text_format(&line->text, "%*s", (int)indent, "");
        if (first) {
            memcpy(line->text.data, title, strlen(title));
            line->text.data[strlen(title)] = *title != 0 ? ':' : ' ';
        }
        text_add(&line->text, at, (size_t)(stop - at));
        first = false;
        at = stop;
        while (at < end && *at == ' ')
            at++;
    }
}

static void add_time(text *line, const char *what, double ns)
{
    char value[TOP_CELL];
    top_time(value, ns);
    text_format(line, "%s%s %s", line->length != 0 ? ", " : "", what, value);
}

static void add_bytes(text *line, const char *what, double bytes)
{
    char value[UNITS_SIZE];
    units_bytes(value, bytes);
    text_format(line, ", %s %s", value, what);
}

static void flush(top_lines *to, top_style style, const char *title, text *parts, size_t width)
{
    wrapped(to, style, title, parts, width);
    text_free(parts);
}

static void session_details(top_lines *to, const figures_engine *engine, size_t width)
{
    text parts = {0};
    char age[UNITS_SIZE], service[200];
    const uint64_t now = nsp__clock_ns(CLOCK_REALTIME), start = engine->seen.start_unix_ns;
    top_plain(service, sizeof service, engine->service);
    units_age(age, now > start ? now - start : 0);
    text_format(&parts, "%s, session %s", service, engine->name);
    if (engine->problem != NULL)
        text_format(&parts, ", %s", engine->problem);
    else
        text_format(&parts, ", started %s ago", age);
    if (engine->seen.external && engine->seen.drainer_pid != 0)
        text_format(&parts, ", drainer's pid %u", engine->seen.drainer_pid);
    add_bytes(&parts, "of memory", (double)engine->seen.bytes);
    flush(to, TOP_BOLD, "Engine", &parts, width);
}

static void sampling_details(top_lines *to, const figures_engine *engine, size_t width)
{
    const nsp_session *seen = &engine->seen;
    text parts = {0};
    char share[SAMPLING_SHARE];
    text_format(&parts, "%s%% of traces (%s)", sampling_share(share, seen->rate, 100),
                sampling_source(seen->rate_source));
    for (size_t i = 0; i < seen->rule_count; i++) {
        char pattern[200];
        top_plain(pattern, sizeof pattern, engine->rules[i].pattern);
        text_format(&parts, ", %s%% of %s (%s)", sampling_share(share, engine->rules[i].rate, 100), pattern,
                    sampling_source(engine->rules[i].source));
    }
    for (size_t i = 0; i < seen->outlier_count; i++) {
        text_put(&parts, ", keeps ");
        sampling_outlier(&parts, &engine->outliers[i]);
        text_format(&parts, " (%s)", sampling_source(engine->outliers[i].source));
    }
    if (seen->limit != 0)
        text_format(&parts, ", limit %.6g/s (%s), all rates times %.4g", seen->limit,
                    sampling_source(seen->limit_source), seen->limit_factor);
    add_count(&parts, "left out", seen->stats.roots_unsampled);
    if (seen->changed_by == NSP_SAMPLER_CODE || seen->changed_by == NSP_SAMPLER_TUNE) {
        text_put(&parts, ", changed ");
        sampling_changed(&parts, seen);
    }
    flush(to, TOP_PLAIN, "Sample", &parts, width);
}

// What became of the traces that the head has left out and an outlier rule concerns: spans first, then traces.
static void outlier_details(top_lines *to, const figures_engine *engine, size_t width)
{
    const nsp_stats *s = &engine->seen.stats;
    text parts = {0};
    if (engine->seen.outlier_count == 0 && s->speculated == 0)
        return;
    add_count(&parts, "speculated", s->speculated);
    add_count(&parts, "undecided", s->speculating);
    add_count(&parts, "taken back", s->taken_back);
    add_count(&parts, "kept", s->kept);
    add_count(&parts, "traces without some of their spans", s->kept_incomplete);
    add_count(&parts, "traces beyond a limit", s->kept_limited);
    if ((s->snapshot | s->snapshot_overtaken) != 0) {
        add_count(&parts, "in snapshots", s->snapshot);
        add_count(&parts, "records overtaken", s->snapshot_overtaken);
    }
    flush(to, s->kept_incomplete != 0 ? TOP_WARN : TOP_PLAIN, "Ends", &parts, width);
}

// A line for each name. Those with few roots are left out if there are many.
static void latency_details(top_lines *to, const figures_engine *engine, size_t width)
{
    enum { SHOWN = 16 };
    const size_t count = engine->seen.latency_count;
    text parts = {0};
    char name[200], rate[TOP_CELL];
    for (size_t i = 0; i < count && i < SHOWN; i++) {
        const figures_latency *latency = &engine->latencies[i];
        top_plain(name, sizeof name, latency->name);
        top_number(rate, latency->per_second);
        text_format(&parts, "%s %s/s", name, rate);
        add_time(&parts, "p50", (double)latency->recent.p50_ns);
        add_time(&parts, "p99", (double)latency->recent.p99_ns);
        add_time(&parts, "p99.9", (double)latency->recent.p999_ns);
        add_time(&parts, "max", (double)latency->recent.max_ns);
        flush(to, TOP_PLAIN, i == 0 ? "Roots" : "", &parts, width);
    }
    if (count > SHOWN)
        text_format(&parts, "%zu more names", count - SHOWN);
    if (engine->seen.latency_unmeasured != 0)
        add_count(&parts, "of names without room", engine->seen.latency_unmeasured);
    if (parts.length != 0)
        flush(to, TOP_DIM, "", &parts, width);
}

void top_details(top_lines *to, const figures_engine *engine, const top_view *view)
{
    const nsp_stats *s = &engine->seen.stats;
    const size_t width = view->width;
    text parts = {0};
    session_details(to, engine, width);
    if (engine->problem != NULL)
        return;
    add_count(&parts, "begun", s->attempted);
    add_count(&parts, "open", s->open);
    add_count(&parts, "in rings", s->in_rings);
    add_count(&parts, "in batches", s->in_batches);
    add_count(&parts, "exported", s->exported);
    add_count(&parts, "rejected", s->rejected);
    add_count(&parts, "unconfirmed", s->unconfirmed);
    flush(to, TOP_PLAIN, "Spans", &parts, width);
    add_count(&parts, "ring full", s->dropped_ring_full);
    add_count(&parts, "too deep", s->dropped_too_deep);
    add_count(&parts, "detached full", s->dropped_detached_full);
    add_count(&parts, "in signal", s->dropped_in_signal);
    add_count(&parts, "no thread", s->dropped_no_thread);
    add_count(&parts, "invalid", s->dropped_invalid);
    add_count(&parts, "discarded", s->discarded);
    add_count(&parts, "traces refused", s->roots_refused);
    flush(to, s->dropped + s->discarded + s->roots_refused != 0 ? TOP_WARN : TOP_PLAIN, "Lost", &parts,
          width);
    add_count(&parts, "requests", s->batches_sent);
    add_count(&parts, "failed", s->batches_failed);
    add_count(&parts, "retries", s->retries);
    add_bytes(&parts, "sent", (double)s->bytes_sent);
    add_time(&parts, "answer: mean", engine->answer_ns);
    add_time(&parts, "last", (double)s->answer_last_ns);
    add_time(&parts, "longest", (double)s->answer_longest_ns);
    flush(to, TOP_PLAIN, "Sent", &parts, width);
    add_time(&parts, "lag", (double)figures_lag_ns(engine));
    add_time(&parts, "longest lag", (double)s->lag_longest_ns);
    add_time(&parts, "last pass ago", (double)figures_pass_age_ns(engine));
    add_time(&parts, "clock error", (double)s->clock_error_ns);
    add_count(&parts, "clock steps", s->clock_steps);
    if ((s->switches | s->switches_lost) != 0) {
        add_count(&parts, "context switches", s->switches);
        add_count(&parts, "switches lost", s->switches_lost);
    }
    flush(to, TOP_PLAIN, "Drain", &parts, width);
    sampling_details(to, engine, width);
    outlier_details(to, engine, width);
    latency_details(to, engine, width);
}
