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
#include "config/environment.h"
#include "config/exporter_list.h"
#include "config/exporter_set.h"
#include "drain/stats.h"
#include "lifecycle/external.h"
#include "outside/prune.h"
#include "trace/outlier_decision.h"
#include "trace/path_declare.h"
#include "trace/sampler.h"
#include "trace/slots.h"
#include "trace/thread.h"
#include "trace/trace_state.h"

// ---- exporter ----

static const nsp_exporter *exporter_chosen(const nsp_config *config)
{
    return nsp__exporter_configured(config, config->endpoint != NULL ? "otlp" : "none");
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

static const char *process_name_text(const void *names, nsp_name name, size_t *length)
{
    (void)names;
    return nsp_name_text(name, length);
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
        .name_text = process_name_text,
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

static nsp_status pool_make(nsp__runtime *runtime)
{
    if (!nsp__batch_pool_init(&runtime->pool, runtime->config.batches, &runtime->session.control->counters))
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for %u batches", runtime->config.batches);
    runtime->pool.figures = &runtime->session.control->figures;
    nsp__batch_pool_place(&runtime->pool, &runtime->session, &runtime->config);
    return NSP_OK;
}

static nsp_status sender_start(nsp__runtime *runtime)
{
    runtime->sender = NULL;
    runtime->sender_left_behind = false;
    memset(&runtime->pool, 0, sizeof runtime->pool);
    if (runtime->exporter == NULL)
        return NSP_OK;
    nsp_status status = pool_make(runtime);
    if (status != NSP_OK)
        return status;
    const nsp__sender_options options = {
        .exporter = runtime->exporter,
        .exporter_state = runtime->exporter_state,
        .closed_max = runtime->config.batches,
        .cancel = &runtime->cancel,
        .held_back = &runtime->held_back,
        .doubts = {nsp__exporter_doubt(runtime->exporter, runtime->exporter_state)},
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

static nsp_status collector_start(nsp__runtime *runtime)
{
    nsp__control *control = runtime->session.control;
    const nsp__collector_options options = {
        .config = &runtime->config,
        .control = control,
        .counters = &control->counters,
        .figures = &control->figures,
        .clock = &control->clock,
        .exporter = runtime->exporter,
        .exporter_state = runtime->exporter_state,
        .sender = runtime->sender,
        .pool = &runtime->pool,
        .snapshots = &control->snapshots,
        .paths = &control->paths,
        .left_out = nsp__outlier_key_left_out,
        .kept = nsp__outlier_key_kept,
    };
    return nsp__collector_start(&runtime->collector, &options);
}

// ---- session ----

// Tells readers outside this process who recorded the session.
static void resource_share(const nsp__runtime *runtime)
{
    nsp__control *control = runtime->session.control;
    size_t used = 0;
    for (size_t i = 0; i < runtime->resource.count; i++) {
        size_t key = strlen(runtime->resource.keys[i]) + 1, value = strlen(runtime->resource.values[i]) + 1;
        if (used + 1 + key + value > sizeof control->resource)
            break;
        control->resource[used++] = (char)runtime->resource.types[i];
        memcpy(control->resource + used, runtime->resource.keys[i], key);
        memcpy(control->resource + used + key, runtime->resource.values[i], value);
        used += key + value;
    }
    __atomic_store_n(&control->resource_bytes, (uint32_t)used,
                     __ATOMIC_RELEASE); // RB1: the resource is whole
}

// Every name goes into the session's table and gets its class. May run for one name on several threads at once,
// and none of them may return before the name is there, or wait for another: a span with this name may be the
// last thing that the process does. So each of them writes all of it: the same bytes to the same place, which is
// that of the text in the process.
static void name_added(nsp_name name, const char *text, size_t length)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4
    if (control != NULL && length != 0 && !nsp__process_copied()) {
        nsp__shared_name *shared = &control->names[name];
        uint32_t place = nsp__name_place(name);
        for (size_t i = 0; i < length; i++)
            __atomic_store_n(&control->name_text[place + i], text[i], __ATOMIC_RELAXED);
        __atomic_store_n(&shared->offset, place, __ATOMIC_RELAXED);
        NSP__TESTPOINT("name: written in the session");
        __atomic_store_n(&shared->length, (uint32_t)length, __ATOMIC_RELEASE); // M1
    }
    nsp__sampler_classify(name, text, length);
}

// end: what becomes of its files.
static void session_end(nsp__runtime *runtime, void (*end)(nsp__session *))
{
    nsp__clock_keep();
    if (runtime->attach_left_behind)
        return; // that thread continues in this session; no new one begins before it is done
    NSP__TESTPOINT("shutdown: the session is still there");
    nsp__trace_end();
    NSP__TESTPOINT("shutdown: nothing is mapped");
    end(&runtime->session);
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
        nsp__batch_pool_destroy(&runtime->pool);
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

// Whoever drains the session from outside finds the headers of its batches laid out.
static nsp_status external_start(nsp__runtime *runtime)
{
    nsp__external_begin(&runtime->config);
    nsp__notices_begin(&runtime->known);
    nsp_status status = pool_make(runtime);
    nsp__batch_pool_destroy(&runtime->pool);
    memset(&runtime->pool, 0, sizeof runtime->pool);
    return status;
}

// An engine may not look at what nsp_init returns, so its log says it too.
static nsp_status check_exporters(const nsp_config *config)
{
    char missing[200], why[500];
    if (config->collector == NSP_COLLECTOR_EXTERNAL || config->custom_exporter != NULL ||
        nsp__exporters() != NULL)
        return NSP_OK;
    snprintf(why, sizeof why,
             "the collector \"%s\" needs an exporter, and %s; or choose the collector \"external\", so that "
             "`nanospan agent` drains the engine from outside",
             config->collector == NSP_COLLECTOR_THREAD ? "thread" : "invoker",
             nsp__exporters_missing(missing, sizeof missing,
                                    ": link libnanospan too, or set nsp_config.custom_exporter"));
    nsp__log(NSP_LOG_ERROR, "", "tracing is off: %s", why);
    return nsp__fail(NSP_ERR_UNSUPPORTED, "%s", why);
}

static void sampler_start(nsp__control *control, const nsp_config *config)
{
    const nsp__sampler_settings settings = {
        .rate = config->sample_rate,
        .limit = config->sample_limit,
        .parent_policy = config->parent_policy,
        .outliers = config->outliers,
        .rate_source = nsp__environment_source(offsetof(nsp_config, sample_rate), config->sample_rate),
        .limit_source = nsp__environment_source(offsetof(nsp_config, sample_limit), config->sample_limit),
        .outliers_source = nsp__environment_text_source(offsetof(nsp_config, outliers), config->outliers),
    };
    nsp__sampler_begin(control, &settings);
}

nsp_status nsp__runtime_start(nsp__runtime *runtime)
{
    const nsp_config *config = &runtime->config;
    nsp__process_prepare();
    nsp_status status = check_exporters(config);
    if (status == NSP_OK)
        status = nsp__resource_build(&runtime->resource, config);
    if (status != NSP_OK)
        return status;
    nsp__clock_select(config->clock);
    prune(config);
    status = nsp__session_create(&runtime->session, config);
    if (status != NSP_OK) {
        nsp__resource_free(&runtime->resource);
        return status;
    }
    NSP__TESTPOINT("start: without a resource");
    nsp__control *control = runtime->session.control;
    resource_share(runtime);
    nsp__clock_calibrate(&control->clock);
    control->outlier_bounds.tick_rate = control->clock.rate;
    nsp__clock_set_active(&control->clock);
    nsp__trace_begin(&runtime->session, config);
    nsp__paging_report();
    __atomic_store_n(&nsp__name_added, name_added, __ATOMIC_RELEASE); // H1: what the hook works on, to H2
    nsp__name_replay();
    nsp__paths_replay();
    const bool external = runtime->session.external;
    status = external ? external_start(runtime) : NSP_OK;
    sampler_start(control, config); // readers find it complete now
    if (external) {
        nsp__notices none = {.any = false};
        nsp__notices_look(&none, &runtime->known, control); // what is in force now is no change
    }
    if (!external) {
        status = exporter_create(runtime);
        if (status != NSP_OK)
            return status;
        status = sender_start(runtime);
        if (status == NSP_OK)
            status = collector_start(runtime);
    }
    if (status != NSP_OK) {
        if (runtime->sender != NULL)
            nsp__sender_stop(runtime->sender, 0);
        parts_free(runtime);
        session_end(runtime, nsp__session_destroy);
    }
    return status;
}

void nsp__runtime_announce(const nsp__runtime *runtime)
{
    char where[640] = "drained from outside, once a `nanospan agent` of this user runs";
    if (runtime->exporter == NULL && !runtime->session.external)
        return; // said already
    if (runtime->exporter != NULL)
        nsp__exporter_describe(runtime->exporter, runtime->exporter_state, &runtime->config, where,
                               sizeof where);
    char limit[48] = "";
    if (runtime->config.sample_limit != 0)
        snprintf(limit, sizeof limit, ", at most %g traces/s", runtime->config.sample_limit);
    nsp__log(NSP_LOG_INFO, "", "tracing is on: %s, sample rate %g%s%s", where, runtime->config.sample_rate,
             limit, nsp__paging_describe());
}

// ---- the end ----

static const bool never = false;

// There is nobody to stop. What is not settled stays in the session.
static void stop_external(nsp__runtime *runtime, uint64_t deadline_ns)
{
    runtime->sent = nsp__external_flush(&runtime->session, deadline_ns, &never);
    NSP__TESTPOINT("shutdown: flushed");
    if (!runtime->sent)
        nsp__external_explain(&runtime->session, runtime->unsent_why, sizeof runtime->unsent_why);
    parts_free(runtime);
    nsp__notices notices = {.any = false};
    const nsp__policy_place place = nsp__policy_place_of(runtime->session.control);
    nsp__notices_look(&notices, &runtime->known, runtime->session.control);
    nsp__notices_last(&notices, &runtime->known, &place); // the look says nothing of an engine that has ended
    nsp__notices_log(&notices, NULL);
}

void nsp__runtime_stop(nsp__runtime *runtime, uint64_t deadline_ns)
{
    // Threads stop beginning local roots, because the policy's generation becomes "no session".
    nsp__sampler_end(runtime->session.control);
    NSP__TESTPOINT("shutdown: without a policy");
    runtime->attach_left_behind = !nsp__trace_quiesce(100);
    if (runtime->session.external) {
        stop_external(runtime, deadline_ns);
        return;
    }
    nsp__collector_flush(&runtime->collector, deadline_ns, &never);
    NSP__TESTPOINT("shutdown: flushed");
    nsp__collector_end end = nsp__collector_stop(&runtime->collector, deadline_ns);
    runtime->collector_left_behind = end != NSP__COLLECTOR_ENDED;
    NSP__TESTPOINT("shutdown: the collector has ended");
    if (end == NSP__COLLECTOR_DRAINS) {
        // The thread may still use all of this, so everything stays as it is, including the session.
        runtime->attach_left_behind = true;
        if (runtime->sender != NULL)
            nsp__sender_orphan(runtime->sender);
        runtime->sender = NULL;
        runtime->sent = false;
        return;
    }
    nsp__sender *sender = runtime->sender;
    runtime->sender = NULL; // a child that is forked from now on finds none
    nsp__sender_end sending = {.all_sent = true};
    if (sender != NULL)
        sending = nsp__sender_stop(sender, deadline_ns);
    NSP__TESTPOINT("shutdown: the sender has ended");
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
static void settle_moving_stats(nsp_stats *stats, bool external)
{
    if (!external) {
        stats->discarded += stats->in_rings;
        stats->in_rings = 0;
    }
    stats->open = stats->attempted - stats->dropped - stats->discarded - stats->in_rings - stats->in_batches -
                  stats->unconfirmed - stats->rejected - stats->exported - stats->spooled;
}

// With the mutex held by a cold call, which keeps the line until it ends.
static void log_given_up(const nsp__runtime *runtime, uint64_t spans)
{
    // A line would wait for a thread that hangs in the log callback.
    if (spans == 0 || runtime->sender_in_callback)
        return;
    if (runtime->session.external)
        nsp__log(NSP_LOG_WARN, "stopped", "stopped before %llu span%s could be sent from %s: %s",
                 (unsigned long long)spans, spans == 1 ? "" : "s", runtime->session.directory,
                 runtime->unsent_why);
    else
        nsp__log(NSP_LOG_WARN, "stopped", "stopped before %llu span%s could be sent",
                 (unsigned long long)spans, spans == 1 ? "" : "s");
}

bool nsp__runtime_end(nsp__runtime *runtime, nsp_stats *final_stats, uint64_t *given_up)
{
    nsp_stats before;
    nsp__stats_read(&before, &runtime->session);
    bool moving = nsp__trace_moving();
    nsp__stats_read(final_stats, &runtime->session);
    const bool external = runtime->session.external;
    uint64_t late = final_stats->in_rings;
    if (moving || before.attempted != final_stats->attempted || before.open != final_stats->open ||
        (late != 0 && !external))
        settle_moving_stats(final_stats, external);
    // Also those of threads that go on tracing, and those that an encoder does not give back.
    *given_up = runtime->sent ? 0 : runtime->given_up + late + final_stats->in_batches;
    log_given_up(runtime, *given_up);
    bool sent = runtime->sent;
    nsp__sampler_lock();
    session_end(runtime, external ? nsp__session_leave : nsp__session_destroy);
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
