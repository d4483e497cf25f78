// SPDX-License-Identifier: Apache-2.0
//
// The file exporter and the process: descriptors that the application closes, directories that change, and
// the limit on file sizes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <nanospan/exporters.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/time.h"
#include "support/span_generator.h"

enum { BATCH_BYTES = 64 * 1024 };

static char folder[] = "/tmp/nanospan-test-XXXXXX";
static char path[128];
static nsp_config config;
static nsp_exporter_context context;

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/spans.jsonl", folder);
    config = (nsp_config){.size = sizeof config, .batch_bytes = BATCH_BYTES, .file = path};
    context = *generated_context();
    context.config = &config;
    unlink(path);
    return 0;
}

// Returns the exporter's descriptor, the one that refers to the file at path.
static int descriptor_of_exporter(void)
{
    struct stat file, found;
    assert_int_equal(stat(path, &file), 0);
    for (int fd = 0; fd < 1024; fd++)
        if (fstat(fd, &found) == 0 && found.st_dev == file.st_dev && found.st_ino == file.st_ino)
            return fd;
    fail_msg("no descriptor leads to %s", path);
    return -1;
}

static void send_one(const nsp_exporter *file, void *exporter, nsp_send_result expected,
                     nsp_send_report *report)
{
    static uint64_t sequence;
    nsp_batch batch = {.data = malloc(BATCH_BYTES), .capacity = BATCH_BYTES, .first_ns = ++sequence};
    built_span span;
    built_span_init(&span);
    span.view.name = nsp_intern("sent", 4);
    file->open(exporter, &batch);
    assert_true(file->append(exporter, &batch, &span.view));
    file->close(exporter, &batch);
    assert_int_equal(file->send(exporter, &batch, nsp__monotonic_ns() + NSP__SECOND, report), expected);
    built_span_free(&span);
    free(batch.data);
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

static size_t lines_of(const char *text)
{
    size_t lines = 0;
    for (; *text != 0; text++)
        lines += *text == '\n';
    return lines;
}

// The application closes a descriptor of the library and gets its number for a file of its own.
static void a_descriptor_that_is_lost(void **state)
{
    (void)state;
    static char text[65536];
    char other[sizeof path + 8];
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter;
    nsp_send_report report = {0};
    snprintf(other, sizeof other, "%s.journal", path);
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    int number = descriptor_of_exporter();
    close(number);
    int journal = open(other, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(journal, number);
    send_one(file, exporter, NSP_SEND_EXPORTED, &report);
    assert_int_not_equal(descriptor_of_exporter(), number);
    // The same while the exporter is destroyed, and even if its descriptor is closed as well.
    close(descriptor_of_exporter());
    send_one(file, exporter, NSP_SEND_EXPORTED, &report);
    number = descriptor_of_exporter();
    assert_int_equal(dup2(journal, number), number);
    file->destroy(exporter);
    assert_int_equal(write(number, "entry", 5), 5);
    struct stat status;
    assert_int_equal(fstat(journal, &status), 0);
    assert_int_equal(status.st_size, 5);
    read_file(text, sizeof text);
    assert_int_equal(lines_of(text), 2);
    close(number);
    close(journal);
    unlink(other);
}

static void another_working_directory(void **state)
{
    (void)state;
    static char text[65536];
    char before[256];
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter;
    nsp_send_report report = {0};
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    config.file = "spans.jsonl";
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    assert_int_equal(chdir(before), 0);
    close(descriptor_of_exporter());
    send_one(file, exporter, NSP_SEND_EXPORTED, &report);
    file->destroy(exporter);
    read_file(text, sizeof text);
    assert_int_equal(lines_of(text), 1);
}

static void no_standard_descriptor_is_taken(void **state)
{
    (void)state;
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter;
    int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
    close(STDIN_FILENO);
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    assert_true(descriptor_of_exporter() > STDERR_FILENO);
    assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
    file->destroy(exporter);
    if (saved >= 0)
        dup2(saved, STDIN_FILENO);
    close(saved);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

// No thread gets SIGXFSZ, and no line is truncated.
static void a_limit_of_file_sizes(void **state)
{
    (void)state;
    static char text[65536];
    const nsp_exporter *file = nsp_exporter_builtin("file");
    void *exporter;
    nsp_send_report report = {0};
    assert_int_equal(file->create(&exporter, &context), NSP_OK);
    send_one(file, exporter, NSP_SEND_EXPORTED, &report);
    read_file(text, sizeof text);
    limit_file_size(strlen(text) + 100);
    send_one(file, exporter, NSP_SEND_RETRY, &report);
    assert_non_null(strstr(report.detail, "ulimit -f"));
    assert_non_null(strstr(report.detail, path));
    limit_file_size(RLIM_INFINITY);
    read_file(text, sizeof text);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_int_equal(lines_of(text), 1);
    send_one(file, exporter, NSP_SEND_EXPORTED, &report);
    file->destroy(exporter);
    read_file(text, sizeof text);
    assert_int_equal(lines_of(text), 2);
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
        cmocka_unit_test_setup(a_descriptor_that_is_lost, set_up),
        cmocka_unit_test_setup(another_working_directory, set_up),
        cmocka_unit_test_setup(no_standard_descriptor_is_taken, set_up),
        cmocka_unit_test_setup(a_limit_of_file_sizes, set_up),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
