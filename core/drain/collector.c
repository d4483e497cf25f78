// SPDX-License-Identifier: Apache-2.0
#include "drain/collector.h"

#include <stdlib.h>
#include <string.h>

#include "base/alone.h"
#include "base/call.h"
#include "base/log.h"
#include "base/thread_start.h"
#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/pass.h"

// ---- the thread ----

// The sleep is shorter while rings fill quickly, and longer while they stay nearly empty.
static uint64_t next_pause(const nsp__collector *collector, uint64_t pause)
{
    const nsp_config *config = collector->options.config;
    if (collector->fill > 0.25)
        pause /= 2;
    else if (collector->fill < 0.0625)
        pause += pause / 4;
    return nsp__earlier(nsp__later(pause, config->poll_min_ns), config->poll_max_ns);
}

// With `sleep` held, which is released meanwhile. Whoever waits for this thread sees that it is in the
// callback.
static void log_notices(nsp__collector *collector, const nsp__notices *notices)
{
    collector->logging = true;
    pthread_cond_broadcast(&collector->progress);
    pthread_mutex_unlock(&collector->sleep);
    nsp__notices_log(notices, NULL);
    pthread_mutex_lock(&collector->sleep);
    collector->logging = false;
}

static void *collector_run(void *argument)
{
    nsp__collector *collector = argument;
    nsp__call_thread(NSP__THREAD_COLLECTOR);
    uint64_t pause = collector->options.config->poll_min_ns;
    uint64_t next_check_ns = nsp__monotonic_ns() + NSP__ALONE_CHECK_NS;
    pthread_mutex_lock(&collector->sleep);
    while (!collector->stop) {
        uint64_t wanted = collector->passes_wanted;
        bool flush = wanted != collector->passes_done;
        pthread_mutex_unlock(&collector->sleep);

        if (NSP__UNLIKELY(nsp__monotonic_ns() >= next_check_ns)) {
            nsp__alone_check();
            next_check_ns = nsp__monotonic_ns() + NSP__ALONE_CHECK_NS;
        }

        pthread_mutex_lock(&collector->drain);
        nsp__pass(collector, &(size_t){SIZE_MAX});
        if (flush)
            nsp__batch_close(collector);
        pause = next_pause(collector, pause);
        nsp__notices notices = nsp__notices_take(&collector->notices);
        pthread_mutex_unlock(&collector->drain);

        pthread_mutex_lock(&collector->sleep);
        if (flush) {
            collector->passes_done = wanted;
            pthread_cond_broadcast(&collector->progress);
        }
        if (NSP__UNLIKELY(notices.any))
            log_notices(collector, &notices);
        if (!collector->stop && collector->passes_wanted == collector->passes_done) {
            struct timespec until = nsp__timespec_of(nsp__monotonic_ns() + pause);
            pthread_cond_timedwait(&collector->wake, &collector->sleep, &until);
        }
    }
    collector->ended = true;
    pthread_cond_broadcast(&collector->progress);
    pthread_mutex_unlock(&collector->sleep);
    return NULL;
}

// ---- start, work, stop ----

static bool takes_paths(const nsp_exporter *exporter)
{
    const size_t end = offsetof(nsp_exporter, append_path) + sizeof exporter->append_path;
    return exporter != NULL && exporter->size >= end && exporter->append_path != NULL;
}

static void free_tables(nsp__collector *collector)
{
    free(collector->sources);
    free(collector->snapshot);
    free(collector->damaged);
    free(collector->limit.roots);
    collector->limit.roots = NULL;
    nsp__outlier_watch_free(&collector->watch);
    nsp__switches_free(collector->switches);
    collector->switches = NULL;
    nsp__snapshot_free(&collector->taking);
    nsp__path_plans_free(&collector->paths);
    collector->sources = NULL;
    collector->snapshot = NULL;
    collector->damaged = NULL;
}

// What is in force now is no change, and what its own code changes right behind nsp_init is one. Of a session that is
// drained from outside, the first look says what was in force before.
static void know_policy(nsp__collector *collector)
{
    if (collector->options.control == NULL)
        return;
    nsp__notices none = {.any = false};
    const nsp__policy_place place = nsp__policy_place_of(collector->options.control);
    nsp__notices_policy(&none, &collector->known, &place);
}

// What is in the rings has come since an earlier drainer's last pass, as that says; without one, it counts from now.
static uint64_t first_drained_ns(const nsp__figures *figures)
{
    const uint64_t now = nsp__monotonic_ns();
    const uint64_t pass_ns = figures != NULL ? __atomic_load_n(&figures->pass_ns, __ATOMIC_RELAXED) : 0;
    return pass_ns != 0 ? nsp__earlier(pass_ns, now) : now;
}

nsp_status nsp__collector_start(nsp__collector *collector, const nsp__collector_options *options)
{
    const nsp_config *config = options->config;
    memset(collector, 0, sizeof *collector);
    collector->options = *options;
    collector->closed = options->closed;
    collector->taking.key = options->kept;
    if (options->snapshots != NULL) // what an earlier drainer has not done, is not done again
        collector->taking.done = collector->taking.number =
            __atomic_load_n(&options->snapshots->done, __ATOMIC_RELAXED);
    collector->drained_ns = first_drained_ns(options->figures);
    collector->window = (nsp__ring_window){.bytes = options->window, .size = options->window_bytes};
    nsp__notices_begin(&collector->known);
    know_policy(collector);
    const bool paths = nsp__path_plans_init(&collector->paths, options->paths);
    collector->takes_paths = takes_paths(options->exporter);
    collector->paths.left_out = options->left_out;
    collector->sources = calloc(config->threads, sizeof *collector->sources);
    collector->snapshot = calloc(config->threads, sizeof *collector->snapshot);
    collector->damaged = calloc(config->threads, sizeof *collector->damaged);
    collector->limit.roots = calloc(config->threads, sizeof *collector->limit.roots);
    const bool switches = options->control != NULL && config->switches;
    if (switches)
        collector->switches = nsp__switches_new(&options->control->drainer.switch_names, 0, config);
    if (!paths || collector->sources == NULL || collector->snapshot == NULL || collector->damaged == NULL ||
        collector->limit.roots == NULL || (switches && collector->switches == NULL)) {
        free_tables(collector);
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the collector");
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&collector->drain, NULL);
    pthread_mutex_init(&collector->sleep, NULL);
    pthread_cond_init(&collector->wake, &monotonic);
    pthread_cond_init(&collector->progress, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (config->collector != NSP_COLLECTOR_THREAD || options->control == NULL)
        return NSP_OK;
    nsp_status status = nsp__thread_start(&collector->thread, "nsp-collector", config->collector_cpus,
                                          collector_run, collector);
    collector->has_thread = status == NSP_OK;
    if (status != NSP_OK)
        free_tables(collector);
    return status;
}

size_t nsp__collector_work(nsp__collector *collector, size_t max_spans)
{
    if (pthread_mutex_trylock(&collector->drain) != 0)
        return 0;
    size_t budget = max_spans;
    nsp__pass(collector, &budget);
    const size_t over = collector->over;
    pthread_mutex_unlock(&collector->drain);
    return max_spans - budget + over;
}

nsp__notices nsp__collector_notices(nsp__collector *collector)
{
    nsp__notices notices = {.any = false};
    if (pthread_mutex_trylock(&collector->drain) != 0)
        return notices;
    notices = nsp__notices_take(&collector->notices);
    pthread_mutex_unlock(&collector->drain);
    return notices;
}

// How much time a pass may take beyond the deadline before the exporter's encoder is considered to hang.
static const uint64_t pass_patience_ns = 2 * NSP__SECOND;

nsp__collector_end nsp__collector_stop(nsp__collector *collector, uint64_t deadline_ns)
{
    if (!collector->has_thread)
        return NSP__COLLECTOR_ENDED;
    bool self = pthread_equal(collector->thread, pthread_self()); // the callback called exit
    uint64_t limit_ns = nsp__later(deadline_ns, nsp__monotonic_ns() + 20 * NSP__MILLISECOND);
    pthread_mutex_lock(&collector->sleep);
    collector->stop = true;
    pthread_cond_broadcast(&collector->wake);
    pthread_cond_broadcast(&collector->progress);
    // A pass ends unless an encoder hangs in it; the callback may never return.
    for (uint64_t now_ns; !collector->ended && !self;) {
        now_ns = nsp__monotonic_ns();
        if (now_ns >= limit_ns + (collector->logging ? 0 : pass_patience_ns))
            break;
        struct timespec until = nsp__timespec_of(nsp__later(limit_ns, now_ns + NSP__MILLISECOND));
        pthread_cond_timedwait(&collector->progress, &collector->sleep, &until);
    }
    nsp__collector_end end = collector->ended     ? NSP__COLLECTOR_ENDED
                             : collector->logging ? NSP__COLLECTOR_LOGS
                                                  : NSP__COLLECTOR_DRAINS;
    collector->has_thread = false;
    pthread_mutex_unlock(&collector->sleep);
    if (end == NSP__COLLECTOR_ENDED)
        pthread_join(collector->thread, NULL);
    else
        pthread_detach(collector->thread);
    return end;
}

uint64_t nsp__collector_discard_rest(nsp__collector *collector)
{
    uint64_t discarded = nsp__pass_discarding(collector);
    free_tables(collector);
    nsp__notices_log(&collector->notices, NULL);
    nsp__notices last = {.any = false};
    const nsp__policy_place place = nsp__policy_place_of(collector->options.control);
    nsp__notices_last(&last, &collector->known, &place);
    nsp__notices_log(&last, NULL);
    return discarded;
}

void nsp__collector_leave_rest(nsp__collector *collector)
{
    free_tables(collector);
    pthread_mutex_destroy(&collector->drain);
    pthread_mutex_destroy(&collector->sleep);
    pthread_cond_destroy(&collector->wake);
    pthread_cond_destroy(&collector->progress);
}
