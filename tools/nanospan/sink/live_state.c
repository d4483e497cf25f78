// SPDX-License-Identifier: Apache-2.0
//
// The figures of the live page as JSON: what GET /api/state answers.
#include "live.h"

#include "support/json_text.h"
#include "common/time.h"
#include <inttypes.h>
#include <stdlib.h>

enum { MOST_SERVICES = 100 };

static void put_number(text *out, const char *name, uint64_t value)
{
    const char last = out->data[out->length - 1];
    text_format(out, "%s\"%s\":%" PRIu64, last == '{' || last == '[' ? "" : ",", name, value);
}

static void put_flag(text *out, const char *name, bool value)
{
    text_format(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void put_string(text *out, const char *name, slice value)
{
    text_format(out, ",\"%s\":", name);
    json_string(out, value);
}

static void write_totals(text *out, const sink_totals *t)
{
    text_put(out, ",\"totals\":{");
    put_number(out, "requests", t->requests);
    put_number(out, "requests_refused", t->refused);
    put_number(out, "requests_failed", t->failed);
    put_number(out, "replies_lost", t->replies_lost);
    put_number(out, "spans", t->spans);
    put_number(out, "distinct_span_ids", t->distinct);
    put_flag(out, "distinct_is_exact", t->distinct_is_exact);
    put_number(out, "spans_rejected", t->rejected);
    put_number(out, "errors", t->errors);
    put_number(out, "bytes", t->bytes);
    put_number(out, "bytes_decoded", t->bytes_decoded);
    text_char(out, '}');
}

static void write_services(text *out, sink_accounting *accounting)
{
    text_put(out, ",\"services\":[");
    pthread_mutex_lock(&accounting->lock);
    const size_t count = accounting->services.service_count;
    for (size_t i = 0; i < count && i < MOST_SERVICES; i++) {
        const service_tally *tally = &accounting->services.services[i];
        text_put(out, i ? ",{" : "{");
        put_number(out, "spans", tally->spans);
        put_number(out, "errors", tally->errors);
        put_string(out, "name", nsp__slice_of(tally->name));
        text_char(out, '}');
    }
    pthread_mutex_unlock(&accounting->lock);
    text_put(out, "]");
    put_number(out, "services_not_listed", count > MOST_SERVICES ? count - MOST_SERVICES : 0);
}

// The totals of the last minute, the oldest first: [milliseconds since the start, spans, errors, traces, bytes, requests].
static void write_samples(text *out, const sink_live *live)
{
    const uint64_t count = live->sample_count;
    text_put(out, ",\"samples\":[");
    for (uint64_t i = count > LIVE_SAMPLES ? count - LIVE_SAMPLES : 0; i < count; i++) {
        const live_sample *s = &live->samples[i % LIVE_SAMPLES];
        text_format(out, "%s[%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]",
                    out->data[out->length - 1] == '[' ? "" : ",", (uint64_t)(s->at_ns / NSP__MILLISECOND),
                    s->totals.spans, s->totals.errors, s->traces, s->totals.bytes, s->totals.requests);
    }
    text_char(out, ']');
}

static void write_quantiles(text *out, uint64_t traces, uint64_t failed, uint64_t longest,
                            const uint64_t *counts)
{
    static const struct {
        const char *name;
        double share;
    } QUANTILES[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};
    text_char(out, '{');
    put_number(out, "traces", traces);
    put_number(out, "failed", failed);
    for (size_t i = 0; i < sizeof QUANTILES / sizeof QUANTILES[0]; i++)
        put_number(out, QUANTILES[i].name, duration_quantile(counts, traces, longest, QUANTILES[i].share));
    put_number(out, "max", longest);
    text_char(out, '}');
}

static void write_trace(text *out, const sink_live *live, const live_trace *one)
{
    const held_trace *held = held_find(&live->held, one->id);
    const live_figure *figure = live->figures.figures[one->figure];
    text_format(out, "%s{\"trace\":\"%016" PRIx64 "%016" PRIx64 "\"",
                out->data[out->length - 1] == '[' ? "" : ",", one->id[0], one->id[1]);
    put_number(out, "duration", one->duration);
    text_format(out, ",\"start\":\"%" PRIu64 "\"", one->start); // as a string: it needs more than 53 bits
    put_number(out, "spans", held != NULL ? held_span_count(held) : 0);
    put_flag(out, "failed", held != NULL ? held->failed : one->failed);
    put_string(out, "name", (slice){figure->name.data, figure->name.length});
    put_string(out, "service", nsp__slice_of(one->service));
    text_char(out, '}');
}

static int most_traces_first(const void *a, const void *b)
{
    const live_figure *left = *(live_figure *const *)a, *right = *(live_figure *const *)b;
    if (left->continued != right->continued)
        return left->continued ? 1 : -1;
    return left->traces != right->traces ? (left->traces > right->traces ? -1 : 1) : 0;
}

static void write_figures(text *out, const sink_live *live)
{
    const live_figures *all = &live->figures;
    live_recent *recent = need_memory(sizeof *recent);
    const live_figure *sorted[LIVE_NAMES + 1];
    const uint64_t second = nsp__monotonic_ns() / NSP__SECOND;
    memcpy(sorted, all->figures, sizeof sorted);
    qsort(sorted, all->count, sizeof sorted[0], most_traces_first);
    text_put(out, ",\"names\":[");
    for (uint32_t i = 0; i < all->count; i++) {
        const live_figure *one = sorted[i];
        live_figure_recent(one, second, recent);
        text_put(out, i ? ",{\"all\":" : "{\"all\":");
        write_quantiles(out, one->traces, one->failed, one->longest, one->counts);
        text_put(out, ",\"recent\":");
        write_quantiles(out, recent->traces, recent->failed, recent->longest, recent->counts);
        put_flag(out, "continued", one->continued);
        put_flag(out, "others", one == all->figures[LIVE_NAMES]);
        put_string(out, "name", (slice){one->name.data, one->name.length});
        text_char(out, '}');
    }
    text_put(out, "],\"slowest\":[");
    for (uint32_t i = 0; i < all->count; i++)
        for (size_t at = 0; at < all->figures[i]->slowest_count; at++)
            write_trace(out, live, &all->figures[i]->slowest[at]);
    text_char(out, ']');
    free(recent);
}

// Of a ring, the newest first.
static void write_latest(text *out, const sink_live *live, const char *name, const live_trace *ring,
                         uint64_t count)
{
    text_format(out, ",\"%s\":[", name);
    for (uint64_t i = count; i > 0 && count - i < LIVE_LATEST; i--)
        write_trace(out, live, &ring[(i - 1) % LIVE_LATEST]);
    text_char(out, ']');
}

static void write_held(text *out, const sink_live *live)
{
    const held_traces *held = &live->held;
    text_put(out, ",\"held\":{");
    put_number(out, "traces", held->traces);
    put_number(out, "window_spans", held->window_spans);
    put_number(out, "window_bytes", held->window_bytes);
    put_number(out, "most_window_bytes", held->most_window);
    put_number(out, "kept_traces", held->copied_traces);
    put_number(out, "kept_spans", held->copied_spans);
    put_number(out, "kept_bytes", held->copy_bytes);
    put_number(out, "most_kept_bytes", held->most_copies);
    text_char(out, '}');
}

static void write_queue(text *out, sink_live *live)
{
    text_put(out, ",\"queue\":{");
    put_number(out, "read_spans", live->read_spans);
    pthread_mutex_lock(&live->queue_lock);
    put_number(out, "bytes", live->queued_bytes);
    put_number(out, "most_bytes", live->most_queued);
    put_number(out, "skipped_requests", live->skipped_lines);
    put_number(out, "skipped_spans", live->skipped_spans);
    pthread_mutex_unlock(&live->queue_lock);
    text_char(out, '}');
}

void live_state(sink_live *live, text *out)
{
    const sink_totals totals = accounting_totals(live->accounting);
    text_put(out, "{");
    put_number(out, "format", 1);
    put_number(out, "at", (nsp__monotonic_ns() - live->started_ns) / NSP__MILLISECOND);
    write_totals(out, &totals);
    write_services(out, live->accounting);
    pthread_mutex_lock(&live->lock);
    write_queue(out, live);
    put_number(out, "traces", live->figures.traces);
    put_number(out, "failed", live->figures.failed);
    write_samples(out, live);
    write_figures(out, live);
    write_latest(out, live, "latest", live->figures.latest, live->figures.latest_count);
    write_latest(out, live, "latest_failed", live->figures.latest_failed, live->figures.latest_failed_count);
    write_held(out, live);
    pthread_mutex_unlock(&live->lock);
    text_put(out, "}\n");
}
