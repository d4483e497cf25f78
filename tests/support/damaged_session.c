// SPDX-License-Identifier: Apache-2.0
#include "support/damaged_session.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nanospan/exporters.h>

#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

damaged_session damaged = {
    .files = {{.name = "control"}, {.name = "threads"}, {.name = "detached"}, {.name = "batches"}}};

// ---- the engine ----

// Takes the first batch, and none after it.
static nsp_send_result once(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                            nsp_send_report *report)
{
    static bool taken;
    (void)state;
    (void)batch;
    (void)deadline_ns;
    (void)report;
    if (taken)
        pause();
    taken = true;
    return NSP_SEND_EXPORTED;
}

static void record(int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("phase"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_str(span, NSP_KEY("text"), "a text");
        nsp_span_end(span);
    }
}

static void *record_on_another_thread(void *unused)
{
    (void)unused;
    record(DAMAGED_OF_THE_OTHER);
    return NULL;
}

static void begin(void)
{
    for (int i = 0; i < DAMAGED_UNFINISHED; i++) {
        nsp_span *span = i < DAMAGED_UNFINISHED / 2 ? nsp_span_begin_detached(NSP_NAME("life"), NULL)
                                                    : nsp_span_begin(NSP_NAME("root"));
        nsp_span_set_str(span, NSP_KEY("text"), "so far");
    }
}

static void wait_for_batches(uint64_t spans)
{
    nsp_stats stats = NSP_STATS_INIT;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    } while (stats.in_batches < spans);
    // Until the pass that counted them is over: only then their ring is released, and nothing of them lies in
    // both.
    const uint64_t passed_ns = stats.pass_ns;
    while (stats.pass_ns == passed_ns) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    }
}

static void engine(void *argument)
{
    const damaged_plan *planned = argument;
    const uint64_t left = (uint64_t)planned->spans - DAMAGED_IN_A_BATCH;
    const uint64_t most = DAMAGED_BATCHES * DAMAGED_IN_A_BATCH;
    nsp_exporter exporter = *nsp_exporter_builtin("otlp");
    exporter.send = once;
    nsp_config config;
    small_sessions(&config);
    config.custom_exporter = &exporter;
    config.endpoint = "http://127.0.0.1:9";
    config.batches = DAMAGED_BATCHES;
    config.batch_spans = DAMAGED_IN_A_BATCH;
    config.schedule_delay_ns = 3600000000000;
    config.collector = planned->drained ? NSP_COLLECTOR_THREAD : NSP_COLLECTOR_INVOKER;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(DAMAGED_IN_A_BATCH);
    CHILD_CHECK(nsp_flush(60000000000) == NSP_OK);
    pthread_t other;
    CHILD_CHECK(pthread_create(&other, NULL, record_on_another_thread, NULL) == 0);
    CHILD_CHECK(pthread_join(other, NULL) == 0);
    record(planned->spans - DAMAGED_IN_A_BATCH - DAMAGED_OF_THE_OTHER);
    begin();
    if (planned->drained)
        wait_for_batches(left < most ? left : most);
    raise(SIGKILL);
}

// ---- its files ----

static void path_of(const char *file, char path[SESSION_PATH_MAX + 16])
{
    snprintf(path, SESSION_PATH_MAX + 16, "%s/%s", damaged.session, file);
}

void damaged_session_make(damaged_plan planned)
{
    engine_dies(directory, engine, &planned, damaged.session);
    damaged.unsent = (size_t)planned.spans - DAMAGED_IN_A_BATCH + DAMAGED_UNFINISHED;
    for (size_t i = 0; i < DAMAGED_FILES; i++) {
        char path[SESSION_PATH_MAX + 16];
        struct stat status;
        path_of(damaged.files[i].name, path);
        int fd = damaged.files[i].fd = open(path, O_RDWR);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &status), 0);
        damaged.files[i].size = (size_t)status.st_size;
        damaged.files[i].bytes = malloc(damaged.files[i].size);
        assert_non_null(damaged.files[i].bytes);
        assert_int_equal(pread(fd, damaged.files[i].bytes, damaged.files[i].size, 0), damaged.files[i].size);
    }
}

void damaged_session_forget(void)
{
    for (size_t i = 0; i < DAMAGED_FILES; i++) {
        close(damaged.files[i].fd);
        free(damaged.files[i].bytes);
        damaged.files[i].bytes = NULL;
    }
}

void damaged_session_restore(void)
{
    char attempts[SESSION_PATH_MAX + 16];
    for (size_t i = 0; i < DAMAGED_FILES; i++)
        assert_int_equal(pwrite(damaged.files[i].fd, damaged.files[i].bytes, damaged.files[i].size, 0),
                         damaged.files[i].size);
    path_of("attempts", attempts);
    unlink(attempts);
}
