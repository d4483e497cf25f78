// SPDX-License-Identifier: Apache-2.0
//
// A program that is linked with libnanospan and libnanospan-core, together with a part that is linked with the core
// alone: there is one core, one session, and the exporters are there, although nothing here names them. Tracing starts
// in the earliest constructor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "libraries/part.h"
#include "support/session_dir.h"

static char directory[SESSION_PATH_MAX], file[SESSION_PATH_MAX + 20];
static nsp_collector_mode early;
static nsp_status started;

__attribute__((constructor(101))) static void start(void)
{
    nsp_config config;
    session_dir_make(directory);
    snprintf(file, sizeof file, "%s/spans.jsonl", directory);
    nsp_config_init(&config);
    early = config.collector;
    config.shm_dir = directory;
    config.exporter = "file";
    config.file = file;
    config.log_level = NSP_LOG_ERROR;
    started = nsp_init(&config);
}

static unsigned lines_with(const char *text)
{
    char line[8192];
    unsigned count = 0;
    FILE *stream = fopen(file, "re");
    assert_non_null(stream);
    while (fgets(line, sizeof line, stream) != NULL)
        count += strstr(line, text) != NULL;
    fclose(stream);
    return count;
}

// Counts both libraries among the objects of the process.
static int count_object(struct dl_phdr_info *info, size_t size, void *counts)
{
    (void)size;
    ((unsigned *)counts)[0] += strstr(info->dlpi_name, "/libnanospan-core.so.") != NULL;
    ((unsigned *)counts)[1] += strstr(info->dlpi_name, "/libnanospan.so.") != NULL;
    return 0;
}

static void one_session_with_exporters(void **state)
{
    (void)state;
    assert_int_equal(early, NSP_COLLECTOR_THREAD);
    assert_int_equal(part_early, NSP_COLLECTOR_THREAD);
    assert_int_equal(started, NSP_OK);
    unsigned counts[2] = {0, 0};
    dl_iterate_phdr(count_object, counts);
    assert_in_range(counts[0], 0, 1); // none of the archives' programs
    assert_int_equal(counts[0], counts[1]);
    Dl_info where;
    assert_int_not_equal(dladdr((void *)(uintptr_t)nsp_init, &where), 0);
    assert_true((strstr(where.dli_fname, "/libnanospan-core.so.") != NULL) == (counts[0] == 1));
    nsp_span *span = nsp_span_begin(NSP_NAME("of the program"));
    part_record(); // its parent is that span
    nsp_span_end(span);
    assert_int_equal(session_dir_count(directory), 1);
    nsp_config config;
    nsp_config_init(&config);
    assert_int_equal(nsp_init(&config), NSP_ERR_ALREADY);
    assert_int_equal(nsp_shutdown(10000000000u), NSP_OK);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.attempted, 2);
    assert_int_equal(stats.exported, 2);
    assert_int_equal(lines_with("\"of the part\""), 1);
    assert_int_equal(lines_with("\"of the program\""), 1);
    session_dir_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_session_with_exporters)};
    return cmocka_run_group_tests_name("both_libraries", tests, NULL, NULL);
}
