// SPDX-License-Identifier: Apache-2.0
//
// Names in the session: whoever has got a name finds it there, also if another thread has stopped in the middle
// of adding it. Otherwise a span with this name would be recovered without it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/testpoint.h"
#include "support/session_fixture.h"
#include "trace/trace_state.h"

#ifdef NSP_TESTPOINTS
static const char text[] = "a name that two threads add at once";
static int stopped, go_on; // atomic

static void stop_the_first(const char *point)
{
    if (strcmp(point, "name: written in the session") == 0 &&
        __atomic_fetch_add(&stopped, 1, __ATOMIC_ACQ_REL) == 0)
        while (!__atomic_load_n(&go_on, __ATOMIC_ACQUIRE))
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *add(void *argument)
{
    *(nsp_name *)argument = nsp_intern(text, sizeof text - 1);
    return NULL;
}

static bool is_shared(nsp_name name)
{
    const nsp__control *control = nsp__trace_state.control;
    uint32_t length = __atomic_load_n(&control->names[name].length, __ATOMIC_ACQUIRE); // M2
    return length == sizeof text - 1 &&
           memcmp(control->name_text + control->names[name].offset, text, length) == 0;
}
#endif

static void a_name_is_there_when_it_is_returned(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    __atomic_store_n(&nsp__testpoint_hook, stop_the_first, __ATOMIC_RELEASE); // TP1
    nsp_name theirs = 0;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, add, &theirs), 0);
    while (__atomic_load_n(&stopped, __ATOMIC_ACQUIRE) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    nsp_name mine = nsp_intern(text, sizeof text - 1);
    bool shared = is_shared(mine);
    __atomic_store_n(&go_on, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_true(shared);
    assert_int_equal(theirs, mine);
    assert_true(is_shared(mine));
    capture_end();
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_is_there_when_it_is_returned, make_directory,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
