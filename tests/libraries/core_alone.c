// SPDX-License-Identifier: Apache-2.0
//
// A program that is linked with libnanospan-core alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>
#include <nanospan/recover.h>
#include <nanospan/version.h>

#include "core/config/exporter_set.h"
#include "support/child.h"
#include "support/session_dir.h"

static char directory[SESSION_PATH_MAX];

// ---- log ----

static char log_text[8192];

static void take_line(void *context, nsp_log_level level, const char *line)
{
    (void)context, (void)level;
    size_t length = strlen(log_text);
    snprintf(log_text + length, sizeof log_text - length, "%s\n", line);
}

static unsigned times_said(const char *text)
{
    unsigned count = 0;
    for (const char *at = log_text; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}

static void configure(nsp_config *config)
{
    nsp_config_init(config);
    config->shm_dir = directory;
    config->log = take_line;
    log_text[0] = 0;
}

// ---- a custom exporter, which counts ----

static unsigned sent; // atomic

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
    (void)state, (void)view;
    batch->data[batch->length++] = 1;
    return true;
}

static nsp_send_result send_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    (void)state, (void)deadline_ns, (void)report;
    __atomic_add_fetch(&sent, batch->spans, __ATOMIC_RELAXED);
    return NSP_SEND_EXPORTED;
}

static const nsp_exporter counting = {.size = sizeof counting,
                                      .name = "counting",
                                      .create = create,
                                      .destroy = destroy,
                                      .append = append,
                                      .send = send_batch};

static void record(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("alone")));
}

static off_t batches_bytes(void)
{
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 8];
    struct stat status;
    assert_true(session_dir_of(directory, getpid(), session));
    snprintf(path, sizeof path, "%s/batches", session);
    assert_int_equal(stat(path, &status), 0);
    return status.st_size;
}

// ---- tests ----

static off_t usual_batches_bytes;

static void it_is_drained_from_outside_by_default(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config);
    assert_int_equal(config.collector, NSP_COLLECTOR_EXTERNAL);
    assert_null(dlsym(RTLD_DEFAULT, "nsp_exporter_builtin"));
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(times_said("drained from outside"), 1);
    record(5);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.in_rings, 5);
    assert_int_equal(session_dir_count(directory), 1);
    usual_batches_bytes = batches_bytes();
    assert_int_equal(nsp_shutdown(0), NSP_ERR_TIMEOUT); // nobody drains it
}

static void other_collectors_need_an_exporter(void **state)
{
    (void)state;
    for (int mode = NSP_COLLECTOR_THREAD; mode <= NSP_COLLECTOR_INVOKER; mode++) {
        nsp_config config;
        configure(&config);
        config.collector = (nsp_collector_mode)mode;
        assert_int_equal(nsp_init(&config), NSP_ERR_UNSUPPORTED);
        assert_non_null(
            strstr(nsp_error_detail(), mode == NSP_COLLECTOR_THREAD ? "\"thread\"" : "\"invoker\""));
        assert_non_null(strstr(nsp_error_detail(), "libnanospan-core alone has none: link libnanospan too"));
        assert_int_equal(times_said("tracing is off"), 1);
        record(1); // inert
        config.custom_exporter = &counting;
        assert_int_equal(nsp_init(&config), NSP_OK);
        assert_int_equal(times_said("exporter counting"), 1);
        record(3);
        sent = 0;
        assert_int_equal(nsp_shutdown(10000000000u), NSP_OK);
        assert_int_equal(sent, 3);
    }
}

static void what_is_for_exporters_is_named_once(void **state)
{
    (void)state;
    setenv("OTEL_TRACES_EXPORTER", "otlp,console", 1);
    setenv("OTLP_ENDPOINT", "ftp://unusable", 1);
    nsp_config config;
    configure(&config);
    config.certificate = "/a/certificate";
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(times_said("OTEL_TRACES_EXPORTER, OTLP_ENDPOINT, nsp_config.certificate; "), 1);
    assert_int_equal(times_said("OTLP_ENDPOINT"), 1);
    assert_int_equal(times_said("ignored"), 1);
    assert_int_equal(times_said("set it in the agent's environment"), 1);
    assert_int_equal(times_said("link libnanospan"), 0);
    assert_int_equal(batches_bytes(), usual_batches_bytes); // no room for two exporters
    nsp_shutdown(0);
    configure(&config);
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(times_said("ignored"), 0);
    nsp_shutdown(0);
    // An exporter of the program's own may use them, so they are judged as ever.
    configure(&config);
    config.collector = NSP_COLLECTOR_THREAD;
    config.custom_exporter = &counting;
    assert_int_equal(nsp_init(&config), NSP_OK);
    assert_int_equal(times_said("OTLP_ENDPOINT=ftp://unusable"), 1);
    nsp_shutdown(10000000000u);
    unsetenv("OTEL_TRACES_EXPORTER");
    unsetenv("OTLP_ENDPOINT");
}

static void dies_with_spans(void *argument)
{
    (void)argument;
    nsp_config config;
    configure(&config);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(4);
    char session[SESSION_PATH_MAX];
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    FILE *note = fopen(((const char *)argument), "we");
    CHILD_CHECK(note != NULL && fputs(session, note) >= 0 && fclose(note) == 0);
}

static void a_recovery_needs_an_exporter(void **state)
{
    (void)state;
    char note[SESSION_PATH_MAX + 8], session[SESSION_PATH_MAX];
    snprintf(note, sizeof note, "%s/note", directory);
    assert_int_equal(child_run(dies_with_spans, note, 60), 0);
    FILE *stream = fopen(note, "re");
    assert_non_null(stream);
    assert_non_null(fgets(session, sizeof session, stream));
    fclose(stream);
    nsp_config config;
    configure(&config);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = &config;
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    for (int given = 0; given < 2; given++) {
        nsp_recovery *recovery;
        assert_int_equal(nsp_recovery_open(&recovery, session, NULL, 0), NSP_OK);
        options.exporter = given ? &counting : NULL;
        sent = 0;
        assert_int_equal(nsp_recovery_export(recovery, &options), given ? NSP_OK : NSP_ERR_UNSUPPORTED);
        if (!given)
            assert_non_null(strstr(nsp_error_detail(), "libnanospan-core alone has none"));
        nsp_recovery_account_get(recovery, &account);
        assert_int_equal(account.left, given ? 0 : 4);
        assert_int_equal(sent, given ? 4 : 0);
        nsp_recovery_close(recovery);
    }
}

// Another release of libnanospan, which is found beside this core.
static void loads_another_release(void *argument)
{
    (void)argument;
    static const nsp__exporter_set other = {.release = "0.0.9"};
    nsp__exporters_offer(&other);
    nsp_config config;
    configure(&config);
    CHILD_CHECK(config.collector == NSP_COLLECTOR_EXTERNAL);
    config.collector = NSP_COLLECTOR_THREAD;
    CHILD_CHECK(nsp_init(&config) == NSP_ERR_UNSUPPORTED);
    CHILD_CHECK(strstr(nsp_error_detail(),
                       "libnanospan is of release 0.0.9 and libnanospan-core of release " NSP_VERSION
                       ": install both of one release") != NULL);
}

static void exporters_of_another_release_are_not_used(void **state)
{
    (void)state;
    assert_int_equal(child_run(loads_another_release, NULL, 60), 0);
}

static int count_core(struct dl_phdr_info *info, size_t size, void *count)
{
    (void)size;
    *(unsigned *)count += strstr(info->dlpi_name, "/libnanospan-core.so.") != NULL;
    return 0;
}

static void loads_a_plugin(void *argument)
{
    (void)argument;
    nsp_config config;
    configure(&config);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(1);
    void *plugin = dlopen(EXPORTERS_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    if (plugin == NULL)
        fprintf(stderr, "%s\n", dlerror());
    CHILD_CHECK(plugin != NULL);
    unsigned cores = 0;
    dl_iterate_phdr(count_core, &cores);
    CHILD_CHECK(cores == 1);
    nsp_status (*init)(const nsp_config *);
    const char *(*exporter)(void);
    *(void **)&init = dlsym(plugin, "plugin_init");
    *(void **)&exporter = dlsym(plugin, "plugin_exporter");
    CHILD_CHECK(strcmp(exporter(), "file") == 0);
    CHILD_CHECK(init(&config) == NSP_ERR_ALREADY); // it is the same library
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK && stats.in_rings == 1); // which goes on as it began
    CHILD_CHECK(nsp_shutdown(0) == NSP_ERR_TIMEOUT);

    char file[SESSION_PATH_MAX + 20], line[8192];
    snprintf(file, sizeof file, "%s/spans.jsonl", directory);
    configure(&config);
    CHILD_CHECK(config.collector == NSP_COLLECTOR_THREAD);
    config.exporter = "file";
    config.file = file;
    CHILD_CHECK(init(&config) == NSP_OK);
    CHILD_CHECK(dlclose(plugin) == 0); // libnanospan stays
    record(1);
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    FILE *stream = fopen(file, "re");
    CHILD_CHECK(stream != NULL && fgets(line, sizeof line, stream) != NULL &&
                strstr(line, "\"alone\"") != NULL);
    fclose(stream);
}

static void a_plugin_brings_the_exporters(void **state)
{
    (void)state;
    assert_int_equal(child_run(loads_a_plugin, NULL, 60), 0);
}

static int make_directory(void **state)
{
    (void)state;
    session_dir_make(directory);
    return 0;
}

static int remove_directory(void **state)
{
    (void)state;
    session_dir_remove(directory);
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(it_is_drained_from_outside_by_default),     TEST(other_collectors_need_an_exporter),
        TEST(what_is_for_exporters_is_named_once),       TEST(a_recovery_needs_an_exporter),
        TEST(exporters_of_another_release_are_not_used), TEST(a_plugin_brings_the_exporters),
    };
    return cmocka_run_group_tests_name("core_alone", tests, NULL, NULL);
}
