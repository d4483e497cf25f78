// SPDX-License-Identifier: Apache-2.0
//
// The figures in Prometheus' text format. Where OpenTelemetry's semantic conventions (1.36.0, "SDK metrics") have a
// metric, it has that name, as OpenTelemetry's compatibility rules spell it for Prometheus: dots become underscores,
// counters end with _total; so have labels that are attributes there. All other metrics begin with nanospan_. A counter
// belongs to one session, which its labels name, and is gone when that is gone.
#include "metrics.h"

#include "support/json_text.h"
#include "common/utf8.h"
#include <stddef.h>
#include <string.h>

typedef struct family {
    const char *name, *type, *help;
    const char *labels; // in addition to those of the session; NULL: none
    size_t counter;     // its place in nsp_stats, if `value` is NULL
    double (*value)(const figures_engine *engine);
} family;

// ---- values that are not counters of nsp_stats ----

static double in_seconds(uint64_t nanoseconds)
{
    return (double)nanoseconds * 1e-9;
}

static double left_out(const figures_engine *e)
{
    return (double)(e->seen.stats.roots_unsampled + e->seen.stats.roots_refused);
}

// All that was taken out of the rings. Those that were discarded are among them: without them this would go back while
// spans are being discarded, since they are read at another time than the others. To Prometheus that is a restart.
static double processed(const figures_engine *e)
{
    const nsp_stats *s = &e->seen.stats;
    return (double)(s->in_batches + s->exported + s->rejected + s->unconfirmed + s->spooled + s->discarded);
}

static double answer_sum(const figures_engine *e)
{
    return in_seconds(e->seen.stats.answer_ns);
}

static double answer_last(const figures_engine *e)
{
    return in_seconds(e->seen.stats.answer_last_ns);
}

static double answer_longest(const figures_engine *e)
{
    return in_seconds(e->seen.stats.answer_longest_ns);
}

static double lag(const figures_engine *e)
{
    return in_seconds(figures_lag_ns(e));
}

static double lag_longest(const figures_engine *e)
{
    return in_seconds(e->seen.stats.lag_longest_ns);
}

static double pass_age(const figures_engine *e)
{
    return in_seconds(figures_pass_age_ns(e));
}

static double threads(const figures_engine *e)
{
    return e->seen.stats.threads;
}

static double threads_private(const figures_engine *e)
{
    return e->seen.stats.threads_private;
}

static double clock_error(const figures_engine *e)
{
    return in_seconds(e->seen.stats.clock_error_ns);
}

static double sample_rate(const figures_engine *e)
{
    return e->seen.rate;
}

static double start_time(const figures_engine *e)
{
    return in_seconds(e->seen.start_unix_ns);
}

static double memory(const figures_engine *e)
{
    return (double)e->seen.bytes;
}

static double unsent(const figures_engine *e)
{
    return (double)e->seen.unsent;
}

static double alive(const figures_engine *e)
{
    return e->seen.alive;
}

// An engine drains itself as long as it lives.
static double drained(const figures_engine *e)
{
    return e->seen.external ? e->seen.drained : e->seen.alive;
}

static double unmeasured(const figures_engine *e)
{
    return (double)e->seen.latency_unmeasured;
}

static double readable(const figures_engine *e)
{
    return e->problem == NULL;
}

// ---- the metrics ----

#define COUNTER "counter"
#define GAUGE "gauge"
#define OF(member) .counter = offsetof(nsp_stats, member)
#define PROCESSED "otel_sdk_processor_span_processed_total"
#define EXPORTED "otel_sdk_exporter_span_exported_total"
#define DURATION "otel_sdk_exporter_operation_duration_seconds"

// Those of one name follow each other. Of a session that cannot be read there are only the first ones.
static const family EVERY[] = {
    {"nanospan_session_alive", GAUGE,
     "1: the engine of this session runs; 0: it does not, or nobody can tell.", .value = alive},
    {"nanospan_session_readable", GAUGE, "1: this session can be read; 0: nanospan doctor says why not.",
     .value = readable},
    {"nanospan_session_memory_bytes", GAUGE, "Memory that the files of the session use.", .value = memory},
};

static const family READABLE[] = {
    {"otel_sdk_span_started_total", COUNTER,
     "Spans that were begun; of traces that were left out, only the roots.",
     "otel_span_sampling_result=\"RECORD_AND_SAMPLE\"", OF(attempted)},
    {"otel_sdk_span_started_total", COUNTER, "", "otel_span_sampling_result=\"DROP\"", .value = left_out},
    {"otel_sdk_span_live", GAUGE, "Spans that record and have not ended.",
     "otel_span_sampling_result=\"RECORD_AND_SAMPLE\"", OF(open)},
    {PROCESSED, COUNTER, "Spans that were handed to the exporter, or with an error_type lost before that.",
     .value = processed},
#define LOST(by, error, member)                                                                              \
    {                                                                                                        \
        by, COUNTER, "", "error_type=\"" error "\"", OF(member)                                              \
    }
    LOST(PROCESSED, "queue_full", dropped_ring_full),
    LOST(PROCESSED, "too_deep", dropped_too_deep),
    LOST(PROCESSED, "detached_full", dropped_detached_full),
    LOST(PROCESSED, "in_signal", dropped_in_signal),
    LOST(PROCESSED, "no_thread", dropped_no_thread),
    LOST(PROCESSED, "invalid", dropped_invalid),
    {"otel_sdk_processor_span_queue_size", GAUGE, "Spans that have ended and wait in the rings.",
     OF(in_rings)},
    {"otel_sdk_exporter_span_inflight", GAUGE, "Spans in batches that are not answered yet.", OF(in_batches)},
    {EXPORTED, COUNTER, "Spans that the receiver has accepted, or with an error_type not.", OF(exported)},
    LOST(EXPORTED, "rejected", rejected),
    LOST(EXPORTED, "unconfirmed", unconfirmed),
    LOST(EXPORTED, "discarded", discarded),
#undef LOST
    {"nanospan_traces_unsampled_total", COUNTER, "Traces that the sampler left out.", OF(roots_unsampled)},
    {"nanospan_traces_refused_total", COUNTER,
     "Traces left out because a ring was filled above its watermark.", OF(roots_refused)},
    {"nanospan_local_roots_unmeasured_total", COUNTER,
     "Local roots that an outlier rule concerns, but whose names found no room to be measured.",
     .value = unmeasured},
    {"nanospan_spans_unsent", GAUGE, "Spans that were begun and are neither sent nor lost.", .value = unsent},
    {"nanospan_spans_speculated_total", COUNTER,
     "Spans of traces that the head left out, recorded because an outlier rule decides about them at their "
     "end.",
     OF(speculated)},
    {"nanospan_spans_kept_total", COUNTER,
     "Those of them that were kept; they are among the started ones, too.", OF(kept)},
    // What was taken back may yet be kept, so it may become fewer, and is no counter.
    {"nanospan_spans_taken_back", GAUGE, "Those of them that were not kept.", OF(taken_back)},
    {"nanospan_spans_speculating", GAUGE, "Those of them about whose traces nothing is decided yet.",
     OF(speculating)},
    {"nanospan_traces_kept_incomplete_total", COUNTER, "Traces that were kept without some of their spans.",
     OF(kept_incomplete)},
    {"nanospan_traces_beyond_limit_total", COUNTER,
     "Traces that met an outlier rule, and were not kept because of its limit.", OF(kept_limited)},
    {"nanospan_context_switches_total", COUNTER, "Context switches of threads that record (NSP_SWITCHES).",
     OF(switches)},
    {"nanospan_context_switches_lost_total", COUNTER,
     "Those that are not known, and spans of which some may be missing.", OF(switches_lost)},
    {"nanospan_spans_snapshot_total", COUNTER,
     "Spans that were not kept, and exported by a snapshot of history; they are among the started ones, too.",
     OF(snapshot)},
    {"nanospan_records_overtaken_total", COUNTER,
     "Records of history that their thread had overwritten while a snapshot read them.",
     OF(snapshot_overtaken)},
    {"nanospan_spans_leaked_total", COUNTER, "Spans that their thread's exit or reset has ended.",
     OF(leaked)},
    {"nanospan_calls_misused_total", COUNTER,
     "Calls with a span that had ended, on the wrong thread, or out of order.", OF(misused)},
    {"nanospan_values_cut_total", COUNTER, "Values that were cut because their span's record was full.",
     OF(values_cut)},
    {"nanospan_paths_overflowed_total", COUNTER, "Declarations of paths that did not fit into their table.",
     OF(paths_overflowed)},
    {"nanospan_paths_shared_total", COUNTER, "Detached paths that did not record and shared one struct.",
     OF(paths_shared)},
    {"nanospan_requests_answered_total", COUNTER, "Requests that were answered, whatever the answer.",
     OF(batches_sent)},
    {"nanospan_requests_failed_total", COUNTER, "Attempts to send that failed.", OF(batches_failed)},
    {"nanospan_requests_retried_total", COUNTER, "Attempts to send a batch again.", OF(retries)},
    {"nanospan_sent_bytes_total", COUNTER, "Bytes of request bodies, after compression.", OF(bytes_sent)},
    {"nanospan_encoded_bytes_total", COUNTER, "Bytes of batches, before compression.", OF(bytes_encoded)},
    {"nanospan_request_duration_last_seconds", GAUGE, "How long the last answered request took.",
     .value = answer_last},
    {"nanospan_request_duration_longest_seconds", GAUGE, "How long the slowest answered request took.",
     .value = answer_longest},
    {"nanospan_drain_lag_seconds", GAUGE,
     "How long records had waited in the rings, at most, when they were last emptied, or have waited since.",
     .value = lag},
    {"nanospan_drain_lag_longest_seconds", GAUGE,
     "The longest that they had waited when the rings were emptied.", .value = lag_longest},
    {"nanospan_drain_pass_age_seconds", GAUGE, "Since the last pass over the rings; 0: there was none.",
     .value = pass_age},
    {"nanospan_drained", GAUGE, "1: somebody drains the session at this moment.", .value = drained},
    {"nanospan_ring_fill_ratio", GAUGE, "How full the fullest ring is, 0 to 1.", .value = figures_ring_fill},
    {"nanospan_ring_fill_peak_ratio", GAUGE, "How full a ring was at most when it was emptied, 0 to 1.",
     .value = figures_ring_peak},
    {"nanospan_threads", GAUGE, "Threads that are attached.", .value = threads},
    {"nanospan_threads_private", GAUGE, "Those of them for which shared memory had no room.",
     .value = threads_private},
    {"nanospan_clock_error_seconds", GAUGE, "Upper bound of the error of time stamps.", .value = clock_error},
    {"nanospan_clock_steps_total", COUNTER, "Steps of the wall clock.", OF(clock_steps)},
    {"nanospan_start_time_seconds", GAUGE, "When the engine began to trace, in seconds since 1970.",
     .value = start_time},
    {"nanospan_sample_rate", GAUGE,
     "Share of the traces that are recorded if no rule says otherwise and no limit lowers it.",
     .value = sample_rate},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

// ---- writing ----

void metrics_head(text *out, const char *name, const char *type, const char *help)
{
    text_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

// The value of a label. Others choose the names of services, threads and rules: what is no UTF-8 is written as \xNN, so
// that two of them that differ stay two.
void metrics_label(text *out, const char *key, const char *value)
{
    const uint8_t *at = (const uint8_t *)value, *end = at + strlen(value);
    text_format(out, "%s=\"", key);
    for (size_t size; at < end; at += size) {
        bool valid;
        size = nsp__utf8_next(at, end, &valid);
        for (size_t i = 0; i < size && !valid; i++)
            text_format(out, "\\\\x%02x", at[i]);
        if (*at == '\n')
            text_put(out, "\\n");
        else if (*at == '\\' || *at == '"')
            text_format(out, "\\%c", *at);
        else if (valid)
            text_add(out, at, size);
    }
    text_char(out, '"');
}

void metrics_begin(text *out, const char *name, const char *suffix, const figures_engine *engine)
{
    text_format(out, "%s%s{", name, suffix);
    metrics_label(out, "service_name", engine->service);
    text_format(out, ",process_pid=\"%u\",", engine->seen.pid);
    metrics_label(out, "session", engine->name);
}

void metrics_finish(text *out, double value)
{
    text_put(out, "} ");
    json_double(out, value);
    text_char(out, '\n');
}

void metrics_finish_count(text *out, uint64_t value)
{
    text_put(out, "} ");
    json_unsigned(out, value);
    text_char(out, '\n');
}

static uint64_t counter_of(const figures_engine *engine, size_t at)
{
    uint64_t value;
    memcpy(&value, (const char *)&engine->seen.stats + at, sizeof value);
    return value;
}

static void sample(text *out, const family *of, const figures_engine *engine)
{
    metrics_begin(out, of->name, "", engine);
    if (of->labels != NULL)
        text_format(out, ",%s", of->labels);
    if (of->value != NULL)
        metrics_finish(out, of->value(engine));
    else
        metrics_finish_count(out, counter_of(engine, of->counter));
}

static void families(text *out, const figures *all, const family *list, size_t count, bool every)
{
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || strcmp(list[i].name, list[i - 1].name) != 0)
            metrics_head(out, list[i].name, list[i].type, list[i].help);
        for (size_t e = 0; e < all->count; e++)
            if (every || all->engines[e].problem == NULL)
                sample(out, &list[i], &all->engines[e]);
    }
}

// A histogram, as the conventions have it, of one bucket: only the sum and the count are kept.
static void durations(text *out, const figures *all)
{
    metrics_head(out, DURATION, "histogram", "How long answered requests took.");
    for (size_t e = 0; e < all->count; e++) {
        const figures_engine *engine = &all->engines[e];
        if (engine->problem != NULL)
            continue;
        metrics_begin(out, DURATION, "_bucket", engine);
        text_put(out, ",le=\"+Inf\"");
        metrics_finish_count(out, engine->seen.stats.answers);
        metrics_begin(out, DURATION, "_sum", engine);
        metrics_finish(out, answer_sum(engine));
        metrics_begin(out, DURATION, "_count", engine);
        metrics_finish_count(out, engine->seen.stats.answers);
    }
}

static void rules(text *out, const figures *all)
{
    static const char name[] = "nanospan_sample_rule_rate";
    metrics_head(
        out, name, GAUGE,
        "Share of the traces that are recorded if this is the first rule that matches and no limit lowers "
        "it.");
    for (size_t e = 0; e < all->count; e++)
        for (size_t i = 0; i < all->engines[e].seen.rule_count; i++) {
            metrics_begin(out, name, "", &all->engines[e]);
            text_char(out, ',');
            metrics_label(out, "rule", all->engines[e].rules[i].pattern);
            metrics_finish(out, all->engines[e].rules[i].rate);
        }
}

// Of the engines that have one.
static void limits(text *out, const figures *all)
{
    static const char limit[] = "nanospan_sample_limit", factor[] = "nanospan_sample_limit_factor";
    metrics_head(out, limit, GAUGE, "Most traces a second; engines without a limit have none.");
    for (size_t e = 0; e < all->count; e++)
        if (all->engines[e].seen.limit != 0) {
            metrics_begin(out, limit, "", &all->engines[e]);
            metrics_finish(out, all->engines[e].seen.limit);
        }
    metrics_head(out, factor, GAUGE,
                 "All rates are multiplied by it now, so that the limit holds; 1: none is lowered.");
    for (size_t e = 0; e < all->count; e++)
        if (all->engines[e].seen.limit != 0) {
            metrics_begin(out, factor, "", &all->engines[e]);
            metrics_finish(out, all->engines[e].seen.limit_factor);
        }
}

// ---- threads ----

static uint64_t thread_started(const figures_thread *thread)
{
    return thread->seen.attempted;
}

static uint64_t thread_dropped(const figures_thread *thread)
{
    return thread->dropped;
}

static uint64_t thread_ring(const figures_thread *thread)
{
    return thread->seen.ring_bytes;
}

static uint64_t thread_fill(const figures_thread *thread)
{
    return thread->seen.ring_fill;
}

static uint64_t thread_peak(const figures_thread *thread)
{
    return thread->seen.ring_fill_peak;
}

static const struct {
    const char *name, *type, *help;
    uint64_t (*value)(const figures_thread *thread);
} OF_THREADS[] = {
    {"nanospan_thread_spans_started_total", COUNTER, "Sampled spans that the thread has begun.",
     thread_started},
    {"nanospan_thread_spans_dropped_total", COUNTER, "Spans of the thread that were dropped.",
     thread_dropped},
    {"nanospan_thread_ring_bytes", GAUGE, "The size of the thread's ring.", thread_ring},
    {"nanospan_thread_ring_fill_bytes", GAUGE, "What is in the ring.", thread_fill},
    {"nanospan_thread_ring_fill_peak_bytes", GAUGE, "What was in the ring at most when it was emptied.",
     thread_peak},
};

// The place in the session tells threads apart: those of one process have no names, or the same.
static void thread_sample(text *out, size_t row, const figures_engine *engine, const figures_thread *thread)
{
    metrics_begin(out, OF_THREADS[row].name, "", engine);
    text_format(out, ",slot=\"%u\",thread_id=\"%u\",", thread->seen.slot, thread->seen.tid);
    metrics_label(out, "thread_name", thread->name);
    metrics_finish_count(out, OF_THREADS[row].value(thread));
}

static void of_threads(text *out, const figures *all)
{
    for (size_t row = 0; row < COUNT(OF_THREADS); row++) {
        metrics_head(out, OF_THREADS[row].name, OF_THREADS[row].type, OF_THREADS[row].help);
        for (size_t e = 0; e < all->count; e++)
            for (size_t i = 0; i < all->engines[e].seen.thread_count; i++)
                thread_sample(out, row, &all->engines[e], &all->engines[e].threads[i]);
    }
}

void metrics_write(text *out, const figures *all, bool with_threads)
{
    families(out, all, EVERY, COUNT(EVERY), true);
    families(out, all, READABLE, COUNT(READABLE), false);
    durations(out, all);
    metrics_roots(out, all);
    rules(out, all);
    limits(out, all);
    if (with_threads)
        of_threads(out, all);
}
