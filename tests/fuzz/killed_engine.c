// SPDX-License-Identifier: Apache-2.0
#include <nanospan/drainer.h>
#include <nanospan/exporters.h>
#include <pthread.h>
#include <signal.h>

#include "fuzz.h"
#include "killed_session.h"
#include "support/session_dir.h"

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    (void)context;
    *state = NULL;
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state;
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    if (batch->capacity - batch->length < NSP_SPAN_ID_SIZE)
        return false;
    memcpy(batch->data + batch->length, view->span_id, NSP_SPAN_ID_SIZE);
    batch->length += NSP_SPAN_ID_SIZE;
    return true;
}

static nsp_send_result send_never(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    (void)report;
    return NSP_SEND_RETRY;
}

const nsp_exporter killed_session_exporter = {
    .size = sizeof killed_session_exporter,
    .name = "fuzz",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = send_never,
};

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    STR(text, 40, "text")                                                                                    \
    I64(number, "number")                                                                                    \
    PHASE(check, "check")                                                                                    \
    F64(available, "available")                                                                              \
    PHASE(route, "route")                                                                                    \
    BOOL(accepted, "accepted")
NSP_PATH_DECLARE(order_path, "order", ORDER)

static void fill_path(order_path *path, int number)
{
    NSP_PATH_STR(path, text, "a text of more than sixteen bytes", 33);
    path->number = number;
    NSP_PATH_MARK(path, check);
    path->available = number;
    NSP_PATH_MARK(path, route);
    path->accepted = 1;
}

static void record(int spans)
{
    for (int i = 0; i < spans; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("a span"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_str(span, NSP_KEY("text"), "a text of more than sixteen bytes");
        nsp_span_add_event(span, NSP_NAME("an event"));
        nsp_span_end(span);
        if (i % 10 == 0) {
            order_path *path = order_path_begin();
            fill_path(path, i);
            nsp_span_add_event(nsp_path_span(path), NSP_NAME("an event"));
            order_path_end(path);
        }
    }
}

// Roots that the head leaves out and that are not slow, more than their buffer holds. The records of some are paths'.
static void make_history(void)
{
    MUST(nsp_sampler_set_rule("held", 0) == NSP_OK);
    for (int i = 0; i < 100; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("held")), *child = nsp_span_begin(NSP_NAME("a span"));
        nsp_span_set_i64(child, NSP_KEY("number"), i);
        nsp_span_end(child);
        if (i % 3 == 0) {
            order_path *path = order_path_begin();
            fill_path(path, i);
            order_path_end(path);
        }
        nsp_span_end(root);
    }
}

static void *another_thread(void *nobody)
{
    record(3);
    return nobody;
}

static void quiet(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    (void)line;
}

// More than a ring goes through the ring, so that its records begin at another place than at its beginning, and
// the last ones are at its beginning again.
static void configure(nsp_config *config, const char *shm_dir)
{
    nsp_config_init(config);
    config->service_name = "fuzz";
    config->shm_dir = shm_dir;
    config->ring_bytes = config->batch_bytes = 64 * 1024;
    config->record_bytes = 512;
    config->open_spans = 4;
    config->detached_spans = 16;
    config->batches = 2;
    config->threads = 8;
    config->outliers = "held: slower=3600s, history=60s";
    config->outlier_bytes = 8 * 1024;
    config->log = quiet;
}

static void record_on_another_thread(void)
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, another_thread, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void leave_some_open(void)
{
    for (int i = 0; i < 2; i++)
        nsp_span_set_i64(nsp_span_begin(NSP_NAME("open")), NSP_KEY("number"), i);
    nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    fill_path(order_path_begin_with(&options), 1);
    fill_path(order_path_begin(), 2);
}

void killed_engine(const char *shm_dir)
{
    nsp_config config;
    configure(&config, shm_dir);
    config.custom_exporter = &killed_session_exporter;
    config.collector = NSP_COLLECTOR_INVOKER;
    MUST(nsp_init(&config) == NSP_OK);
    for (int i = 0; i < 6; i++) {
        record(100);
        (void)nsp_do_work(1000);
    }
    record_on_another_thread();
    record(200);
    make_history();
    leave_some_open();
    raise(SIGKILL);
}

// ---- one that is drained from outside ----

static bool away;  // the receiver does not answer; atomic
static bool asked; // and was sent something; atomic

static nsp_send_result take(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    report->answered = true;
    if (!__atomic_load_n(&away, __ATOMIC_ACQUIRE))
        return NSP_SEND_EXPORTED;
    __atomic_store_n(&asked, true, __ATOMIC_RELEASE);
    for (;;)
        pause();
}

static nsp_drained worked(nsp_drainer *drainer)
{
    size_t at = 0;
    nsp_drained drained = NSP_DRAINED_INIT;
    nsp_drainer_work(drainer, NULL);
    MUST(nsp_drainer_each(drainer, &at, &drained));
    return drained;
}

// In the end one batch is being sent, one waits, one is being filled, and there are spans in the rings.
void killed_engine_outside(const char *shm_dir)
{
    char session[SESSION_PATH_MAX];
    nsp_config config;
    configure(&config, shm_dir);
    config.collector = NSP_COLLECTOR_EXTERNAL;
    config.batches = 4;
    MUST(nsp_init(&config) == NSP_OK && session_dir_of(shm_dir, getpid(), session));
    config.collector = NSP_COLLECTOR_THREAD;
    config.endpoint = "http://127.0.0.1:9";
    config.protocol = "http/protobuf";
    config.batch_spans = 60;
    config.schedule_delay_ns = 3600000000000;
    nsp_exporter exporter = *nsp_exporter_builtin("otlp");
    exporter.send = take;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &exporter;
    nsp_drainer *drainer;
    MUST(nsp_drainer_open(&drainer, &options) == NSP_OK);
    MUST(nsp_drainer_add(drainer, session, NULL, 0) == NSP_OK);
    record_on_another_thread();
    for (int i = 0; i < 6; i++) {
        record(100);
        // The receiver is there, so that in the end no more than the batch that is being filled is left.
        for (nsp_drained now; now = worked(drainer), now.in_rings + now.in_batches >= config.batch_spans;)
            ;
    }
    __atomic_store_n(&away, true, __ATOMIC_RELEASE);
    record(150);
    while (worked(drainer).in_rings != 0 || !__atomic_load_n(&asked, __ATOMIC_ACQUIRE))
        ;
    record(50);
    make_history();
    leave_some_open();
    raise(SIGKILL);
}
