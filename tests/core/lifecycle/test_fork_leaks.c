// SPDX-License-Identifier: Apache-2.0
//
// A leak checker finds no leak of ours in a forked child, in which the parent's session still lies in memory.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/capture.h"
#include "support/child.h"
#include "support/sanitizer.h"

#if TEST_UNDER_ASAN
#include <sanitizer/lsan_interface.h>
#else
static int __lsan_do_recoverable_leak_check(void)
{
    return 0;
}
#endif

static void child_that_only_ends(void *argument)
{
    (void)argument;
    CHILD_CHECK(__lsan_do_recoverable_leak_check() == 0);
}

static void child_that_records(void *argument)
{
    (void)argument;
    nsp_span_end(nsp_span_begin(NSP_NAME("child's")));
    CHILD_CHECK(nsp_flush(60000000000u) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(60000000000u) == NSP_OK);
    CHILD_CHECK(__lsan_do_recoverable_leak_check() == 0);
}

static void children_without_leaks(void **state)
{
    (void)state;
    if (!TEST_UNDER_ASAN)
        SKIP_BECAUSE("it needs the leak checker of the address sanitizer");
    nsp_config config;
    capture_config(&config);
    capture_start(&config);
    nsp_span_end(nsp_span_begin(NSP_NAME("parent's")));
    assert_int_equal(child_run(child_that_only_ends, NULL, 60), 0);
    assert_int_equal(child_run(child_that_records, NULL, 60), 0);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(children_without_leaks, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
