// SPDX-License-Identifier: Apache-2.0
//
// The table of the environment variables: what each one means, sets, and falls back to. How a kind of text is
// read is in variable_number.c, variable_text.c and variable_word.c.
#include "config/environment.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/endpoint.h"
#include "common/pairs.h"
#include "config/exporter_set.h"
#include "config/kept_text.h"
#include "propagation/propagators.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)
#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S UINT64_C(1000000000)

// In the order of the enums.
static const char *const log_levels[] = {"none", "error", "warn", "info", "debug", NULL};
static const char *const collectors[] = {"thread", "invoker", "external", NULL};
static const char *const clocks[] = {"auto", "counter", "monotonic", NULL};

static const char *const exporters[] = {"otlp", "console", "file", "none", NULL};
static const char *const protocols[] = {"http/protobuf", "http/json", "grpc", NULL};
static const char *const compressions[] = {"none", "gzip", NULL};

// ROW(name, kind, member, default, meaning, further members of nsp__variable)
#define ROW(name_, kind_, member_, fallback_, meaning_, ...)                                                 \
    {                                                                                                        \
        .name = name_, .kind = &nsp__kind_##kind_, .member = #member_,                                       \
        .offset = offsetof(nsp_config, member_), .width = sizeof(((nsp_config *)0)->member_),                \
        .fallback = fallback_, .meaning = meaning_, __VA_ARGS__                                              \
    }

// A member that both OTLP variables set; the one for traces comes first.
#define OTLP_ROWS(suffix_, kind_, member_, fallback_, meaning_, ...)                                         \
    ROW("OTEL_EXPORTER_OTLP_TRACES_" suffix_, kind_, member_, fallback_, meaning_, __VA_ARGS__),             \
        ROW("OTEL_EXPORTER_OTLP_" suffix_, kind_, member_, fallback_, meaning_, __VA_ARGS__)

#define RANGE(min_, max_) .min = (min_), .max = (max_)
// For values that the specification does not bound: everything that fits into 32 bits, and larger values
// count as the largest.
#define INTEGERS(min_, scale_) RANGE(min_, UINT32_MAX *(scale_)), .clamped = true

// clang-format off
const nsp__variable nsp__variables[] = {
    ROW("OTEL_SDK_DISABLED", flag_inverted, enabled, "false", "true turns tracing off",),
    ROW("ENABLE_TRACING", flag_relaxed, enabled, "true", "false turns tracing off",),

    ROW("OTEL_SERVICE_NAME", text, service_name, "unknown-service", "resource attribute service.name",),
    ROW("SERVICE_NAME", text, service_name, "unknown-service", "resource attribute service.name",),
    ROW("SERVICE_VERSION", text, service_version, "1.0.0", "resource attribute service.version",),
    ROW("ENVIRONMENT", text, environment, "development", "resource attribute deployment.environment.name",),
    ROW("OTEL_RESOURCE_ATTRIBUTES", attributes, resource_attributes, "", "further resource attributes",),

    ROW("OTEL_TRACES_SAMPLER", sampler, sample_rate, "parentbased_always_on",
        "which traces are recorded; with parentbased_, a remote parent decides for its trace",),
    ROW("OTEL_TRACES_SAMPLER_ARG", sampler_argument, sample_rate, "1.0",
        "the rate of traceidratio; has no effect without OTEL_TRACES_SAMPLER",),
    ROW("TRACE_SAMPLE_RATE", ratio, sample_rate, "1.0",
        "the share of traces that are recorded; a remote parent decides for its trace",),
    ROW("TRACE_SAMPLE_LIMIT", per_second, sample_limit, "0",
        "the most traces that are begun in a second, on average, such as 500 or 500/s: the rates are lowered while there "
        "would be more", .ratio_min = NSP_SAMPLER_LIMIT_MIN, .ratio_max = NSP_SAMPLER_LIMIT_MAX),

    ROW("NSP_OUTLIERS", outliers, outliers, "",
        "which unsampled traces are kept all the same: rules by root name, separated by ;. docs/outliers.md says which "
        "there are",),

    ROW("OTEL_PROPAGATORS", propagators, propagators, NSP__PROPAGATORS_DEFAULT,
        "formats for reading and writing contexts and baggage; the first one that finds a context wins",),

    ROW("OTEL_TRACES_EXPORTER", choice_list, exporter, "",
        "where spans are sent, one or more; if not set, otlp if an endpoint is set, otherwise none",
        .choices = exporters),
    ROW("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint_exact, endpoint, "",
        "where OTLP is sent to; its path is used unchanged",),
    ROW("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint, endpoint, "",
        "where OTLP is sent to; v1/traces is appended to its path",),
    ROW("OTLP_ENDPOINT", endpoint_own, endpoint, "",
        "where OTLP is sent to; v1/traces is appended to its path, unless it already ends in that",),
    OTLP_ROWS("PROTOCOL", choice_text, protocol, "",
        "the OTLP protocol; if not set, grpc for port 4317 and Unix sockets, otherwise http/protobuf",
        .choices = protocols),
    OTLP_ROWS("INSECURE", flag_else_false, insecure, "false",
        "true: no TLS for an endpoint without a scheme; if not set, the endpoint's variable decides",),
    ROW("OTLP_INSECURE", flag_relaxed, insecure, "true", "true: no TLS for an endpoint without a scheme",),
    OTLP_ROWS("HEADERS", headers, headers, "", "headers of each request, for example for authentication",
        .secret = true),
    OTLP_ROWS("COMPRESSION", choice_text, compression, "none", "the compression of each request",
        .choices = compressions),
    OTLP_ROWS("CERTIFICATE", text, certificate, "",
        "PEM file of the trusted certificate authorities; if not set, the system's authorities",),
    OTLP_ROWS("CLIENT_KEY", text, client_key, "", "PEM file of the client's key",),
    OTLP_ROWS("CLIENT_CERTIFICATE", text, client_certificate, "", "PEM file of the client's certificate",),
    OTLP_ROWS("TIMEOUT", milliseconds, export_timeout_ns, "10000",
        "the longest that one request may take, in ms; 0: no limit", INTEGERS(MS, MS), .zero = "no limit"),
    ROW("OTEL_BSP_EXPORT_TIMEOUT", milliseconds, export_timeout_ns, "10000",
        "the same; used if no OTLP timeout is set", INTEGERS(MS, MS), .zero = "no limit"),
    ROW("NSP_FILE", text, file, "nanospan.jsonl", "path of the file exporter's file",),

    ROW("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", limit, attribute_count_limit, "128",
        "the most attributes of a span", INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_ATTRIBUTE_COUNT_LIMIT", limit, attribute_count_limit, "128", "the most attributes of a span",
        INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit, attribute_value_length_limit, "",
        "the longest text, in characters; if not set, only the record's size limits it",
        INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", limit, attribute_value_length_limit, "",
        "the longest text, in characters; if not set, only the record's size limits it",
        INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_SPAN_EVENT_COUNT_LIMIT", limit, event_count_limit, "128", "the most events of a span",
        INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_SPAN_LINK_COUNT_LIMIT", limit, link_count_limit, "128", "the most links of a span",
        INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", limit, event_attribute_count_limit, "128",
        "the most attributes of an event", INTEGERS(0, UINT64_C(1))),
    ROW("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", limit, link_attribute_count_limit, "128",
        "the most attributes of a link", INTEGERS(0, UINT64_C(1))),

    ROW("NSP_RING_BYTES", bytes, ring_bytes, "1 MiB",
        "the size of each thread's ring; rounded up to a power of two", RANGE(64 * KIB, GIB)),
    ROW("NSP_RECORD_BYTES", count, record_bytes, "4096",
        "the size of the largest span, in bytes; rounded up to a multiple of 8", RANGE(512, 65528)),
    ROW("NSP_OPEN_SPANS", count, open_spans, "32", "the most spans that are open at once on a thread",
        RANGE(1, 1024)),
    ROW("NSP_DETACHED_SPANS", count, detached_spans, "1024",
        "the most detached spans that are open at once in the process; each takes 3 KiB from nsp_init on",
        RANGE(0, 262144)),
    ROW("NSP_THREADS", count, threads, "1024", "the most threads that record at once", RANGE(1, 4096)),
    ROW("NSP_WATERMARK", ratio, watermark, "0.75",
        "the fill level of a ring above which new traces are refused", .ratio_min = 0.1),
    ROW("NSP_OUTLIER_BYTES", bytes, outlier_bytes, "64 KiB",
        "the size of each thread's buffer for traces that are decided at their end; rounded up to a power of two; 0: "
        "none, and no trace is kept at its end", RANGE(4 * KIB, 16 * MIB), .zero = "none"),
    ROW("NSP_CPU_NUMBERS", flag_relaxed, cpu_numbers, "true",
        "false: local roots do not say on which CPUs they began and ended",),
    ROW("NSP_SWITCHES", flag_relaxed, switches, "false",
        "true: spans say how long their thread was off the CPU, if the kernel permits software perf events",),
    ROW("NSP_SHM_DIR", folder, shm_dir, "/dev/shm", "the folder of the sessions; none: private memory",),
    ROW("NSP_HUGE_PAGES", flag_relaxed, huge_pages, "false",
        "true: the session's memory lies in pages of 2 MiB, to which each of its parts is rounded up",),
    ROW("NSP_LOCK_MEMORY", flag_relaxed, lock_memory, "false",
        "true: the session's memory is locked, so that it is never swapped out",),
    ROW("NSP_KEEP_SESSIONS", count, keep_sessions, "8",
        "the number of dead sessions that nsp_init does not delete", RANGE(0, 65536)),
    ROW("NSP_KEEP_BYTES", bytes, keep_bytes, "1 GiB", "the memory that dead sessions may use",
        RANGE(0, 1024 * TIB)),

    ROW("NSP_COLLECTOR", choice, collector, "thread",
        "who drains the rings: nanospan's thread; invoker: the application (nsp_do_work); external: another "
        "process, nanospan's agent, which needs shared memory. With libnanospan-core alone, external is the default",
        .choices = collectors),
    ROW("NSP_COLLECTOR_CPUS", cpus, collector_cpus, "",
        "the CPUs of nanospan's threads; if not set, those that the process was started on",),
    ROW("NSP_POLL_MIN_US", microseconds, poll_min_ns, "100", "the shortest sleep of the collector, in us",
        RANGE(US, 1 * S)),
    ROW("NSP_POLL_MAX_US", microseconds, poll_max_ns, "5000",
        "the longest sleep of the collector, in us; at least NSP_POLL_MIN_US", RANGE(US, 10 * S)),
    ROW("NSP_CLOCK", choice, clock, "auto",
        "auto: the processor's counter if it is invariant, otherwise monotonic; counter: always the counter; "
        "monotonic: CLOCK_MONOTONIC", .choices = clocks),

    ROW("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", count, batch_spans, "8192", "the most spans in a batch",
        RANGE(1, 1048576), .clamped = true),
    ROW("NSP_BATCH_BYTES", bytes, batch_bytes, "1 MiB", "the size of a batch, for each exporter",
        RANGE(64 * KIB, 16 * MIB)),
    ROW("NSP_BATCHES", count, batches, "8", "the number of batches in the pool; rounded up to a power of two",
        RANGE(2, 1024)),
    ROW("OTEL_BSP_SCHEDULE_DELAY", milliseconds, schedule_delay_ns, "5000",
        "the longest that a span waits for its batch to fill, in ms", INTEGERS(0, MS)),
    ROW("OTEL_BSP_MAX_QUEUE_SIZE", ignored, ring_bytes, "",
        "has no equivalent here; NSP_RING_BYTES sets the size of each thread's ring",),
    ROW("NSP_RETRY_MIN_MS", milliseconds, retry_min_ns, "1000",
        "the pause before a batch that the backend did not take is sent again, in ms; doubled each time",
        RANGE(MS, 3600 * S)),
    ROW("NSP_RETRY_MAX_MS", milliseconds, retry_max_ns, "30000",
        "the longest such pause, in ms; at least NSP_RETRY_MIN_MS", RANGE(MS, 3600 * S)),
    ROW("NSP_EXIT_TIMEOUT_MS", milliseconds, exit_timeout_ns, "1000",
        "the longest that the flush takes when the process exits without nsp_shutdown, in ms",
        RANGE(0, 3600 * S)),

    ROW("OTEL_LOG_LEVEL", choice, log_level, "info", "the least important level that is logged",
        .choices = log_levels),
};
// clang-format on

const size_t nsp__variable_count = sizeof nsp__variables / sizeof *nsp__variables;

const char *nsp__environment_text(const char *name)
{
    const char *text = secure_getenv(name);
    if (text == NULL)
        return NULL;
    nsp__slice stripped = nsp__slice_strip(nsp__slice_of(text));
    // If there is no memory for a copy, the text stays as it is.
    const char *kept = stripped.length == strlen(text) ? text : nsp__text_keep(stripped);
    return kept == NULL ? text : *kept != 0 ? kept : NULL;
}

const char *nsp__environment_default(const nsp__variable *variable)
{
    bool collector = variable->offset == offsetof(nsp_config, collector);
    return collector && nsp__exporters() == NULL ? collectors[NSP_COLLECTOR_EXTERNAL] : variable->fallback;
}

// For an endpoint without a scheme, TLS is the default if an OpenTelemetry variable names it, and clear text
// if OTLP_ENDPOINT does.
static void settle_insecure(nsp_config *config, const nsp__variable *endpoint, bool said)
{
    nsp__endpoint parts;
    if (!said && endpoint != NULL && nsp__endpoint_read(&parts, config->endpoint) == NULL &&
        parts.form == NSP__ENDPOINT_NO_SCHEME)
        config->insecure = strncmp(endpoint->name, "OTEL_", 5) != 0;
}

void nsp__environment_read(nsp_config *config)
{
    const char *argument = nsp__environment_text("OTEL_TRACES_SAMPLER_ARG");
    memset(config, 0, sizeof *config);
    config->size = sizeof *config;
    // Variables with higher precedence are applied later, so that they win.
    for (size_t i = nsp__variable_count; i-- > 0;)
        if (nsp__variables[i].kind != &nsp__kind_flag_else_false)
            nsp__variable_apply(&nsp__variables[i], nsp__environment_default(&nsp__variables[i]), NULL,
                                config);
    const nsp__variable *endpoint = NULL;
    bool said_insecure = false;
    for (size_t i = nsp__variable_count; i-- > 0;) {
        const nsp__variable *variable = &nsp__variables[i];
        const char *text = nsp__environment_text(variable->name);
        if (text == NULL)
            continue;
        bool applied = nsp__variable_apply(variable, text, argument, config);
        if (!applied && variable->kind->keeps_its_place)
            nsp__variable_apply(variable, "", NULL, config);
        // What is ignored has said nothing.
        if (variable->offset == offsetof(nsp_config, insecure) &&
            (applied || variable->kind->keeps_its_place))
            said_insecure = true;
        if (applied && variable->offset == offsetof(nsp_config, endpoint))
            endpoint = variable;
    }
    settle_insecure(config, endpoint, said_insecure);
}

// Who has set a member to what the environment makes of it.
static nsp_sampler_source source_of(size_t offset)
{
    nsp_config used;
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        const char *text = nsp__environment_text(variable->name);
        if (variable->offset == offset && !variable->kind->sets_nothing && text != NULL &&
            nsp__variable_apply(variable, text, NULL, &used))
            return NSP_SAMPLER_ENVIRONMENT;
    }
    return NSP_SAMPLER_DEFAULT;
}

nsp_sampler_source nsp__environment_source(size_t offset, double value)
{
    nsp_config used;
    double expected;
    nsp__environment_read(&used);
    memcpy(&expected, (const char *)&used + offset, sizeof expected);
    return expected == value ? source_of(offset) : NSP_SAMPLER_CODE;
}

nsp_sampler_source nsp__environment_text_source(size_t offset, const char *text)
{
    nsp_config used;
    const char *expected;
    nsp__environment_read(&used);
    memcpy(&expected, (const char *)&used + offset, sizeof expected);
    const bool same = text == NULL || expected == NULL ? text == expected : strcmp(text, expected) == 0;
    return same ? source_of(offset) : NSP_SAMPLER_CODE;
}

nsp__verdict nsp__environment_judge(const nsp__variable *variable, const nsp_config *used, char *problem,
                                    size_t size)
{
    const char *text = nsp__environment_text(variable->name);
    const char *sampler = nsp__environment_text("OTEL_TRACES_SAMPLER");
    nsp_config trial = *used;
    // Only the ratio samplers use the argument.
    bool unread = variable->kind == &nsp__kind_sampler_argument &&
                  !(sampler != NULL && strcasestr(sampler, "traceidratio") != NULL);
    *problem = 0;
    if (text == NULL || unread)
        return NSP__FINE;
    if (nsp__variable_apply(variable, text, NULL, &trial)) {
        nsp__variable_left_out(variable, text, problem, size);
        return *problem ? NSP__PARTLY : NSP__FINE;
    }
    char accepts[160], value[256], why[400];
    nsp__variable_accepts(variable, false, accepts, sizeof accepts);
    nsp__variable_value(variable, false, used, value, sizeof value);
    nsp__variable_fault(variable, text, why, sizeof why);
    snprintf(problem, size, "%s and %s; accepted: %s; used instead: %s", why,
             variable->kind == &nsp__kind_flag_else_false ? "counts as false" : "is ignored", accepts, value);
    return NSP__BAD;
}
