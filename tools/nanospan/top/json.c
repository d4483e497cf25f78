// SPDX-License-Identifier: Apache-2.0
//
// One look as one line of JSON. Rates are null in the first look at an engine.
#include "top.h"

#include "support/json_text.h"
#include "support/sampling.h"
#include "common/time.h"
#include <stddef.h>

static void key(text *out, const char *name)
{
    const char last = out->data[out->length - 1];
    text_format(out, "%s\"%s\":", last == '{' || last == '[' ? "" : ",", name);
}

static void put_text(text *out, const char *name, const char *value)
{
    key(out, name);
    json_string(out, nsp__slice_of(value));
}

static void put_count(text *out, const char *name, uint64_t value)
{
    key(out, name);
    json_unsigned(out, value);
}

static void put_number(text *out, const char *name, double value)
{
    key(out, name);
    json_double(out, value);
}

static void put_rate(text *out, const char *name, double value, bool rated)
{
    key(out, name);
    if (rated)
        json_double(out, value);
    else
        text_put(out, "null");
}

static void put_truth(text *out, const char *name, bool value)
{
    key(out, name);
    text_put(out, value ? "true" : "false");
}

// ---- parts ----

#define STAT(member)                                                                                         \
    {                                                                                                        \
#member, offsetof(nsp_stats, member)                                                                 \
    }

static const struct {
    const char *name;
    size_t at;
} STATS[] = {
    STAT(attempted),
    STAT(open),
    STAT(dropped),
    STAT(dropped_ring_full),
    STAT(dropped_too_deep),
    STAT(dropped_detached_full),
    STAT(dropped_in_signal),
    STAT(dropped_no_thread),
    STAT(dropped_invalid),
    STAT(discarded),
    STAT(in_rings),
    STAT(in_batches),
    STAT(unconfirmed),
    STAT(rejected),
    STAT(exported),
    STAT(spooled),
    STAT(roots_unsampled),
    STAT(roots_refused),
    STAT(leaked),
    STAT(misused),
    STAT(batches_sent),
    STAT(batches_failed),
    STAT(bytes_sent),
    STAT(bytes_encoded),
    STAT(clock_error_ns),
    STAT(clock_steps),
    STAT(values_cut),
    STAT(paths_overflowed),
    STAT(paths_shared),
    STAT(answers),
    STAT(answer_ns),
    STAT(answer_last_ns),
    STAT(answer_longest_ns),
    STAT(retries),
    STAT(pass_ns),
    STAT(lag_ns),
    STAT(lag_longest_ns),
    STAT(speculated),
    STAT(taken_back),
    STAT(kept),
    STAT(kept_incomplete),
    STAT(speculating),
    STAT(kept_limited),
    STAT(switches),
    STAT(switches_lost),
    STAT(snapshot),
    STAT(snapshot_overtaken),
};

static void stats(text *out, const nsp_stats *of)
{
    key(out, "stats");
    text_char(out, '{');
    for (size_t i = 0; i < sizeof STATS / sizeof STATS[0]; i++) {
        uint64_t value;
        memcpy(&value, (const char *)of + STATS[i].at, sizeof value);
        put_count(out, STATS[i].name, value);
    }
    put_count(out, "threads", of->threads);
    put_count(out, "threads_private", of->threads_private);
    put_count(out, "threads_peak", of->threads_peak);
    text_char(out, '}');
}

static void begin_rates(text *out, const figures_rates *of, bool rated)
{
    key(out, "per_second");
    text_char(out, '{');
    put_rate(out, "spans", of->spans, rated);
    put_rate(out, "unsampled", of->unsampled, rated);
    put_rate(out, "refused", of->refused, rated);
    put_rate(out, "dropped", of->dropped, rated);
}

static void engine_rates(text *out, const figures_engine *engine)
{
    const figures_rates *of = &engine->rates;
    begin_rates(out, of, engine->rated);
    put_rate(out, "exported", of->exported, engine->rated);
    put_rate(out, "batches", of->batches, engine->rated);
    put_rate(out, "bytes", of->bytes, engine->rated);
    put_rate(out, "retries", of->retries, engine->rated);
    put_rate(out, "kept", of->kept, engine->rated);
    text_char(out, '}');
}

static void thread(text *out, const figures_thread *of)
{
    static const char *const STATES[] = {"attached", "ended", "drained"};
    text_char(out, '{');
    put_text(out, "name", of->name);
    put_count(out, "tid", of->seen.tid);
    put_count(out, "slot", of->seen.slot);
    put_text(out, "state", STATES[of->seen.state]);
    put_count(out, "attempted", of->seen.attempted);
    put_count(out, "open", of->seen.open);
    put_count(out, "dropped_ring_full", of->seen.dropped_ring_full);
    put_count(out, "dropped_too_deep", of->seen.dropped_too_deep);
    put_count(out, "dropped_detached_full", of->seen.dropped_detached_full);
    put_count(out, "dropped_in_signal", of->seen.dropped_in_signal);
    put_count(out, "roots_unsampled", of->seen.roots_unsampled);
    put_count(out, "roots_refused", of->seen.roots_refused);
    put_count(out, "ring_bytes", of->seen.ring_bytes);
    put_count(out, "ring_fill", of->seen.ring_fill);
    put_count(out, "ring_fill_peak", of->seen.ring_fill_peak);
    begin_rates(out, &of->rates, of->rated);
    text_put(out, "}}");
}

static void latency(text *out, const figures_latency *of, bool rated)
{
    text_char(out, '{');
    put_text(out, "name", of->name);
    put_count(out, "count", of->all.count);
    put_rate(out, "per_second", of->per_second, rated);
    put_count(out, "sum_ns", of->all.sum_ns);
    put_count(out, "p50_ns", of->all.p50_ns);
    put_count(out, "p90_ns", of->all.p90_ns);
    put_count(out, "p99_ns", of->all.p99_ns);
    put_count(out, "p999_ns", of->all.p999_ns);
    put_count(out, "max_ns", of->all.max_ns);
    text_char(out, '}');
}

static void latencies(text *out, const figures_engine *engine)
{
    key(out, "local_roots");
    text_char(out, '[');
    for (size_t i = 0; i < engine->seen.latency_count; i++) {
        text_put(out, i != 0 ? "," : "");
        latency(out, &engine->latencies[i], engine->rated);
    }
    text_char(out, ']');
    put_count(out, "local_roots_unmeasured", engine->seen.latency_unmeasured);
}

static void readable_engine(text *out, const figures_engine *engine)
{
    put_count(out, "start_unix_ns", engine->seen.start_unix_ns);
    put_count(out, "unsent", engine->seen.unsent);
    text_char(out, ',');
    sampling_json(out, &engine->seen);
    put_number(out, "ring_fill", figures_ring_fill(engine));
    put_number(out, "ring_fill_peak", figures_ring_peak(engine));
    put_count(out, "pass_age_ns", figures_pass_age_ns(engine));
    put_count(out, "lag_ns", figures_lag_ns(engine));
    put_number(out, "answer_mean_ns", engine->answer_ns);
    engine_rates(out, engine);
    stats(out, &engine->seen.stats);
    key(out, "threads");
    text_char(out, '[');
    for (size_t i = 0; i < engine->seen.thread_count; i++) {
        text_put(out, i != 0 ? "," : "");
        thread(out, &engine->threads[i]);
    }
    text_char(out, ']');
    latencies(out, engine);
}

void top_json(text *out, const figures *all)
{
    text_char(out, '{');
    put_count(out, "unix_ns", nsp__clock_ns(CLOCK_REALTIME));
    key(out, "engines");
    text_char(out, '[');
    for (size_t i = 0; i < all->count; i++) {
        const figures_engine *engine = &all->engines[i];
        text_put(out, i != 0 ? ",{" : "{");
        put_text(out, "service", engine->service);
        put_text(out, "session", engine->name);
        put_count(out, "pid", engine->seen.pid);
        put_truth(out, "alive", engine->seen.alive);
        put_text(out, "drained_by", figures_state(engine));
        if (engine->problem != NULL)
            put_text(out, "problem", engine->problem);
        else
            readable_engine(out, engine);
        text_char(out, '}');
    }
    text_put(out, "]}\n");
}
