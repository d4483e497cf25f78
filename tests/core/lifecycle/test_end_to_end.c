// SPDX-License-Identifier: Apache-2.0
//
// From an engine's threads to the other end: `nanospan sink` over OTLP/HTTP with gzip, the file exporter, and
// the console. Both ends must have the same number of spans, and the traces must be complete.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/scripted.h"

#define SECOND 1000000000ull

enum { THREADS = 3, ORDERS = TEST_UNDER_TSAN || TEST_UNDER_ASAN ? 500 : 3000, SPANS_PER_ORDER = 7 };

static char folder[64];

static const char *in_folder(const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    script_reset();
    snprintf(folder, sizeof folder, "/tmp/nanospan-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    nsp_shutdown(SECOND);
    static const char *const names[] = {"port", "summary", "spans", "console"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unlink(in_folder(names[i]));
    rmdir(folder);
    return 0;
}

// ---- the engine ----

// A detached span covers an order's life; its stages share clock readings.
static void *trade(void *argument)
{
    (void)argument;
    for (int64_t i = 0; i < ORDERS; i++) {
        nsp_span *life = nsp_span_begin_detached(NSP_NAME("order"), NULL);
        nsp_span_enter(life);
        nsp_ticks start = nsp_now();
        nsp_span *work = nsp_span_begin_at(NSP_NAME("place_order"), start);
        nsp_span *stage = nsp_span_begin_at(NSP_NAME("decode"), start);
        nsp_span_set_i64(stage, NSP_KEY("bytes"), 48);
        stage = nsp_span_next(stage, NSP_NAME("check_balance"));
        stage = nsp_span_next(stage, NSP_NAME("calculate_size"));
        nsp_span_set_f64(stage, NSP_KEY("size"), 1.5);
        stage = nsp_span_next(stage, NSP_NAME("match"));
        stage = nsp_span_next(stage, NSP_NAME("report"));
        if (i % 10 == 0)
            nsp_span_set_status(stage, NSP_SPAN_STATUS_ERROR, "no cash");
        nsp_ticks end = nsp_now();
        nsp_span_end_at(stage, end);
        nsp_span_end_at(work, end);
        nsp_span_leave(life);
        nsp_span_set_i64(life, NSP_KEY("order"), i);
        nsp_span_set_str(life, NSP_KEY("symbol"), "AAPL");
        nsp_span_end(life);
        if (i % 64 == 0)
            test_sleep_ms(1);
    }
    return NULL;
}

// Trades until everything is done and sent. Returns the final counters, in which every span is exported.
static nsp_stats trade_all(const nsp_config *config)
{
    pthread_t threads[THREADS];
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, trade, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(nsp_shutdown(60 * SECOND), NSP_OK);
    nsp_stats stats = script_balance();
    accounting_print(&stats);
    assert_int_equal(stats.attempted, stats.exported);
    assert_int_equal(stats.exported + stats.roots_refused * SPANS_PER_ORDER,
                     THREADS * ORDERS * SPANS_PER_ORDER);
    assert_true(stats.exported > 0);
    return stats;
}

static void engine_config(nsp_config *config)
{
    script_config(config);
    config->custom_exporter = NULL;
    config->service_name = "engine";
    config->ring_bytes = 4u << 20;
    config->batches = 16;
}

// ---- received spans, as OTLP JSON lines ----

typedef struct seen {
    uint64_t lines, spans, orders, errors;
    tally *tally;
} seen;

static uint64_t id_of(const json_t *span, const char *key, size_t at)
{
    const char *text = json_string_value(json_object_get(span, key));
    char digits[17] = "";
    if (text == NULL || strlen(text) < at + 16)
        return 0;
    memcpy(digits, text + at, 16);
    return strtoull(digits, NULL, 16);
}

static uint64_t time_of(const json_t *span, const char *key)
{
    const char *text = json_string_value(json_object_get(span, key));
    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

static void see_span(seen *me, const json_t *json)
{
    const tally_span span = {
        .trace_id = {id_of(json, "traceId", 0), id_of(json, "traceId", 16)},
        .span_id = id_of(json, "spanId", 0),
        .parent_id = id_of(json, "parentSpanId", 0),
        .start_ns = time_of(json, "startTimeUnixNano"),
        .end_ns = time_of(json, "endTimeUnixNano"),
    };
    tally_add(me->tally, &span);
    me->spans++;
    me->orders += strcmp(json_string_value(json_object_get(json, "name")), "order") == 0;
    me->errors += json_integer_value(json_object_get(json_object_get(json, "status"), "code")) == 2;
}

static void see_line(seen *me, const char *line)
{
    json_error_t error;
    json_t *request = json_loads(line, 0, &error), *resource, *scope, *span;
    if (request == NULL)
        fail_msg("line %" PRIu64 ": %s", me->lines + 1, error.text);
    me->lines++;
    size_t i, j, k;
    json_array_foreach(json_object_get(request, "resourceSpans"), i, resource)
        json_array_foreach(json_object_get(resource, "scopeSpans"), j, scope)
            json_array_foreach(json_object_get(scope, "spans"), k, span) see_span(me, span);
    json_decref(request);
}

static void expect_lines(const char *path, const nsp_stats *stats)
{
    seen all = {.tally = tally_new()};
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    while (getline(&line, &room, file) > 0)
        see_line(&all, line);
    free(line);
    fclose(file);
    assert_int_equal(all.spans, stats->exported);
    assert_int_equal(tally_distinct(all.tally), stats->exported);
    assert_int_equal(tally_untimely(all.tally), 0);
    assert_int_equal(tally_orphans(all.tally), 0);
    assert_int_equal(all.orders, stats->exported / SPANS_PER_ORDER);
    if (stats->roots_refused == 0)
        assert_int_equal(all.errors, THREADS * (ORDERS / 10));
    tally_free(all.tally);
}

// ---- tests ----

static pid_t start_sink(const char *command, char *endpoint, size_t size)
{
    pid_t child = fork();
    if (child == 0) {
        program_exec(command, environ, command, "sink", "--listen", "127.0.0.1:0", "--port-file",
                     in_folder("port"), "--summary", in_folder("summary"), "--output", in_folder("spans"),
                     "--quiet", (char *)NULL);
        _exit(127);
    }
    unsigned port = 0;
    for (int tries = 0; tries < 4000 && port == 0; tries++) {
        test_sleep_ms(5);
        FILE *file = fopen(in_folder("port"), "r");
        if (file != NULL && fscanf(file, "%u", &port) != 1)
            port = 0;
        if (file != NULL)
            fclose(file);
    }
    assert_int_not_equal(port, 0);
    snprintf(endpoint, size, "http://127.0.0.1:%u", port);
    return child;
}

static void to_the_sink(void **state)
{
    (void)state;
    const char *command = getenv("NSP_COMMAND");
    if (command == NULL)
        command = NSP_BUILD_DIR "/bin/nanospan";
    if (access(command, X_OK) != 0)
        SKIP_BECAUSE("the command nanospan was not built");
    char endpoint[64];
    pid_t sink = start_sink(command, endpoint, sizeof endpoint);
    nsp_config config;
    engine_config(&config);
    config.endpoint = endpoint;
    config.compression = "gzip";
    nsp_stats stats = trade_all(&config);
    kill(sink, SIGTERM);
    int status = child_wait(sink, 20);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    json_error_t error;
    json_t *summary = json_load_file(in_folder("summary"), 0, &error);
    assert_non_null(summary);
    assert_int_equal(json_integer_value(json_object_get(summary, "spans")), stats.exported);
    assert_int_equal(json_integer_value(json_object_get(summary, "distinct_span_ids")), stats.exported);
    assert_int_equal(json_integer_value(json_object_get(summary, "requests")), stats.batches_sent);
    assert_int_equal(json_integer_value(json_object_get(summary, "bytes")), stats.bytes_sent);
    assert_int_equal(json_integer_value(json_object_get(summary, "bytes_decoded")), stats.bytes_encoded);
    assert_true(stats.bytes_sent < stats.bytes_encoded);
    json_t *engine = json_object_get(json_object_get(summary, "services"), "engine");
    assert_int_equal(json_integer_value(json_object_get(engine, "spans")), stats.exported);
    json_decref(summary);
    expect_lines(in_folder("spans"), &stats);
}

static void to_a_file(void **state)
{
    (void)state;
    nsp_config config;
    engine_config(&config);
    config.exporter = "file";
    config.file = in_folder("spans");
    nsp_stats stats = trade_all(&config);
    expect_lines(in_folder("spans"), &stats);
}

// The console writes to standard output, which is redirected to a file meanwhile.
static void to_the_console(void **state)
{
    (void)state;
    fflush(stdout);
    int out = dup(STDOUT_FILENO);
    int file = open(in_folder("console"), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(out >= 0 && file >= 0);
    nsp_config config;
    engine_config(&config);
    config.exporter = "console";
    dup2(file, STDOUT_FILENO);
    nsp_status status = nsp_init(&config);
    trade(NULL);
    nsp_status ended = nsp_shutdown(60 * SECOND);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(file);
    assert_int_equal(status, NSP_OK);
    assert_int_equal(ended, NSP_OK);
    nsp_stats stats = script_balance();
    uint64_t orders = 0, matches = 0;
    char *line = NULL;
    size_t room = 0;
    FILE *text = fopen(in_folder("console"), "r");
    while (getline(&line, &room, text) > 0) {
        orders += strstr(line, "place_order") != NULL;
        matches += strstr(line, "match") != NULL;
    }
    free(line);
    fclose(text);
    assert_int_equal(stats.exported, stats.attempted);
    assert_int_equal(orders, stats.exported / SPANS_PER_ORDER);
    assert_int_equal(matches, stats.exported / SPANS_PER_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(to_the_sink, setup, teardown),
        cmocka_unit_test_setup_teardown(to_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(to_the_console, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
