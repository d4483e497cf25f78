// SPDX-License-Identifier: Apache-2.0
//
// The file and console exporters: what arrives at the other end of their descriptors, whatever happens
// meanwhile.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <nanospan/exporters.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"
#include "support/span_generator.h"

enum { BATCH_BYTES = 256 * 1024 };

static char folder[] = "/tmp/nanospan-test-XXXXXX";
static char path[128];
static nsp_config config;
static nsp_exporter_context context;
static int cancel;
static char logged[512];

__attribute__((format(printf, 3, 4))) static void remember_line(nsp_log_level level, const char *subject,
                                                                const char *format, ...)
{
    (void)level;
    (void)subject;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(logged, sizeof logged, format, arguments);
    va_end(arguments);
}

static int set_up(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); // the sender's thread blocks it
    snprintf(path, sizeof path, "%s/spans.jsonl", folder);
    config = (nsp_config){.size = sizeof config, .batch_bytes = BATCH_BYTES, .file = path};
    context = *generated_context();
    context.config = &config;
    context.cancel = &cancel;
    context.log = remember_line;
    cancel = 0;
    logged[0] = 0;
    unlink(path);
    return 0;
}

static uint64_t in_ms(uint64_t ms)
{
    return nsp__monotonic_ns() + ms * NSP__MILLISECOND;
}

// Makes a batch of that many spans with a text of that many bytes each.
static void fill(const nsp_exporter *exporter, void *state, nsp_batch *batch, int spans, size_t text_size)
{
    static uint64_t sequence;
    *batch = (nsp_batch){.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES, .first_ns = ++sequence};
    if (exporter->open)
        exporter->open(state, batch);
    char *text = malloc(text_size + 1);
    memset(text, 'x', text_size);
    for (int i = 0; i < spans; i++) {
        built_span span;
        built_span_init(&span);
        span.view.name = nsp_intern("filled", 6);
        built_span_str(&span, nsp_intern("text", 4), text, text_size);
        assert_true(exporter->append(state, batch, &span.view));
        built_span_free(&span);
    }
    free(text);
    if (exporter->close)
        exporter->close(state, batch);
}

static size_t read_file(char *out, size_t size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t length = fread(out, 1, size - 1, file);
    fclose(file);
    out[length] = 0;
    return length;
}

static size_t spans_in(const char *line, size_t length)
{
    json_t *root = json_loadb(line, length, 0, NULL);
    if (!root)
        return 0;
    const json_t *resource_spans = json_array_get(json_object_get(root, "resourceSpans"), 0);
    const json_t *scope_spans = json_array_get(json_object_get(resource_spans, "scopeSpans"), 0);
    size_t spans = json_array_size(json_object_get(scope_spans, "spans"));
    json_decref(root);
    return spans;
}

// Reads lines of JSON; spans[i] is the number of spans in line i, 0 for an incomplete line.
static size_t count_lines(const char *text, size_t spans[8])
{
    size_t lines = 0;
    for (const char *end; (end = strchr(text, '\n')) && lines < 8; text = end + 1)
        spans[lines++] = spans_in(text, (size_t)(end - text));
    return lines;
}

static void they_are_found_by_name(void **state)
{
    (void)state;
    assert_string_equal(nsp_exporter_builtin("file")->name, "file");
    assert_string_equal(nsp_exporter_builtin("console")->name, "console");
    assert_string_equal(nsp_exporter_builtin("otlp")->name, "otlp");
    assert_null(nsp_exporter_builtin("none"));
    assert_null(nsp_exporter_builtin(NULL));
}

static void a_line_a_batch_is_appended(void **state)
{
    (void)state;
    const nsp_exporter *file = nsp_exporter_builtin("file");
    static char text[BATCH_BYTES];
    for (int run = 0; run < 2; run++) {
        void *exporter;
        assert_int_equal(file->create(&exporter, &context), NSP_OK);
        nsp_batch batch;
        nsp_send_report report = {0};
        fill(file, exporter, &batch, 3 + run, 10);
        assert_int_equal(file->send(exporter, &batch, in_ms(1000), &report), NSP_SEND_EXPORTED);
        assert_int_equal(report.bytes, batch.length - batch.head);
        assert_true(report.answered);
        size_t spans[8]; // the line is there before destroy
        read_file(text, sizeof text);
        assert_int_equal(count_lines(text, spans), (size_t)run + 1);
        assert_int_equal(spans[run], 3 + (size_t)run);
        free(batch.data);
        file->destroy(exporter);
    }
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0133, 0);
}

// A killed run may leave half a line. The line that follows must not be lost with it.
static void a_torn_last_line_is_ended_first(void **state)
{
    (void)state;
    static const struct {
        const char *left;
        size_t lines;
        mode_t mode;
    } cases[] = {
        {"{\"resourceSpans\":[{", 2, 0644}, {"{}\n", 2, 0644}, {"", 1, 0644}, {"{}\n{\"resou", 3, 0200}};
    const nsp_exporter *file = nsp_exporter_builtin("file");
    static char text[BATCH_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        FILE *before = fopen(path, "w");
        assert_non_null(before);
        fputs(cases[i].left, before);
        fclose(before);
        assert_int_equal(chmod(path, cases[i].mode), 0);
        void *exporter;
        assert_int_equal(file->create(&exporter, &context), NSP_OK);
        for (int batches = 0; batches < 2; batches++) {
            nsp_batch batch;
            nsp_send_report report = {0};
            fill(file, exporter, &batch, 3, 10);
            assert_int_equal(file->send(exporter, &batch, in_ms(1000), &report), NSP_SEND_EXPORTED);
            free(batch.data);
        }
        file->destroy(exporter);
        assert_int_equal(chmod(path, 0644), 0);
        read_file(text, sizeof text);
        size_t spans[8] = {0}, lines = count_lines(text, spans);
        assert_int_equal(lines, cases[i].lines + 1);
        assert_int_equal(spans[lines - 2], 3);
        assert_int_equal(spans[lines - 1], 3);
        unlink(path);
    }
}

static void a_path_that_cannot_be_opened(void **state)
{
    (void)state;
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter = NULL;
    config.file = "/nonexistent/spans.jsonl";
    assert_int_equal(file->create(&exporter, &context), NSP_ERR_SYSTEM);
    assert_non_null(strstr(logged, "/nonexistent/spans.jsonl"));
    assert_non_null(strstr(logged, "No such file or directory"));
    config.file = folder;
    assert_int_equal(file->create(&exporter, &context), NSP_ERR_SYSTEM);
    assert_non_null(strstr(logged, "Is a directory"));
    config.file = "";
    assert_int_equal(file->create(&exporter, &context), NSP_ERR_CONFIG);
    config.file = NULL;
    assert_int_equal(file->create(&exporter, &context), NSP_ERR_CONFIG);
    assert_non_null(strstr(logged, "NSP_FILE"));
}

// A named pipe whose reader is slow: the deadline is kept, and the batch continues where it stopped.
static void a_slow_reader_gets_whole_lines(void **state)
{
    (void)state;
    const nsp_exporter *file = nsp_exporter_builtin("file");
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    void *exporter;
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    nsp_batch first, second;
    fill(file, exporter, &first, 3, 60000); // more than a pipe holds
    fill(file, exporter, &second, 2, 10);

    uint64_t deadline = in_ms(100);
    nsp_send_report report = {0};
    assert_int_equal(file->send(exporter, &first, deadline, &report), NSP_SEND_RETRY);
    assert_true(in_ms(0) >= deadline && in_ms(0) < deadline + 2000000000u);
    assert_true(report.detail[0] != 0);

    // The reader takes what is there, and the batch is tried again until all of it is written.
    static char text[2 * BATCH_BYTES];
    size_t length = 0;
    nsp_send_result result = NSP_SEND_RETRY;
    for (int tries = 0; result == NSP_SEND_RETRY && tries < 50; tries++) {
        ssize_t got;
        while ((got = read(reader, text + length, sizeof text - 1 - length)) > 0)
            length += (size_t)got;
        result = file->send(exporter, &first, in_ms(10), &report);
    }
    assert_int_equal(result, NSP_SEND_EXPORTED);
    ssize_t got;
    while ((got = read(reader, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    size_t spans[8];
    text[length] = 0;
    assert_int_equal(count_lines(text, spans), 1);
    assert_int_equal(spans[0], 3);

    // The batch is given up halfway: the incomplete line is ended before the next batch.
    nsp_batch given_up;
    fill(file, exporter, &given_up, 3, 60000);
    assert_int_equal(file->send(exporter, &given_up, in_ms(0), &report), NSP_SEND_RETRY);
    length = 0;
    while ((got = read(reader, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    assert_int_equal(file->send(exporter, &second, in_ms(1000), &report), NSP_SEND_EXPORTED);
    while ((got = read(reader, text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = 0;
    assert_int_equal(count_lines(text, spans), 2);
    assert_int_equal(spans[0], 0);
    assert_int_equal(spans[1], 2);

    // Cancelled long before the deadline.
    free(given_up.data);
    fill(file, exporter, &given_up, 3, 60000);
    cancel = 1;
    assert_int_equal(file->send(exporter, &given_up, in_ms(60000), &report), NSP_SEND_RETRY);
    cancel = 0;

    close(reader);
    assert_int_equal(file->send(exporter, &second, in_ms(1000), &report), NSP_SEND_REJECTED);
    assert_non_null(strstr(report.detail, "Broken pipe"));
    file->destroy(exporter);
    free(first.data);
    free(second.data);
    free(given_up.data);
}

static void a_full_disk_is_retried(void **state)
{
    (void)state;
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter;
    config.file = "/dev/full";
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    nsp_batch batch;
    nsp_send_report report = {0};
    fill(file, exporter, &batch, 1, 10);
    assert_int_equal(file->send(exporter, &batch, in_ms(1000), &report), NSP_SEND_RETRY);
    assert_non_null(strstr(report.detail, "/dev/full: No space left on device"));
    free(batch.data);
    file->destroy(exporter);
}

// Runs append and send with standard output redirected to the file at path; returns its text.
static const char *printed(const nsp_span_view *view)
{
    static char text[65536];
    const nsp_exporter *console = nsp_exporter_builtin("console");
    void *exporter;
    assert_int_equal(console->create(&exporter, &context), NSP_OK);
    nsp_batch batch = {.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES};
    assert_true(console->append(exporter, &batch, view));
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), target = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(target, STDOUT_FILENO);
    nsp_send_report report = {0};
    nsp_send_result result = console->send(exporter, &batch, in_ms(1000), &report);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(target);
    assert_int_equal(result, NSP_SEND_EXPORTED);
    free(batch.data);
    console->destroy(exporter);
    read_file(text, sizeof text);
    return text;
}

static void the_console_shows_all_of_a_span(void **state)
{
    (void)state;
    built_span span;
    built_span_init(&span);
    span.view.name = nsp_intern("place\x1B[31m", 10);
    span.view.kind = NSP_KIND_SERVER;
    span.view.status = NSP_SPAN_STATUS_ERROR;
    span.view.start_ns = BUILT_EPOCH_NS + 120345678; // 2023-11-14 22:13:20
    span.view.end_ns = span.view.start_ns + 12345;
    span.view.dropped_attributes = 2;
    span.view.parent_remote = true;
    memset(span.parent_id, 0x11, 8);
    nsp_name key = nsp_intern("key", 3);
    built_span_i64(&span, key, 1);
    built_span_str(&span, nsp_intern("symbol", 6), "AAPL\xFF", 5);
    built_span_i64(&span, key, -5);
    built_span_bool(&span, nsp_intern("buy", 3), true);
    built_span_f64(&span, nsp_intern("price", 5), 101.25);
    built_span_item(&span, NSP_TYPE_BYTES, nsp_intern("raw", 3), 0, "\x00\xFF", 2);
    built_span_item(&span, NSP_TYPE_I64S, nsp_intern("sizes", 5), 0, (const int64_t[]){1, -2}, 16);
    built_span_item(&span, NSP_TYPE_STRS, nsp_intern("none", 4), 0, NULL, 0);
    nsp_item_event event = {.ticks = 120345678 + 3021, .attribute_count = 1};
    built_span_item(&span, NSP_ITEM_EVENT, nsp_intern("fill", 4), 0, &event, sizeof event);
    built_span_f64(&span, nsp_intern("price", 5), 0.5);
    nsp_item_link link = {.flags = 1};
    memset(link.trace_id, 0x22, sizeof link.trace_id);
    memset(link.span_id, 0x33, sizeof link.span_id);
    built_span_item(&span, NSP_ITEM_LINK, 0, 0, &link, sizeof link);
    built_span_item(&span, NSP_ITEM_STATUS_MESSAGE, 0, 0, "no\nfunds", 8);
    assert_string_equal(
        printed(&span.view),
        "22:13:20.120345678 place\\u001b[31m 12.345us server ERROR \"no\\nfunds\""
        " trace=4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b span=5c5c5c5c5c5c5c5c remote_parent=1111111111111111"
        " symbol=\"AAPL\xEF\xBF\xBD\" key=-5 buy=true price=101.25 raw=0x00ff sizes=[1, -2] none=[]"
        " dropped_attributes=2\n"
        "    +3.021us fill price=0.5\n"
        "    link trace=22222222222222222222222222222222 span=3333333333333333\n");
    built_span_free(&span);
}

static void durations_have_the_unit_that_fits(void **state)
{
    (void)state;
    static const struct {
        uint64_t ns;
        const char *text;
    } known[] = {{1, " 1ns "},
                 {999, " 999ns "},
                 {1000, " 1.000us "},
                 {1000001, " 1.000001ms "},
                 {61000000000u, " 61.000000000s "}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        built_span span;
        built_span_init(&span);
        span.view.end_ns = span.view.start_ns + known[i].ns;
        assert_non_null(strstr(printed(&span.view), known[i].text));
        built_span_free(&span);
    }
}

// With any amount of room, the console writes a complete span or nothing.
static void console_room_of_every_size(void **state)
{
    (void)state;
    generator_seed(41);
    const nsp_exporter *console = nsp_exporter_builtin("console");
    void *exporter;
    assert_int_equal(console->create(&exporter, &context), NSP_OK);
    for (int i = 0; i < 100; i++) {
        generated_span span;
        generated_span_make(&span);
        bool fits = false;
        for (size_t capacity = 0; capacity < 600000 && !fits;
             capacity += 1 + generator_draw(capacity / 16 + 8)) {
            nsp_batch batch = {.data = malloc(capacity + 1), .capacity = capacity};
            batch.data[capacity] = 0xCA;
            fits = console->append(exporter, &batch, &span.built.view);
            assert_true(fits ? batch.length > 0 && batch.length <= capacity : batch.length == 0);
            assert_int_equal(batch.data[capacity], 0xCA);
            if (fits)
                assert_int_equal(batch.data[batch.length - 1], '\n');
            for (size_t j = 0; j < batch.length; j++)
                assert_true(batch.data[j] >= 0x20 || batch.data[j] == '\n');
            free(batch.data);
        }
        assert_true(fits);
        generated_span_free(&span);
    }
    console->destroy(exporter);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(they_are_found_by_name, set_up),
        cmocka_unit_test_setup(a_line_a_batch_is_appended, set_up),
        cmocka_unit_test_setup(a_torn_last_line_is_ended_first, set_up),
        cmocka_unit_test_setup(a_path_that_cannot_be_opened, set_up),
        cmocka_unit_test_setup(a_slow_reader_gets_whole_lines, set_up),
        cmocka_unit_test_setup(a_full_disk_is_retried, set_up),
        cmocka_unit_test_setup(the_console_shows_all_of_a_span, set_up),
        cmocka_unit_test_setup(durations_have_the_unit_that_fits, set_up),
        cmocka_unit_test_setup(console_room_of_every_size, set_up),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
