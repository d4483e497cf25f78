// SPDX-License-Identifier: Apache-2.0
#include "figures.h"

#include "complain.h"
#include <stdlib.h>
#include <string.h>

static const char *last_part(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    return slash != NULL ? slash + 1 : directory;
}

// ---- one look ----

static void copy_threads(figures_engine *engine, const nsp_session *session)
{
    engine->threads = need_zeroes(session->thread_count + 1, sizeof *engine->threads);
    for (size_t i = 0; i < session->thread_count; i++) {
        figures_thread *thread = &engine->threads[i];
        thread->seen = session->threads[i];
        strncpy(thread->name, session->threads[i].name, sizeof thread->name - 1);
        thread->seen.name = thread->name;
        thread->dropped = thread->seen.dropped_ring_full + thread->seen.dropped_too_deep +
                          thread->seen.dropped_detached_full + thread->seen.dropped_in_signal;
    }
}

static int most_roots_first(const void *left, const void *right)
{
    const figures_latency *a = left, *b = right;
    if (a->all.count != b->all.count)
        return a->all.count > b->all.count ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void copy_latencies(figures_engine *engine, const nsp_session *session)
{
    engine->latencies = need_zeroes(session->latency_count + 1, sizeof *engine->latencies);
    for (size_t i = 0; i < session->latency_count; i++) {
        figures_latency *latency = &engine->latencies[i];
        latency->name = need_copy(session->latencies[i].name);
        latency->all = latency->recent = session->latencies[i].latency;
    }
    qsort(engine->latencies, session->latency_count, sizeof *engine->latencies, most_roots_first);
    engine->seen.latencies = NULL; // they are in engine->latencies
}

static void copy_outliers(figures_engine *engine, const nsp_session *session)
{
    const size_t count = session->problem == NULL ? session->outlier_count : 0;
    engine->outliers = need_zeroes(count + 1, sizeof *engine->outliers);
    for (size_t i = 0; i < count; i++)
        engine->outliers[i] = session->outliers[i];
    engine->seen.outliers = engine->outliers;
    engine->seen.outlier_count = count;
}

static bool add(void *argument, const nsp_session *session)
{
    figures *all = argument;
    if (session->not_started)
        return true; // there is nothing in it yet, or for good
    all->engines = need_room(all->engines, all->count, &all->capacity, sizeof *all->engines);
    figures_engine *engine = &all->engines[all->count++];
    const bool readable = session->problem == NULL;
    *engine = (figures_engine){.seen = *session, .directory = need_copy(session->directory)};
    engine->name = last_part(engine->directory);
    engine->service = need_copy(readable && session->service[0] != 0 ? session->service : session->name);
    engine->problem = readable ? NULL : need_copy(session->problem);
    const size_t rules = readable ? session->rule_count : 0;
    engine->rules = need_zeroes(rules + 1, sizeof *engine->rules);
    if (rules != 0)
        memcpy(engine->rules, session->rules, rules * sizeof *engine->rules);
    copy_outliers(engine, session);
    copy_threads(engine, session);
    copy_latencies(engine, session);
    engine->changed_process = need_copy(session->changed_process);
    engine->seen.name = engine->name;
    engine->seen.directory = engine->directory;
    engine->seen.changed_process = engine->changed_process;
    engine->seen.service = engine->service;
    engine->seen.problem = engine->problem;
    engine->seen.rules = engine->rules;
    engine->seen.rule_count = rules;
    engine->seen.threads = NULL; // they are in engine->threads
    return true;
}

void figures_free(figures *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->engines[i].directory);
        free(all->engines[i].service);
        free(all->engines[i].problem);
        free(all->engines[i].changed_process);
        free(all->engines[i].rules);
        free(all->engines[i].outliers);
        free(all->engines[i].threads);
        for (size_t k = 0; k < all->engines[i].seen.latency_count; k++)
            free(all->engines[i].latencies[k].name);
        free(all->engines[i].latencies);
    }
    free(all->engines);
    *all = (figures){0};
}

// ---- rates ----

// A count that has gone down is another one's: a session whose figures could not all be read.
static double rate(uint64_t now, uint64_t before, double seconds)
{
    return now > before ? (double)(now - before) / seconds : 0;
}

static const figures_engine *find(const figures *all, const char *name)
{
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->engines[i].name, name) == 0)
            return &all->engines[i];
    return NULL;
}

static const figures_thread *find_thread(const figures_engine *engine, const figures_thread *wanted)
{
    for (size_t i = 0; i < engine->seen.thread_count; i++)
        if (engine->threads[i].seen.slot == wanted->seen.slot)
            return &engine->threads[i];
    return NULL;
}

static void rate_threads(figures_engine *now, const figures_engine *before, double seconds)
{
    for (size_t i = 0; i < now->seen.thread_count; i++) {
        figures_thread *thread = &now->threads[i];
        const figures_thread *was = find_thread(before, thread);
        if (was == NULL)
            continue;
        thread->rated = true;
        thread->rates = (figures_rates){
            .spans = rate(thread->seen.attempted, was->seen.attempted, seconds),
            .unsampled = rate(thread->seen.roots_unsampled, was->seen.roots_unsampled, seconds),
            .refused = rate(thread->seen.roots_refused, was->seen.roots_refused, seconds),
            .dropped = rate(thread->dropped, was->dropped, seconds),
        };
    }
}

static const nsp_latency *find_latency(const figures_engine *engine, const char *name)
{
    for (size_t i = 0; i < engine->seen.latency_count; i++)
        if (strcmp(engine->latencies[i].name, name) == 0)
            return &engine->latencies[i].all;
    return NULL;
}

// The roots that have come since. A step's count that has gone down began again, or is another one's.
static void rate_latency(figures_latency *now, const nsp_latency *before, double seconds)
{
    nsp_latency recent = {.size = sizeof recent, .tick_ns = now->all.tick_ns};
    for (size_t step = 0; step < NSP_LATENCY_STEPS; step++)
        if (now->all.counts[step] > before->counts[step]) {
            recent.counts[step] = now->all.counts[step] - before->counts[step];
            recent.count += recent.counts[step];
        }
    now->per_second = (double)recent.count / seconds;
    if (recent.count == 0)
        return;
    recent.p50_ns = nsp_latency_quantile_ns(&recent, 0.5);
    recent.p90_ns = nsp_latency_quantile_ns(&recent, 0.9);
    recent.p99_ns = nsp_latency_quantile_ns(&recent, 0.99);
    recent.p999_ns = nsp_latency_quantile_ns(&recent, 0.999);
    recent.max_ns = nsp_latency_quantile_ns(&recent, 1);
    now->recent = recent;
}

static void rate_latencies(figures_engine *now, const figures_engine *before, double seconds)
{
    static const nsp_latency none = NSP_LATENCY_INIT;
    for (size_t i = 0; i < now->seen.latency_count; i++) {
        const nsp_latency *was = find_latency(before, now->latencies[i].name);
        rate_latency(&now->latencies[i], was != NULL ? was : &none, seconds);
    }
}

static double mean(uint64_t sum, uint64_t count)
{
    return count != 0 ? (double)sum / (double)count : 0;
}

static void rate_engine(figures_engine *now, const figures_engine *before)
{
    const nsp_stats *s = &now->seen.stats, *b = &before->seen.stats;
    if (now->problem != NULL || before->problem != NULL || now->seen.read_ns <= before->seen.read_ns)
        return;
    const double seconds = (double)(now->seen.read_ns - before->seen.read_ns) * 1e-9;
    now->rated = true;
    now->rates = (figures_rates){
        .spans = rate(s->attempted, b->attempted, seconds),
        .unsampled = rate(s->roots_unsampled, b->roots_unsampled, seconds),
        .refused = rate(s->roots_refused, b->roots_refused, seconds),
        .dropped = rate(s->dropped + s->discarded, b->dropped + b->discarded, seconds),
        .exported = rate(s->exported, b->exported, seconds),
        .batches = rate(s->batches_sent, b->batches_sent, seconds),
        .bytes = rate(s->bytes_sent, b->bytes_sent, seconds),
        .retries = rate(s->retries, b->retries, seconds),
        .kept = rate(s->kept, b->kept, seconds),
    };
    if (s->answers > b->answers && s->answer_ns >= b->answer_ns)
        now->answer_ns = mean(s->answer_ns - b->answer_ns, s->answers - b->answers);
    rate_threads(now, before, seconds);
    rate_latencies(now, before, seconds);
}

nsp_status figures_look(figures *all, const char *folder)
{
    figures now = {0};
    nsp_status status = nsp_sessions_each(folder, add, &now);
    if (status != NSP_OK) {
        figures_free(&now);
        return status;
    }
    for (size_t i = 0; i < now.count; i++) {
        figures_engine *engine = &now.engines[i];
        const figures_engine *before = find(all, engine->name);
        engine->answer_ns = mean(engine->seen.stats.answer_ns, engine->seen.stats.answers);
        if (before != NULL)
            rate_engine(engine, before);
    }
    figures_free(all);
    *all = now;
    return NSP_OK;
}

// ---- what follows from a look ----

static double share(uint64_t part, uint64_t whole)
{
    return whole != 0 ? (double)part / (double)whole : 0;
}

static double fullest(const figures_engine *engine, bool ever)
{
    double most = 0;
    for (size_t i = 0; i < engine->seen.thread_count; i++) {
        const nsp_session_thread *seen = &engine->threads[i].seen;
        const double full = share(ever ? seen->ring_fill_peak : seen->ring_fill, seen->ring_bytes);
        most = full > most ? full : most;
    }
    return most;
}

double figures_ring_fill(const figures_engine *engine)
{
    return fullest(engine, false);
}

double figures_ring_peak(const figures_engine *engine)
{
    return fullest(engine, true);
}

uint64_t figures_pass_age_ns(const figures_engine *engine)
{
    const uint64_t pass_ns = engine->seen.stats.pass_ns, read_ns = engine->seen.read_ns;
    return pass_ns == 0 ? 0 : read_ns > pass_ns ? read_ns - pass_ns : 1;
}

uint64_t figures_lag_ns(const figures_engine *engine)
{
    const uint64_t lag = engine->seen.stats.lag_ns, since = figures_pass_age_ns(engine);
    return engine->seen.alive && since > lag && figures_ring_fill(engine) > 0 ? since : lag;
}

const char *figures_state(const figures_engine *engine)
{
    const nsp_session *seen = &engine->seen;
    if (engine->problem != NULL)
        return "unknown";
    if (!seen->alive)
        return seen->ended ? "ended" : "dead";
    return !seen->external ? "itself" : seen->drained ? "agent" : "nobody";
}
