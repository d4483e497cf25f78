// SPDX-License-Identifier: Apache-2.0
//
// All settings, which can be made in code or by environment variables.
// nsp_config_init uses up to 16 KiB of stack.
#ifndef NANOSPAN_CONFIG_H
#define NANOSPAN_CONFIG_H

#include <nanospan/base.h>
#include <nanospan/log.h>
#include <nanospan/sampler.h>

typedef enum nsp_collector_mode {
    NSP_COLLECTOR_THREAD = 0,  // one of nanospan's threads polls the rings
    NSP_COLLECTOR_INVOKER = 1, // the application calls nsp_do_work
    // Another process, such as `nanospan agent`, drains the session; this one has no thread and no exporter of
    // nanospan's, and custom_exporter is not used. nsp_init returns NSP_ERR_UNSUPPORTED if there is no shared
    // memory for the session.
    NSP_COLLECTOR_EXTERNAL = 2
} nsp_collector_mode;

typedef enum nsp_clock_mode {
    NSP_CLOCK_AUTO = 0,     // the processor's counter if it is invariant, otherwise CLOCK_MONOTONIC
    NSP_CLOCK_COUNTER = 1,  // the processor's counter, even if it does not look invariant
    NSP_CLOCK_MONOTONIC = 2 // CLOCK_MONOTONIC
} nsp_clock_mode;

struct nsp_exporter; // <nanospan/exporter.h>

// Fill it with nsp_config_init, which sets the defaults and then applies the environment
// (docs/configuration.md has the table). Then change members, and pass it to nsp_init, which copies what it
// points to. Texts are UTF-8; NULL and "" mean "not set" and give the default. The comments list a member's
// environment variables, strongest first, its default, and its range if it has one. If a member is out of
// range, nsp_init returns NSP_ERR_CONFIG. If a variable is out of range, it is logged and ignored.
typedef struct nsp_config {
    size_t size;  // size of the caller's struct, set by nsp_config_init
    bool enabled; // OTEL_SDK_DISABLED (inverted), ENABLE_TRACING; true

    // Resource. resource_attributes has the form k=v,k=v with percent escapes. It sets one of the other three
    // only if that member has its default. An entry that cannot be used is left out and logged; at least one
    // must be usable.
    const char *service_name;        // OTEL_SERVICE_NAME, SERVICE_NAME; "unknown-service"
    const char *service_version;     // SERVICE_VERSION; "1.0.0"
    const char *environment;         // ENVIRONMENT; "development"
    const char *resource_attributes; // OTEL_RESOURCE_ATTRIBUTES

    // Sampler
    double sample_rate;              // OTEL_TRACES_SAMPLER (with _ARG), TRACE_SAMPLE_RATE; 1.0; 0 to 1
    nsp_parent_policy parent_policy; // OTEL_TRACES_SAMPLER; NSP_PARENT_FOLLOW
    // TRACE_SAMPLE_LIMIT: traces a second (nsp_sampler_set_limit); 0: no limit; 0, or 0.001 to 1e9
    double sample_limit;

    // The formats in which contexts and baggage are read from requests and written to them: a list of
    // tracecontext, baggage, b3, b3multi and none. Unknown entries are left out and logged; at least one must
    // be known.
    const char *propagators; // OTEL_PROPAGATORS; "tracecontext,baggage"

    // Exporter: otlp, console, file, none, or a list of these separated by commas; each exporter of a list
    // gets every span. NULL: otlp if an endpoint is set, otherwise none. Unknown entries are left out and
    // logged; at least one must be known.
    const char *exporter; // OTEL_TRACES_EXPORTER
    // An exporter of the application's own, which is used instead. The struct is copied; what it points to is
    // not.
    const struct nsp_exporter *custom_exporter;

    // OTLP. "..." stands for OTEL_EXPORTER_OTLP_TRACES and, weaker, OTEL_EXPORTER_OTLP. An endpoint is a URL,
    // host:port, unix:///path, unix:path or unix-abstract:name. gRPC ignores a URL's path. The default of
    // `insecure` is true, but false if an OTEL_ variable names an endpoint without a scheme.
    const char *endpoint; // ..._ENDPOINT, OTLP_ENDPOINT
    bool endpoint_exact; // true: the endpoint's path is used unchanged; false: HTTP appends "v1/traces" to it
    const char *protocol;    // ..._PROTOCOL: http/protobuf, http/json, grpc; NULL: by the port
    bool insecure;           // ..._INSECURE, OTLP_INSECURE; for an endpoint without a scheme (above)
    const char *headers;     // ..._HEADERS: k=v,k=v with percent escapes in values; bad entries as above
    const char *compression; // ..._COMPRESSION: none, gzip; "none"
    const char *certificate; // ..._CERTIFICATE: PEM file of trusted authorities; NULL: the system's
    const char *client_key;  // ..._CLIENT_KEY: PEM file; NULL: client_certificate holds the key too
    const char *client_certificate; // ..._CLIENT_CERTIFICATE: PEM file
    // ..._TIMEOUT, OTEL_BSP_EXPORT_TIMEOUT: limit of one request; 10 s; 1 ms to 49 days; 0: no limit
    uint64_t export_timeout_ns;

    // Path of the file exporter's file
    const char *file; // NSP_FILE; "nanospan.jsonl"

    // Limits of one span. The length limit counts the characters of a text and the bytes of a byte string,
    // and applies to each element of an array; with UINT32_MAX, only the record's size limits a value. For
    // each variable that begins with OTEL_SPAN_ATTRIBUTE there is a weaker one without SPAN_.
    uint32_t attribute_count_limit;        // OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT; 128
    uint32_t attribute_value_length_limit; // OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT; UINT32_MAX
    uint32_t event_count_limit;            // OTEL_SPAN_EVENT_COUNT_LIMIT; 128
    uint32_t link_count_limit;             // OTEL_SPAN_LINK_COUNT_LIMIT; 128
    uint32_t event_attribute_count_limit;  // OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT; 128
    uint32_t link_attribute_count_limit;   // OTEL_LINK_ATTRIBUTE_COUNT_LIMIT; 128

    // Threads and memory. ring_bytes is rounded up to a power of two, record_bytes to a multiple of 8.
    size_t ring_bytes;       // NSP_RING_BYTES: each thread's ring; 1 MiB; 64 KiB to 1 GiB
    uint32_t record_bytes;   // NSP_RECORD_BYTES: bytes of the largest span; 4096; 512 to 65528
    uint32_t open_spans;     // NSP_OPEN_SPANS: spans open at once on a thread; 32; 1 to 1024
    uint32_t detached_spans; // NSP_DETACHED_SPANS: open at once in the process; 1024; 0 to 262144
    uint32_t threads;        // NSP_THREADS: threads that record at once; 1024; 1 to 4096
    double watermark;        // NSP_WATERMARK: ring fill above which new traces are refused; 0.75; 0.1 to 1
    const char *shm_dir;     // NSP_SHM_DIR: the folder of sessions; "/dev/shm"; "none": private memory
    uint32_t keep_sessions;  // NSP_KEEP_SESSIONS: dead sessions that nsp_init does not delete; 8; 0 to 65536
    uint64_t keep_bytes;     // NSP_KEEP_BYTES: memory that dead sessions may use; 1 GiB; 0 to 1 PiB

    // Collector. collector_cpus lists the CPUs of nanospan's threads, such as "1" or "0,2-3"; NULL: the CPUs
    // of the process (docs/embedding.md). If poll_max_ns is less than poll_min_ns, it is raised to that.
    // NSP_COLLECTOR: thread, invoker, external; thread, but external with libnanospan-core alone, where thread and
    // invoker need a custom_exporter
    nsp_collector_mode collector;
    const char *collector_cpus; // NSP_COLLECTOR_CPUS
    uint64_t poll_min_ns;       // NSP_POLL_MIN_US; 100 us; 1 us to 1 s
    uint64_t poll_max_ns;       // NSP_POLL_MAX_US; 5 ms; 1 us to 10 s
    nsp_clock_mode clock;       // NSP_CLOCK: auto, counter, monotonic; auto

    // Batches. schedule_delay_ns is the longest that a span waits for its batch to fill. exit_timeout_ns is
    // the longest that the flush takes when a process exits without nsp_shutdown. `batches` is rounded up to
    // a power of two. A batch that the backend did not take is sent again after retry_min_ns, then after
    // twice that, and so on up to retry_max_ns, each time varied at random by up to half. If retry_max_ns is
    // less than retry_min_ns, it is raised to that.
    uint32_t batch_spans; // OTEL_BSP_MAX_EXPORT_BATCH_SIZE; 8192; 1 to 1048576
    size_t batch_bytes;   // NSP_BATCH_BYTES: of a batch, for each exporter of a list; 1 MiB; 64 KiB to 16 MiB
    uint32_t batches;     // NSP_BATCHES: batches in the pool; 8; 2 to 1024
    uint64_t schedule_delay_ns; // OTEL_BSP_SCHEDULE_DELAY; 5 s; up to 49 days
    uint64_t retry_min_ns;      // NSP_RETRY_MIN_MS; 1 s; 1 ms to 1 h
    uint64_t retry_max_ns;      // NSP_RETRY_MAX_MS; 30 s; 1 ms to 1 h
    uint64_t exit_timeout_ns;   // NSP_EXIT_TIMEOUT_MS; 1 s; up to 1 h

    // Log
    nsp_log_level log_level; // OTEL_LOG_LEVEL: none, error, warn, info, debug; info
    nsp_log_fn log;          // NULL: standard error
    void *log_context;       // passed to `log`

    // The session's memory (docs/production.md says how much there is): control, pools, batches and the rings
    // of all threads, also of those that come later. What the system refuses is logged once, and tracing goes
    // on without it.
    bool huge_pages;  // NSP_HUGE_PAGES: in pages of 2 MiB, to which each part is rounded up; false
    bool lock_memory; // NSP_LOCK_MEMORY: locked, so that it is never swapped out; false
    // Why a trace was slow (docs/outliers.md)
    bool cpu_numbers;    // NSP_CPU_NUMBERS: local roots say on which CPUs they began and ended; true
    bool switches;       // NSP_SWITCHES: spans say how long their thread was off the CPU; false
    uint8_t reserved[4]; // zero

    // Which unsampled traces are kept all the same, as in nsp_outlier_set_rules; NULL: none
    const char *outliers; // NSP_OUTLIERS
    // NSP_OUTLIER_BYTES: each thread's buffer for traces of which it is decided at their end (docs/outliers.md); 64 KiB;
    // 4 KiB to 16 MiB, rounded up to a power of two. 0: none, and then no trace is kept at its end.
    size_t outlier_bytes;
} nsp_config;

// Sets a configuration's size and nothing else: call nsp_config_init to fill it in.
#ifdef __cplusplus
static inline nsp_config nsp__config_sized()
{
    nsp_config config = nsp_config();
    config.size = sizeof config;
    return config;
}
#define NSP_CONFIG_INIT nsp__config_sized()
#else
#define NSP_CONFIG_INIT                                                                                      \
    {                                                                                                        \
        .size = sizeof(nsp_config)                                                                           \
    }
#endif

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Writes at most `size` bytes of *config.
NSP_API void nsp__config_init(nsp_config *config, size_t size);

// Fills in the defaults, then the environment's values. A bad value is ignored here; nsp_init logs it. The
// texts may lie in the environment itself, so they are valid until it is changed. Not signal safe, and not
// safe while another thread changes the environment.
static inline __attribute__((unused)) void nsp_config_init(nsp_config *config)
{
    nsp__config_init(config, sizeof *config);
}

#endif
NSP_END_DECLS
#endif
