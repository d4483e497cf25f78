// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/runtime.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit_gate.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/mapping.h"
#include "base/name.h"
#include "base/paging.h"
#include "base/testpoint.h"
#include "config/config.h"
#include "drain/stats.h"
#include "lifecycle/exporter_list.h"
#include "outside/prune.h"
#include "trace/sampler.h"
#include "trace/slots.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// ---- exporter ----

static const nsp_exporter *exporter_chosen(const nsp_config *config)
{
    if (config->custom_exporter != NULL)
        return config->custom_exporter;
    if (nsp__config_exporter_listed(config))
        return &nsp__exporter_list;
    const char *name = config->exporter != NULL   ? config->exporter
                       : config->endpoint != NULL ? "otlp"
                                                  : "none";
    return nsp__exporter_named(name, strlen(name)); // "none" is not among them
}

// While an exporter is created, its error lines also state the consequence. Only one start happens at a time.
static bool creating, creation_explained;
static const char *consequence;

__attribute__((format(printf, 3, 4))) static void exporter_log(nsp_log_level level, const char *subject,
                                                               const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    bool why = creating && level == NSP_LOG_ERROR;
    creation_explained = creation_explained || why;
    nsp__log(level, why ? "" : subject, "%s%s", line, why ? consequence : "");
}

// The exporter's create has forked, and this is the child. The session is the parent's, and the exporter may
// share a connection with it, so both are left alone.
static nsp_status leave_to_parent(nsp__runtime *runtime, const nsp_exporter *exporter)
{
    runtime->exporter_left_behind = true;
    nsp__trace_abandon();
    nsp__session_abandon(&runtime->session);
    return nsp__fail(NSP_ERR_UNSUPPORTED,
                     "the exporter %s forked this process while it was being created; only the parent "
                     "continues to trace",
                     exporter->name);
}

// An exporter that cannot be created must not stop the engine: it runs on, and spans are discarded and
// counted. Not NSP_OK: this process is a child now, and the session has been left to its parent.
static nsp_status exporter_create(nsp__runtime *runtime)
{
    const nsp_config *config = &runtime->config;
    const nsp_exporter *exporter = exporter_chosen(config);
    runtime->exporter = NULL;
    runtime->cancel = 0;
    if (exporter == NULL) {
        if (config->exporter == NULL)
            nsp__log(NSP_LOG_WARN, "",
                     "tracing is on, but there is neither a usable endpoint (OTLP_ENDPOINT or "
                     "OTEL_EXPORTER_OTLP_ENDPOINT) nor an OTEL_TRACES_EXPORTER: spans are discarded");
        else
            nsp__log(NSP_LOG_INFO, "", "tracing is on, but the exporter is \"none\": spans are discarded");
        return NSP_OK;
    }
    runtime->exporter_context = (nsp_exporter_context){
        .config = config,
        .resource_keys = runtime->resource.keys,
        .resource_values = runtime->resource.values,
        .resource_types = runtime->resource.types,
        .resource_count = runtime->resource.count,
        .cancel = &runtime->cancel,
        .log = exporter_log,
        .held_back = &runtime->held_back,
    };
    runtime->exporter_state = NULL;
    if (!nsp__exit_enter())
        return NSP_OK; // nothing will be sent any more
    uint32_t process = nsp__process_number();
    creating = true;
    consequence = exporter == &nsp__exporter_list ? "" : "; spans are discarded"; // a list says it itself
    creation_explained = false;
    nsp_status status = exporter->create(&runtime->exporter_state, &runtime->exporter_context);
    creating = false;
    nsp__exit_leave();
    if (nsp__process_copied() || nsp__process_number() != process)
        return leave_to_parent(runtime, exporter);
    if (status == NSP_OK)
        runtime->exporter = exporter;
    else if (!creation_explained)
        nsp__log(NSP_LOG_ERROR, "", "cannot create the exporter %s: %s; spans are discarded", exporter->name,
                 nsp_status_str(status));
    return NSP_OK;
}

static nsp_status sender_start(nsp__runtime *runtime)
{
    runtime->sender = NULL;
    runtime->batches = NULL;
    runtime->sender_left_behind = false;
    if (runtime->exporter == NULL)
        return NSP_OK;
    runtime->batches = calloc(runtime->config.batches, sizeof *runtime->batches);
    if (runtime->batches == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for %u batches", runtime->config.batches);
    nsp__batch_pool_make(runtime->batches, &runtime->session, &runtime->config);
    const nsp__sender_options options = {
        .exporter = runtime->exporter,
        .exporter_state = runtime->exporter_state,
        .batches = runtime->batches,
        .count = runtime->config.batches,
        .counters = &runtime->session.control->counters,
        .cancel = &runtime->cancel,
        .held_back = &runtime->held_back,
        .doubt = nsp__exporter_doubt(runtime->exporter, runtime->exporter_state),
        // 0: no limit but a shutdown's.
        .export_timeout_ns =
            runtime->config.export_timeout_ns != 0 ? runtime->config.export_timeout_ns : UINT64_MAX,
        .backoff_min_ns = runtime->config.retry_min_ns,
        .backoff_max_ns = runtime->config.retry_max_ns,
        .cpus = runtime->config.collector_cpus,
        .alone_checks = runtime->config.collector != NSP_COLLECTOR_THREAD,
        .left_behind = &runtime->sender_left_behind,
    };
    return nsp__sender_start(&runtime->sender, &options);
}

// ---- session ----

// Tells readers outside this process who recorded the session.
static void resource_share(const nsp__runtime *runtime)
{
    nsp__control *control = runtime->session.control;
    size_t used = 0;
    for (size_t i = 0; i < runtime->resource.count; i++) {
        size_t key = strlen(runtime->resource.keys[i]) + 1, value = strlen(runtime->resource.values[i]) + 1;
        if (used + key + value > sizeof control->resource)
            break;
        memcpy(control->resource + used, runtime->resource.keys[i], key);
        memcpy(control->resource + used + key, runtime->resource.values[i], value);
        used += key + value;
    }
    __atomic_store_n(&control->resource_bytes, (uint32_t)used,
                     __ATOMIC_RELEASE); // RB1: the resource is whole
}

// Every name goes into the session's table and gets its class. May run for one name on several threads at
// once; the first one to claim the entry writes it.
static void name_added(nsp_name name, const char *text, size_t length)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4
    uint32_t unclaimed = 0;
    if (control != NULL && length != 0 && !nsp__process_copied() &&
        __atomic_compare_exchange_n(&control->names[name].length, &unclaimed, NSP__NAME_CLAIMED, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        uint32_t offset = __atomic_fetch_add(&control->name_text_bytes, (uint32_t)length, __ATOMIC_RELAXED);
        if (offset + length <= sizeof control->name_text) {
            memcpy(control->name_text + offset, text, length);
            control->names[name].offset = offset;
            __atomic_store_n(&control->names[name].length, (uint32_t)length, __ATOMIC_RELEASE); // M1
        }
    }
    nsp__sampler_classify(name, text, length);
}

static void session_end(nsp__runtime *runtime)
{
    nsp__clock_keep();
    if (runtime->attach_left_behind)
        return; // that thread continues in this session; no new one begins before it is done
    nsp__trace_end();
    nsp__session_destroy(&runtime->session);
    __atomic_store_n(&nsp__trace_state.control, NULL, __ATOMIC_RELEASE); // T3
}

static void parts_free(nsp__runtime *runtime)
{
    bool destroyed = runtime->exporter == NULL;
    if (!destroyed && !runtime->sender_left_behind && nsp__exit_enter()) {
        runtime->exporter->destroy(runtime->exporter_state);
        nsp__exit_leave();
        destroyed = true;
    }
    runtime->exporter_left_behind = !destroyed;
    if (!runtime->sender_left_behind)
        free(runtime->batches);
    runtime->batches = NULL;
    runtime->exporter = NULL;
    runtime->sender = NULL;
    if (!runtime->sender_left_behind)
        nsp__resource_free(&runtime->resource);
    memset(&runtime->resource, 0, sizeof runtime->resource);
}

// Removes dead sessions beyond the limit, before this process creates its own.
static void prune(const nsp_config *config)
{
    char directory[400];
    if (nsp__sessions_directory(config->shm_dir, directory, sizeof directory))
        nsp__session_prune(directory, config->keep_sessions, config->keep_bytes);
}

nsp_status nsp__runtime_start(nsp__runtime *runtime)
{
    const nsp_config *config = &runtime->config;
    nsp_status status = nsp__resource_build(&runtime->resource, config);
    if (status != NSP_OK)
        return status;
    nsp__clock_select(config->clock);
    prune(config);
    status = nsp__session_create(&runtime->session, config, nsp__batch_pool_bytes(config));
    if (status != NSP_OK) {
        nsp__resource_free(&runtime->resource);
        return status;
    }
    NSP__TESTPOINT("start: without a resource");
    nsp__control *control = runtime->session.control;
    resource_share(runtime);
    nsp__clock_calibrate(&control->clock);
    nsp__clock_set_active(&control->clock);
    nsp__trace_begin(&runtime->session, config);
    nsp__paging_report();
    __atomic_store_n(&nsp__name_added, name_added, __ATOMIC_RELEASE); // H1: what the hook works on, to H2
    nsp__name_replay();
    nsp__sampler_begin(control, config->sample_rate, config->parent_policy);
    status = exporter_create(runtime);
    if (status != NSP_OK)
        return status;
    status = sender_start(runtime);
    if (status == NSP_OK)
        status = nsp__collector_start(&runtime->collector, config, &runtime->session, runtime->exporter,
                                      runtime->exporter_state, runtime->sender);
    if (status != NSP_OK) {
        if (runtime->sender != NULL)
            nsp__sender_stop(runtime->sender, 0);
        parts_free(runtime);
        session_end(runtime);
    }
    return status;
}

void nsp__runtime_announce(const nsp__runtime *runtime)
{
    char where[640];
    if (runtime->exporter == NULL)
        return; // said already
    nsp__exporter_describe(runtime->exporter, runtime->exporter_state, &runtime->config, where, sizeof where);
    nsp__log(NSP_LOG_INFO, "", "tracing is on: %s, sample rate %g%s", where, runtime->config.sample_rate,
             nsp__paging_describe());
}

// ---- the end ----

void nsp__runtime_stop(nsp__runtime *runtime, uint64_t deadline_ns)
{
    static const bool never = false;
    // Threads stop beginning local roots, because the policy's generation becomes "no session".
    nsp__sampler_end(runtime->session.control, runtime->session.generation);
    NSP__TESTPOINT("shutdown: without a policy");
    runtime->attach_left_behind = !nsp__trace_quiesce(100);
    nsp__collector_flush(&runtime->collector, deadline_ns, &never);
    nsp__collector_end end = nsp__collector_stop(&runtime->collector, deadline_ns);
    runtime->collector_left_behind = end != NSP__COLLECTOR_ENDED;
    if (end == NSP__COLLECTOR_DRAINS) {
        // The thread may still use all of this, so everything stays as it is, including the session.
        runtime->attach_left_behind = true;
        runtime->sender = NULL;
        runtime->sent = false;
        return;
    }
    nsp__sender *sender = runtime->sender;
    runtime->sender = NULL; // a child that is forked from now on finds none
    nsp__sender_end sending = {.all_sent = true};
    if (sender != NULL)
        sending = nsp__sender_stop(sender, deadline_ns);
    uint64_t discarded = nsp__collector_discard_rest(&runtime->collector);
    bool wanted = runtime->exporter != NULL;
    parts_free(runtime);
    runtime->sender_in_callback = sending.in_callback;
    runtime->given_up = sending.given_up + (wanted ? discarded : 0);
    runtime->sent = sending.all_sent && !(wanted && discarded != 0);
}

bool nsp__runtime_left_behind(const nsp__runtime *runtime)
{
    return runtime->exporter_left_behind || runtime->sender_left_behind || runtime->collector_left_behind ||
           runtime->attach_left_behind;
}

// Threads that keep tracing during a shutdown commit records that nobody drains any more, or are in the
// middle of beginning or ending spans that will never be sent. The counters are adjusted only in that case;
// otherwise they stay as they are, so that they show if something is wrong.
static void settle_moving_stats(nsp_stats *stats)
{
    stats->discarded += stats->in_rings;
    stats->in_rings = 0;
    stats->open = stats->attempted - stats->dropped - stats->discarded - stats->in_batches -
                  stats->unconfirmed - stats->rejected - stats->exported - stats->spooled;
}

// With the mutex held by a cold call, which keeps the line until it ends.
static void log_given_up(const nsp__runtime *runtime, uint64_t spans)
{
    // A line would wait for a thread that hangs in the log callback.
    if (spans != 0 && !runtime->sender_in_callback)
        nsp__log(NSP_LOG_WARN, "stopped", "stopped before %llu span%s could be sent",
                 (unsigned long long)spans, spans == 1 ? "" : "s");
}

bool nsp__runtime_end(nsp__runtime *runtime, nsp_stats *final_stats, uint64_t *given_up)
{
    nsp_stats before;
    nsp__stats_read(&before, &runtime->session);
    bool moving = nsp__trace_moving();
    nsp__stats_read(final_stats, &runtime->session);
    uint64_t late = final_stats->in_rings;
    if (moving || before.attempted != final_stats->attempted || before.open != final_stats->open || late != 0)
        settle_moving_stats(final_stats);
    // Also those of threads that go on tracing, and those that an encoder does not give back.
    *given_up = runtime->sent ? 0 : runtime->given_up + late + final_stats->in_batches;
    log_given_up(runtime, *given_up);
    bool sent = runtime->sent;
    nsp__sampler_lock();
    session_end(runtime);
    nsp__sampler_unlock();
    return sent;
}

// What this process's parents worked with. It is reachable from here, so that leak checkers see that it is
// meant to stay.
static nsp__runtime *abandoned;

static void keep_reachable(const nsp__runtime *runtime)
{
    nsp__runtime *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return;
    *copy = *runtime;
    copy->next_left = abandoned;
    abandoned = copy;
}

void nsp__runtime_abandon(nsp__runtime *runtime)
{
    // The parent's threads, locks and connections do not exist here. What they were working on is left alone;
    // that much memory leaks once in each forked child that traces.
    if (runtime->sender != NULL)
        nsp__sender_abandon(runtime->sender);
    keep_reachable(runtime);
    nsp__trace_abandon();
    nsp__session_abandon(&runtime->session);
    nsp_config config = runtime->config;
    memset(runtime, 0, sizeof *runtime);
    runtime->config = config;
}
