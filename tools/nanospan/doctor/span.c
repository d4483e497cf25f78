// SPDX-License-Identifier: Apache-2.0
//
// Sends one span through nanospan's own pipeline with this environment's configuration, and looks for it in
// Jaeger.
#include "doctor.h"

#include "request.h"
#include "support/units.h"
#include "common/hex.h"
#include <errno.h>
#include <jansson.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LINES_MAX = 4, LINE_SIZE = 400 };

// The warnings and errors that the library logs, from any of its threads.
typedef struct log_lines {
    pthread_mutex_t mutex;
    char lines[LINES_MAX][LINE_SIZE];
    size_t count;
    bool closed; // later lines are about the shutdown, which the doctor itself caused
} log_lines;

static log_lines logged = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void keep_log_line(void *context, nsp_log_level level, const char *line)
{
    log_lines *lines = context;
    if (level > NSP_LOG_WARN)
        return;
    pthread_mutex_lock(&lines->mutex);
    if (!lines->closed && lines->count < LINES_MAX)
        snprintf(lines->lines[lines->count++], LINE_SIZE, "%s", line);
    pthread_mutex_unlock(&lines->mutex);
}

static void advise_logged(doctor *d)
{
    pthread_mutex_lock(&logged.mutex);
    for (size_t i = 0; i < logged.count; i++)
        doctor_advise(d, "nanospan logged: %s", logged.lines[i]);
    pthread_mutex_unlock(&logged.mutex);
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

// ---- sending ----

static nsp_config config_of(const doctor *d)
{
    nsp_config config = d->config;
    config.sample_rate = 1;
    config.parent_policy = NSP_PARENT_FOLLOW;
    config.collector = NSP_COLLECTOR_THREAD;
    // Keep what crashed engines left behind: it is evidence.
    config.keep_sessions = 65536;
    config.keep_bytes = UINT64_C(1) << 50;
    config.log_level = NSP_LOG_WARN;
    config.log = keep_log_line;
    config.log_context = &logged;
    if (d->service != NULL)
        config.service_name = d->service;
    return config;
}

static void record(char trace_id[33])
{
    nsp_span *span = nsp_span_begin(NSP_NAME("nanospan doctor"));
    nsp_context context;
    nsp_span_context(span, &context);
    nsp_span_set_str(span, NSP_KEY("nanospan.doctor.version"), NSP_VERSION);
    nsp_span_set_i64(span, NSP_KEY("nanospan.doctor.pid"), getpid());
    nsp_span_end(span);
    nsp__hex_encode(trace_id, context.trace_id, NSP_TRACE_ID_SIZE);
    trace_id[2 * NSP_TRACE_ID_SIZE] = '\0';
}

// Reports what became of the span; true if it was accepted.
static bool tell_outcome(doctor *d, const nsp_stats *accounting, const char *trace_id, uint64_t took_ns)
{
    char took[UNITS_SIZE];
    units_duration(took, took_ns);
    if (accounting->exported) {
        doctor_say(d, DOCTOR_OK, "span.accepted", "the test span was accepted after %s; its trace is %s",
                   took, trace_id);
        return true;
    }
    if (accounting->rejected) {
        doctor_say(d, DOCTOR_FAIL, "span.accepted", "the receiver rejected the test span");
        doctor_advise(
            d, "the receiver answered, but refused the span; see the findings about the endpoint first");
    } else if (accounting->unconfirmed) {
        doctor_say(d, DOCTOR_WARN, "span.accepted",
                   "the test span was sent, but there was no answer: it may or may not have arrived");
        doctor_advise(d, "the receiver, or a proxy in front of it, closes connections or is slow");
    } else if (accounting->attempted == 0) {
        doctor_say(d, DOCTOR_FAIL, "span.accepted", "the test span was not recorded at all");
    } else if (accounting->discarded) {
        doctor_say(d, DOCTOR_FAIL, "span.accepted",
                   "the test span was discarded because there is no exporter");
    } else if (accounting->dropped) {
        doctor_say(d, DOCTOR_FAIL, "span.accepted", "the test span was dropped before it was sent");
    } else {
        doctor_say(d, DOCTOR_FAIL, "span.accepted", "the test span was not accepted within %s", took);
        doctor_advise(d, "see the findings about the endpoint first");
    }
    advise_logged(d);
    return false;
}

static bool send_span(doctor *d, char trace_id[33])
{
    nsp_config config = config_of(d);
    nsp_status status = nsp_init(&config);
    if (status != NSP_OK) {
        doctor_say(d, DOCTOR_FAIL, "span.init", "nanospan cannot start with this configuration: %s",
                   nsp_error_detail());
        advise_logged(d);
        return false;
    }
    uint64_t start = doctor_now();
    record(trace_id);
    nsp_flush(doctor_time(d, (d->target.protocol_answered ? 8 : 3) * DOCTOR_SECOND));
    nsp_stats accounting = NSP_STATS_INIT;
    nsp_stats_get(&accounting);
    uint64_t took = doctor_now() - start;
    pthread_mutex_lock(&logged.mutex);
    logged.closed = true;
    pthread_mutex_unlock(&logged.mutex);
    nsp_shutdown(doctor_time(d, DOCTOR_SECOND / 2));
    return tell_outcome(d, &accounting, trace_id, took);
}

// ---- looking for the span ----

static void query(doctor *d, const char *path, request_answer *out)
{
    char url[1024];
    size_t length = strlen(d->query);
    while (length && d->query[length - 1] == '/')
        length--;
    snprintf(url, sizeof url, "%.*s%s", (int)length, d->query, path);
    // If the store is on this machine, the environment's proxy is not used; the same holds for the endpoint.
    nsp_config of_store = d->config;
    of_store.endpoint = d->query;
    nsp_otlp_target store;
    char detail[160];
    nsp_otlp_target_resolve(&store, &of_store, detail, sizeof detail);
    const request r = {.url = url,
                       .version = REQUEST_HTTP1,
                       .no_proxy = store.loopback,
                       .certificate = d->config.certificate,
                       .timeout_ns = doctor_time(d, 3 * DOCTOR_SECOND)};
    request_send(&r, out);
    nsp_otlp_target_free(&store);
}

// Does the store answer, and does it know the service? GET /api/v3/services gives {"services": [names]}.
static bool query_services(doctor *d)
{
    request_answer a;
    query(d, "/api/v3/services", &a);
    json_t *root = a.code == CURLE_OK && a.status == 200
                       ? json_loadb(a.body.data != NULL ? a.body.data : "", a.body.length, 0, NULL)
                       : NULL;
    json_t *services = json_object_get(root, "services");
    bool sound = root != NULL && (services == NULL || json_is_array(services));
    const char *wanted = d->service != NULL ? d->service : d->config.service_name;
    if (!sound) {
        if (a.code != CURLE_OK)
            doctor_say(d, DOCTOR_FAIL, "query.connect", "Jaeger's query address does not answer: %s",
                       a.error);
        else
            doctor_say(d, DOCTOR_FAIL, "query.connect",
                       "the query address does not answer like Jaeger's API (HTTP status %ld)", a.status);
        doctor_advise(
            d, "Jaeger's query port is 16686; docker ps | grep jaeger shows whether Jaeger is running and "
               "publishes that port");
    } else {
        bool known = false;
        size_t i;
        json_t *name;
        json_array_foreach(services, i, name) known =
            known || (json_string_value(name) != NULL && wanted != NULL &&
                      strcmp(json_string_value(name), wanted) == 0);
        doctor_say(d, DOCTOR_OK, "query.connect", "Jaeger answers and knows %zu service%s%s%s",
                   json_array_size(services), json_array_size(services) == 1 ? "" : "s",
                   known ? ", among them " : "", known ? wanted : "");
    }
    json_decref(root);
    request_answer_free(&a);
    return sound;
}

static void find_again(doctor *d, const char *trace_id)
{
    char path[80];
    snprintf(path, sizeof path, "/api/v3/traces/%s", trace_id);
    uint64_t start = doctor_now(), until = start + doctor_time(d, 8 * DOCTOR_SECOND);
    bool found = false;
    long status = 0;
    do {
        request_answer a;
        query(d, path, &a);
        status = a.status;
        found = a.code == CURLE_OK && a.status == 200 && a.body.length &&
                memmem(a.body.data, a.body.length, "nanospan doctor", 15) != NULL;
        request_answer_free(&a);
        if (!found)
            pause_ms(200);
    } while (!found && doctor_now() < until);
    char took[UNITS_SIZE];
    units_duration(took, doctor_now() - start);
    if (found) {
        doctor_say(d, DOCTOR_OK, "query.found", "Jaeger has the test span, after %s", took);
        return;
    }
    doctor_say(d, DOCTOR_FAIL, "query.found",
               "the test span was accepted, but Jaeger did not have it within %s (HTTP status %ld)", took,
               status);
    doctor_advise(
        d, "check that the endpoint leads to this Jaeger; a Collector in between may batch spans, sample "
           "them or send them elsewhere: look at its log and its exporters");
    doctor_advise(d, "tail sampling holds each trace back for its decision_wait, often 10 s or more");
}

// ---- other exporters ----

static void check_file_exporter(doctor *d)
{
    const char *file = d->config.file;
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", file);
    bool writable = access(file, F_OK) == 0 ? access(file, W_OK) == 0 : access(dirname(copy), W_OK) == 0;
    doctor_say(d, writable ? DOCTOR_OK : DOCTOR_FAIL, "span.file", "spans are written to the file %s%s%s",
               file, writable ? "" : ", which cannot be written: ", writable ? "" : strerror(errno));
    if (!writable)
        doctor_advise(d, "set NSP_FILE to a path that the engine may write to");
}

static void tell_not_sent(doctor *d, const char *why)
{
    doctor_say(d, DOCTOR_NOTE, "span.not_sent", "no test span was sent: %s", why);
}

void doctor_span(doctor *d)
{
    char trace_id[33] = "";
    bool reachable = d->query != NULL ? query_services(d) : false;
    if (d->tracing && d->to_file)
        check_file_exporter(d);
    if (!d->tracing)
        tell_not_sent(d, !d->config.enabled || !d->external ? "tracing is off"
                         : d->pid != 0                      ? "an agent sends the spans of this engine"
                                       : "this environment does not say where an agent sends them");
    else if (!d->target.otlp && d->to_file)
        return;
    else if (!d->target.otlp)
        tell_not_sent(d, "the exporter is not otlp");
    else if (!d->send)
        tell_not_sent(d, "--no-send was given");
    else if (!d->target.connected)
        tell_not_sent(d, "nothing accepts connections at the endpoint");
    else if (send_span(d, trace_id) && reachable)
        find_again(d, trace_id);
}
