// SPDX-License-Identifier: Apache-2.0
//
// Bindings of other languages load libnanospan and call its exported functions. Every function of the headers
// is exported, including the inline ones, and works through a pointer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <glob.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

static void *library;

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    assert_true(size > 0);
    rewind(file);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, file), size);
    fclose(file);
    return text;
}

// Declarations and definitions that begin NSP_API or NSP_INLINE: looks each name up; returns how many.
static size_t look_up_all(const char *path, size_t *inlined)
{
    regex_t declaration;
    regmatch_t match[3];
    char name[128];
    size_t count = 0;
    char *text = read_file(path);
    assert_int_equal(regcomp(&declaration, "NSP_(API|INLINE)[^;{(#]*[ *](nsp_[a-z0-9_]+)\\(", REG_EXTENDED),
                     0);
    for (const char *at = text; regexec(&declaration, at, 3, match, 0) == 0; at += match[0].rm_eo) {
        int length = (int)(match[2].rm_eo - match[2].rm_so);
        assert_true(length < (int)sizeof name);
        snprintf(name, sizeof name, "%.*s", length, at + match[2].rm_so);
        if (dlsym(library, name) == NULL)
            fail_msg("%s, declared in %s, is not exported", name, path);
        *inlined += at[match[1].rm_so] == 'I';
        count++;
    }
    regfree(&declaration);
    free(text);
    return count;
}

static void every_function_of_the_headers_is_exported(void **state)
{
    (void)state;
    static const char *const patterns[] = {"/core/include/nanospan/*.h", "/core/include/nanospan/abi/[!d]*.h",
                                           "/exporters/include/nanospan/*.h"};
    size_t count = 0, inlined = 0;
    for (size_t i = 0; i < 3; i++) {
        char pattern[512];
        glob_t found;
        snprintf(pattern, sizeof pattern, "%s%s", NSP_SOURCE_DIR, patterns[i]);
        assert_int_equal(glob(pattern, 0, NULL, &found), 0);
        for (size_t k = 0; k < found.gl_pathc; k++)
            count += look_up_all(found.gl_pathv[k], &inlined);
        globfree(&found);
    }
    // Known to be there, so that a scan that finds nothing is noticed.
    assert_true(count > 90);
    assert_true(inlined > 40);
}

#define LOAD(name) __typeof__(&name) name##_p = (__typeof__(&name))(uintptr_t)dlsym(library, #name)

static void functions_work_through_pointers(void **state)
{
    (void)state;
    LOAD(nsp__config_init);
    LOAD(nsp_init);
    LOAD(nsp_shutdown);
    LOAD(nsp_stats_get);
    LOAD(nsp_intern);
    LOAD(nsp_now);
    LOAD(nsp_span_begin);
    LOAD(nsp_span_begin_at);
    LOAD(nsp_span_next);
    LOAD(nsp_span_end);
    LOAD(nsp_span_end_at);
    LOAD(nsp_span_current);
    LOAD(nsp_span_recording);
    LOAD(nsp_span_set_str);
    LOAD(nsp_span_set_i64);
    LOAD(nsp_span_set_bool);
    LOAD(nsp_span_set_i64s);
    LOAD(nsp_attr_str);
    LOAD(nsp_span_add_event_with);
    LOAD(nsp_span_set_status);
    nsp_config config;
    nsp__config_init_p(&config, sizeof config);
    config.exporter = "none";
    config.shm_dir = "none";
    config.sample_rate = 1.0;
    config.log_level = NSP_LOG_ERROR;
    assert_int_equal(nsp_init_p(&config), NSP_OK);
    nsp_name name = nsp_intern_p("name", 4), key = nsp_intern_p("key", 3);
    nsp_span *root = nsp_span_begin_p(name);
    assert_true(nsp_span_recording_p(root));
    nsp_span *child = nsp_span_begin_at_p(name, nsp_now_p());
    assert_ptr_equal(nsp_span_current_p(), child);
    const nsp_attr attribute = nsp_attr_str_p(key, "value");
    const int64_t numbers[] = {1, 2};
    nsp_span_set_str_p(child, key, "value");
    nsp_span_set_i64_p(child, key, 1);
    nsp_span_set_bool_p(child, key, true);
    nsp_span_set_i64s_p(child, key, numbers, 2);
    nsp_span_add_event_with_p(child, name, 0, &attribute, 1);
    nsp_span_set_status_p(child, NSP_SPAN_STATUS_ERROR, "message");
    nsp_span_end_at_p(nsp_span_next_p(child, name), nsp_now_p());
    nsp_span_end_p(root);
    assert_null(nsp_span_current_p());
    assert_int_equal(nsp_shutdown_p(10000000000u), NSP_OK);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get_p(&stats), NSP_OK);
    assert_int_equal(stats.attempted, 3);
    assert_int_equal(stats.discarded, 3);
    assert_int_equal(stats.misused, 0);
}

int main(void)
{
    const char *path = NSP_BUILD_DIR "/libnanospan.so";
    if (access(path, R_OK) != 0) {
        printf("skipped: %s was not built\n", path);
        return 77;
    }
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_function_of_the_headers_is_exported),
        cmocka_unit_test(functions_work_through_pointers),
    };
    return cmocka_run_group_tests_name("bindings", tests, NULL, NULL);
}
