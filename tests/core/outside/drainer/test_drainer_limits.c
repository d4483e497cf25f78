// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// A drainer that has reached a limit of its process goes on with what it has, and catches up when it is below the
// limit again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "support/child.h"
#include "support/drained.h"
#include "support/external_engine.h"

enum { SPANS = 10 };

static uint32_t *go; // shared with the engine

static int setup(void **state)
{
    go = mmap(NULL, sizeof *go, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return go == MAP_FAILED || external_folder_make(state) != 0 ? -1 : 0;
}

static int teardown(void **state)
{
    munmap(go, sizeof *go);
    return external_folder_remove(state);
}

static void *record(void *argument)
{
    (void)argument;
    external_record(SPANS);
    return NULL;
}

static void engine_with_a_later_thread(void *argument)
{
    pthread_t thread;
    (void)argument;
    external_record(SPANS);
    external_tell();
    while (world_get(go) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    CHILD_CHECK(pthread_create(&thread, NULL, record, NULL) == 0);
    pthread_join(thread, NULL);
    external_tell();
    CHILD_CHECK(nsp_shutdown(60000000000u) == NSP_OK);
}

static nsp_drainer *open_drainer(void)
{
    nsp_config config;
    nsp_drainer *drainer;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    nsp_config_init(&config);
    config.exporter = "file";
    config.file = "/dev/null";
    config.batch_spans = 1;
    config.log_level = NSP_LOG_NONE;
    options.config = &config;
    assert_int_equal(nsp_drainer_open(&drainer, &options), NSP_OK);
    return drainer;
}

static void threads_come_while_no_file_can_be_opened(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, engine_with_a_later_thread, NULL);
    nsp_drainer *drainer = open_drainer();
    assert_int_equal(nsp_drainer_add(drainer, engine.session, NULL, 0), NSP_OK);
    external_await(&engine);
    DRAINED_UNTIL(drained_work(drainer).exported == SPANS);

    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    world_set(go, 1);
    external_await(&engine);
    for (int i = 0; i < 10; i++) {
        const nsp_drained drained = drained_work(drainer);
        assert_int_equal(drained.state, NSP_DRAINED_LIVING);
        assert_int_equal(drained.exported, SPANS);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    DRAINED_UNTIL(drained_work(drainer).exported == 2 * SPANS);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_ENDED);
    external_join(&engine);
    assert_int_equal(nsp_drainer_close(drainer, 0), NSP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_come_while_no_file_can_be_opened, setup, teardown),
    };
    return cmocka_run_group_tests_name("drainer_limits", tests, NULL, NULL);
}
