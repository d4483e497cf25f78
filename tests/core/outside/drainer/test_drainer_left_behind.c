// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300 COST 100
//
// A drainer that ends while its sender's thread hangs: the thread may go on at any later time, and still finds
// everything that it uses (the address sanitizer says so if not), and the next drainer finds the batch.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <string.h>
#include <stdio.h>
#include <pthread.h>

#include "support/drained.h"

enum { SPANS = 100 };

static pthread_t drains;
static uint32_t inside, released;
static nsp_exporter ordinary; // a copy, because each use of the original writes it anew

// Hangs where the sender's thread encodes again what an earlier drainer left.
static bool hang(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    if (!pthread_equal(pthread_self(), drains)) {
        world_set(&inside, 1);
        while (world_get(&released) == 0)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return ordinary.append(state, batch, view);
}

// True if a sender's thread exists. Sanitizers have threads of their own, so that their number says nothing.
static bool sender_exists(void)
{
    bool found = false;
    DIR *stream = opendir("/proc/self/task");
    assert_non_null(stream);
    for (const struct dirent *entry; !found && (entry = readdir(stream)) != NULL;) {
        char path[64], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", entry->d_name);
        FILE *comm = fopen(path, "r");
        if (comm != NULL && fgets(name, sizeof name, comm) != NULL)
            found = strcmp(name, "nsp-sender\n") == 0;
        if (comm != NULL)
            fclose(comm);
    }
    closedir(stream);
    return found;
}

static void while_it_encodes_again(void **state)
{
    (void)state;
    drained_engine engine = {.index = 0, .spans = SPANS, .dies = true};
    const drained_plan first = {.close_ns = 1}, second = {.protocol = "http/json"};
    world_set(&world->away, 1);
    drained_engine_start(&engine);
    drained_engine_end(&engine);
    pid_t drainer_before = drained_start(&first);
    DRAINED_UNTIL(drained_stats(engine.session).in_rings == 0);
    drained_stop(drainer_before);
    world_set(&world->away, 0);

    drains = pthread_self();
    ordinary = *drained_exporter();
    nsp_exporter hanging = ordinary;
    hanging.append = hang;
    nsp_config config;
    drained_config(&config, &second);
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &hanging;
    nsp_drainer *drainer;
    assert_int_equal(nsp_drainer_open(&drainer, &options), NSP_OK);
    assert_int_equal(nsp_drainer_add(drainer, engine.session, NULL, 0), NSP_OK);
    DRAINED_UNTIL(world_get(&inside) != 0);
    assert_true(sender_exists());
    assert_int_equal(nsp_drainer_close(drainer, 0), NSP_ERR_TIMEOUT);
    world_set(&released, 1);
    DRAINED_UNTIL(!sender_exists());
    assert_int_equal(world_get(&world->accepted), 0); // the batch is not that thread's any more

    drainer = drained_open(&second);
    assert_int_equal(nsp_drainer_add(drainer, engine.session, NULL, 0), NSP_OK);
    DRAINED_UNTIL(drained_work(drainer).state == NSP_DRAINED_DIED);
    assert_int_equal(drained_close(drainer, 0), NSP_OK);
    const drained_sum sum = drained_sum_of(0, SPANS);
    assert_int_equal(sum.distinct, SPANS);
    assert_int_equal(sum.doubles, 0);
    assert_int_equal(world_get(&world->wrong_of[0]) + world_get(&world->foreign), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(while_it_encodes_again, drained_setup, drained_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
