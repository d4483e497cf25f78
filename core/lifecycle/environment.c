// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/environment.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "propagation/propagators.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

// In the order of their enums.
static const char *const log_levels[] = {"none", "error", "warn", "info", "debug", NULL};
static const char *const collectors[] = {"thread", "invoker", "external", NULL};
static const char *const clocks[] = {"auto", "counter", "monotonic", NULL};

static const char *const exporters[] = {"otlp", "console", "file", "none", NULL};
static const char *const protocols[] = {"http/protobuf", "http/json", "grpc", NULL};
static const char *const compressions[] = {"none", "gzip", NULL};

// ROW(name, kind, member, default, meaning, further members of nsp__variable)
#define ROW(name_, kind_, member_, fallback_, meaning_, ...)                                                 \
    {                                                                                                        \
        .name = name_, .kind = NSP__##kind_, .member = #member_, .offset = offsetof(nsp_config, member_),    \
        .width = sizeof(((nsp_config *)0)->member_), .fallback = fallback_, .meaning = meaning_, __VA_ARGS__ \
    }

// A member that both of OTLP's names set, the one for traces first.
#define OTLP_ROWS(suffix_, kind_, member_, fallback_, meaning_, ...)                                         \
    ROW("OTEL_EXPORTER_OTLP_TRACES_" suffix_, kind_, member_, fallback_, meaning_, __VA_ARGS__),             \
        ROW("OTEL_EXPORTER_OTLP_" suffix_, kind_, member_, fallback_, meaning_, __VA_ARGS__)

#define RANGE(min_, max_) .min = (min_), .max = (max_)

// clang-format off
const nsp__variable nsp__variables[] = {
    ROW("OTEL_SDK_DISABLED", BOOL_INVERTED, enabled, "false", "true turns tracing off",),
    ROW("ENABLE_TRACING", BOOL_RELAXED, enabled, "true", "false turns tracing off",),

    ROW("OTEL_SERVICE_NAME", TEXT, service_name, "unknown-service", "resource attribute service.name",),
    ROW("SERVICE_NAME", TEXT, service_name, "unknown-service", "resource attribute service.name",),
    ROW("SERVICE_VERSION", TEXT, service_version, "1.0.0", "resource attribute service.version",),
    ROW("ENVIRONMENT", TEXT, environment, "development", "resource attribute deployment.environment.name",),
    ROW("OTEL_RESOURCE_ATTRIBUTES", PAIRS, resource_attributes, "", "further resource attributes",),

    ROW("OTEL_TRACES_SAMPLER", SAMPLER, sample_rate, "parentbased_always_on",
        "which traces are recorded; without parentbased_, a remote parent does not decide",),
    ROW("OTEL_TRACES_SAMPLER_ARG", SAMPLER_ARGUMENT, sample_rate, "1.0",
        "the rate of traceidratio; means nothing without OTEL_TRACES_SAMPLER",),
    ROW("TRACE_SAMPLE_RATE", RATIO, sample_rate, "1.0", "the share of traces that is recorded; a remote parent decides",),

    ROW("OTEL_PROPAGATORS", PROPAGATORS, propagators, NSP__PROPAGATORS_DEFAULT,
        "how contexts and baggage are read from requests and written to them; the first that finds something wins",),

    ROW("OTEL_TRACES_EXPORTER", CHOICE_TEXT, exporter, "",
        "where spans go; where not set, otlp if there is an endpoint, else none", .choices = exporters),
    ROW("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", ENDPOINT_EXACT, endpoint, "",
        "where OTLP is sent to; the path is used as it is",),
    ROW("OTEL_EXPORTER_OTLP_ENDPOINT", ENDPOINT, endpoint, "",
        "where OTLP is sent to; v1/traces is put behind its path",),
    ROW("OTLP_ENDPOINT", ENDPOINT, endpoint, "", "where OTLP is sent to; v1/traces is put behind its path",),
    OTLP_ROWS("PROTOCOL", CHOICE_TEXT, protocol, "", "where not set, port 4317 and a Unix socket mean grpc, all else http/protobuf",
        .choices = protocols),
    OTLP_ROWS("INSECURE", BOOL, insecure, "true", "no TLS, for an endpoint without a scheme",),
    ROW("OTLP_INSECURE", BOOL_RELAXED, insecure, "true", "no TLS, for an endpoint without a scheme",),
    OTLP_ROWS("HEADERS", PAIRS, headers, "", "headers of each request, as for authentication", .secret = true),
    OTLP_ROWS("COMPRESSION", CHOICE_TEXT, compression, "none", "of each request", .choices = compressions),
    OTLP_ROWS("CERTIFICATE", TEXT, certificate, "",
        "PEM file of the authorities that are trusted; where not set, the system's",),
    OTLP_ROWS("CLIENT_KEY", TEXT, client_key, "", "PEM file of the client's key",),
    OTLP_ROWS("CLIENT_CERTIFICATE", TEXT, client_certificate, "", "PEM file of the client's certificate",),
    OTLP_ROWS("TIMEOUT", MILLISECONDS, export_timeout_ns, "10000", "the most that one request may take, in ms",
        RANGE(MS, 3600 * S)),
    ROW("OTEL_BSP_EXPORT_TIMEOUT", MILLISECONDS, export_timeout_ns, "10000",
        "the most that one request may take, in ms, where no OTLP timeout is set", RANGE(MS, 3600 * S)),
    ROW("NSP_FILE", TEXT, file, "nanospan.jsonl", "path of the file exporter",),

    ROW("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", LIMIT, attribute_count_limit, "128", "attributes of a span",
        RANGE(0, UINT32_MAX)),
    ROW("OTEL_ATTRIBUTE_COUNT_LIMIT", LIMIT, attribute_count_limit, "128", "attributes of a span", RANGE(0, UINT32_MAX)),
    ROW("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", LIMIT, attribute_value_length_limit, "",
        "bytes of a text; where not set, only the record's size limits it", RANGE(0, UINT32_MAX)),
    ROW("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", LIMIT, attribute_value_length_limit, "",
        "bytes of a text; where not set, only the record's size limits it", RANGE(0, UINT32_MAX)),
    ROW("OTEL_SPAN_EVENT_COUNT_LIMIT", LIMIT, event_count_limit, "128", "events of a span", RANGE(0, UINT32_MAX)),
    ROW("OTEL_SPAN_LINK_COUNT_LIMIT", LIMIT, link_count_limit, "128", "links of a span", RANGE(0, UINT32_MAX)),
    ROW("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", LIMIT, event_attribute_count_limit, "128", "attributes of an event",
        RANGE(0, UINT32_MAX)),
    ROW("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", LIMIT, link_attribute_count_limit, "128", "attributes of a link",
        RANGE(0, UINT32_MAX)),

    ROW("NSP_RING_BYTES", BYTES, ring_bytes, "1 MiB", "each thread's ring; rounded up to a power of two",
        RANGE(64 * KIB, GIB)),
    ROW("NSP_RECORD_BYTES", COUNT, record_bytes, "4096", "the largest span, in bytes; rounded up to a multiple of 8",
        RANGE(512, 65528)),
    ROW("NSP_OPEN_SPANS", COUNT, open_spans, "32", "open at once on a thread", RANGE(1, 1024)),
    ROW("NSP_DETACHED_SPANS", COUNT, detached_spans, "1024", "detached spans open at once in the process",
        RANGE(0, 1048576)),
    ROW("NSP_THREADS", COUNT, threads, "1024", "threads that record at once", RANGE(1, 4096)),
    ROW("NSP_WATERMARK", RATIO, watermark, "0.75", "the fill of a ring above which new traces are refused",
        .ratio_min = 0.1),
    ROW("NSP_SHM_DIR", FOLDER, shm_dir, "/dev/shm", "where sessions live; none: private memory",),
    ROW("NSP_KEEP_SESSIONS", COUNT, keep_sessions, "8", "dead sessions that a start leaves behind", RANGE(0, 65536)),
    ROW("NSP_KEEP_BYTES", BYTES, keep_bytes, "1 GiB", "and how much memory they may hold", RANGE(0, 1024 * TIB)),

    ROW("NSP_COLLECTOR", CHOICE, collector, "thread",
        "who drains the rings: a thread of ours, the application by nsp_do_work, or another process", .choices = collectors),
    ROW("NSP_COLLECTOR_CPUS", CPUS, collector_cpus, "",
        "the CPUs of our threads; where not set, all that the process may use",),
    ROW("NSP_POLL_MIN_US", MICROSECONDS, poll_min_ns, "100", "the shortest sleep of the collector, in us",
        RANGE(US, 1 * S)),
    ROW("NSP_POLL_MAX_US", MICROSECONDS, poll_max_ns, "5000",
        "the longest sleep of the collector, in us; at least the shortest", RANGE(US, 10 * S)),
    ROW("NSP_CLOCK", CHOICE, clock, "auto",
        "auto: the processor's counter where it is invariant; counter: in any case; monotonic: CLOCK_MONOTONIC",
        .choices = clocks),

    ROW("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", COUNT, batch_spans, "8192", "spans of a batch", RANGE(1, 1048576)),
    ROW("NSP_BATCH_BYTES", BYTES, batch_bytes, "1 MiB", "bytes of a batch", RANGE(64 * KIB, 16 * MIB)),
    ROW("NSP_BATCHES", COUNT, batches, "8", "batches in the pool; rounded up to a power of two", RANGE(2, 1024)),
    ROW("OTEL_BSP_SCHEDULE_DELAY", MILLISECONDS, schedule_delay_ns, "5000",
        "the most that a span waits for its batch to fill, in ms", RANGE(0, 3600 * S)),
    ROW("OTEL_BSP_MAX_QUEUE_SIZE", IGNORED, ring_bytes, "", "has no counterpart: NSP_RING_BYTES is the size of a queue",),
    ROW("NSP_RETRY_MIN_MS", MILLISECONDS, retry_min_ns, "1000",
        "the pause before what the backend did not take is sent again, in ms; doubled each time", RANGE(MS, 3600 * S)),
    ROW("NSP_RETRY_MAX_MS", MILLISECONDS, retry_max_ns, "30000",
        "the longest such pause, in ms; at least the shortest", RANGE(MS, 3600 * S)),
    ROW("NSP_EXIT_TIMEOUT_MS", MILLISECONDS, exit_timeout_ns, "1000",
        "the most that the flush at the process's end may take, without nsp_shutdown, in ms", RANGE(0, 3600 * S)),

    ROW("OTEL_LOG_LEVEL", CHOICE, log_level, "info", "the least important log line that is written",
        .choices = log_levels),
};
// clang-format on

const size_t nsp__variable_count = sizeof nsp__variables / sizeof *nsp__variables;

const char *nsp__environment_text(const char *name)
{
    const char *text = secure_getenv(name);
    return text && *text ? text : NULL;
}

void nsp__environment_read(nsp_config *config)
{
    const char *argument = nsp__environment_text("OTEL_TRACES_SAMPLER_ARG");
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    // The strongest come last, so that they have the last word.
    for (size_t i = nsp__variable_count; i-- > 0;)
        nsp__variable_apply(&nsp__variables[i], nsp__variables[i].fallback, NULL, config);
    for (size_t i = nsp__variable_count; i-- > 0;) {
        const char *text = nsp__environment_text(nsp__variables[i].name);
        if (text)
            nsp__variable_apply(&nsp__variables[i], text, argument, config);
    }
}

static const char *text_of(const nsp__variable *variable)
{
    return nsp__environment_text(variable->name);
}

bool nsp__environment_judge(const nsp__variable *variable, const nsp_config *used, char *problem, size_t size)
{
    const char *text = text_of(variable), *sampler = nsp__environment_text("OTEL_TRACES_SAMPLER");
    nsp_config trial = *used;
    // Only the ratio samplers read their argument.
    bool unread =
        variable->kind == NSP__SAMPLER_ARGUMENT && !(sampler && strcasestr(sampler, "traceidratio"));
    if (!text || unread || nsp__variable_apply(variable, text, NULL, &trial))
        return true;
    char accepts[160], value[256];
    nsp__variable_accepts(variable, false, accepts, sizeof accepts);
    nsp__variable_value(variable, false, used, value, sizeof value);
    const char *why = "is not accepted";
    if (variable->kind == NSP__SAMPLER && strcasestr(text, "jaeger_remote"))
        why = "is not supported in this version";
    if (variable->kind == NSP__PROPAGATORS && nsp__propagators_unsupported(text))
        why = "is not supported in this version";
    snprintf(problem, size, "%s and is ignored; accepted: %s; used instead: %s", why, accepts, value);
    return false;
}

void nsp__environment_report(void)
{
    static int queue_size_said;
    nsp_config used;
    nsp__environment_read(&used);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        const char *text = text_of(variable);
        char problem[512];
        if (text && variable->kind == NSP__IGNORED) {
            if (!__atomic_exchange_n(&queue_size_said, 1, __ATOMIC_RELAXED))
                nsp__log(NSP_LOG_INFO, "", "%s is ignored: it %s", variable->name, variable->meaning);
        } else if (!nsp__environment_judge(variable, &used, problem, sizeof problem)) {
            nsp__log(NSP_LOG_WARN, variable->name, "%s=%.200s %s", variable->name,
                     nsp__variable_shown(variable, text), problem);
        }
    }
}
