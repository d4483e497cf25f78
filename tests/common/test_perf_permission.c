// SPDX-License-Identifier: Apache-2.0
// Sanitizers: address, because it has one thread
//
// What is said where perf events are forbidden: whatever this machine's setting is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "common/perf_permission.h"

// With a setting that is enough, nobody is told to lower it.
static void only_what_can_be_the_cause(void **state)
{
    (void)state;
    static const struct {
        const char *paranoid;
        bool enough;
    } settings[] = {{"4", false}, {"3", false}, {"", false}, {"x", false},
                    {"2", true},  {"1", true},  {"0", true}, {"-1", true}};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        char text[400];
        nsp__perf_remedy(text, sizeof text, settings[i].paranoid);
        assert_true((strstr(text, "has to be 2 or less") == NULL) == settings[i].enough);
        assert_true((strstr(text, "CAP_PERFMON") == NULL) == settings[i].enough);
        assert_true((strstr(text, "a security module") != NULL) == settings[i].enough);
        assert_non_null(strstr(text, "seccomp profile"));
        assert_non_null(strstr(text, settings[i].paranoid));
        assert_true(strlen(text) < 350);
    }
}

static void the_setting_is_a_line(void **state)
{
    (void)state;
    char paranoid[NSP__PERF_PARANOID];
    memset(paranoid, 'x', sizeof paranoid);
    nsp__perf_paranoid(paranoid);
    assert_non_null(memchr(paranoid, 0, sizeof paranoid));
    assert_null(strchr(paranoid, '\n'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_can_be_the_cause),
        cmocka_unit_test(the_setting_is_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
