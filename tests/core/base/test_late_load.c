// SPDX-License-Identifier: Apache-2.0
//
// The shared library in a program that was not linked with it, loaded by a plug-in or a binding. Its
// thread-locals are initial-exec, so room for them must be found late. dlclose leaves it loaded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "support/sanitizer.h"

#define LIBRARY NSP_BUILD_DIR "/libnanospan.so"

static struct {
    void (*config_init)(nsp_config *config, size_t size);
    nsp_status (*init)(const nsp_config *config);
    nsp_status (*shutdown)(uint64_t timeout_ns);
    nsp_status (*stats_get)(nsp_stats *stats);
    nsp_name (*intern)(const char *text, size_t length);
    nsp_span *(*begin)(nsp_name name);
    void (*set_i64)(nsp_span *span, nsp_name key, int64_t value);
    void (*end)(nsp_span *span);
} library;

static void find(void *handle, void *function, const char *name)
{
    void *address = dlsym(handle, name);
    if (address == NULL)
        fail_msg("%s", dlerror());
    *(void **)function = address;
}

static void *record(void *argument)
{
    int spans = *(const int *)argument;
    for (int i = 0; i < spans; i++) {
        nsp_span *span = library.begin(library.intern("late", 4));
        library.set_i64(span, library.intern("number", 6), i);
        library.end(span);
    }
    return NULL;
}

static void a_program_that_is_not_linked(void **state)
{
    (void)state;
    if (access(LIBRARY, R_OK) != 0)
        SKIP_BECAUSE("the shared library is not built");
    assert_null(dlsym(RTLD_DEFAULT, "nsp_init"));
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL)
        fail_msg("%s", dlerror());
    find(handle, &library.config_init, "nsp__config_init");
    find(handle, &library.init, "nsp_init");
    find(handle, &library.shutdown, "nsp_shutdown");
    find(handle, &library.stats_get, "nsp_stats_get");
    find(handle, &library.intern, "nsp_intern");
    find(handle, &library.begin, "nsp_span_begin");
    find(handle, &library.set_i64, "nsp_span_set_i64");
    find(handle, &library.end, "nsp_span_end");

    nsp_config config;
    library.config_init(&config, sizeof config);
    config.exporter = "none";
    config.log_level = NSP_LOG_ERROR;
    assert_int_equal(library.init(&config), NSP_OK);
    int spans = 100;
    pthread_t thread; // one thread that already has its thread-locals, and a new one
    record(&spans);
    assert_int_equal(pthread_create(&thread, NULL, record, &spans), 0);
    pthread_join(thread, NULL);
    assert_int_equal(dlclose(handle), 0); // while nanospan runs
    record(&spans);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(library.shutdown(10000000000u), NSP_OK);
    assert_int_equal(library.stats_get(&stats), NSP_OK);
    assert_int_equal(stats.attempted, 3 * spans);
    assert_int_equal(stats.discarded, 3 * spans);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_program_that_is_not_linked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
