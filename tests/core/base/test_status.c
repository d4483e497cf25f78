// SPDX-License-Identifier: Apache-2.0
//
// Every status code has a text, and the error detail of a failing call is kept for the calling thread only.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"

static void every_code_has_its_own_text(void **state)
{
    (void)state;
    static const struct {
        nsp_status status;
        int code;
    } codes[] = {
#define CODE(name, code, text) {NSP_##name, code},
        NSP_STATUS_LIST(CODE)
#undef CODE
    };
    const size_t count = sizeof codes / sizeof *codes;
    for (size_t i = 0; i < count; i++) {
        const char *text = nsp_status_str(codes[i].status);
        assert_int_equal((int)codes[i].status, codes[i].code);
        assert_true(codes[i].code == 0 || codes[i].code < 0);
        assert_true(strlen(text) > 5);
        assert_string_not_equal(text, "unknown status");
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(text, nsp_status_str(codes[j].status));
    }
    assert_int_equal(NSP_OK, 0);
}

static void other_numbers_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(nsp_status_str((nsp_status)1), "unknown status");
    assert_string_equal(nsp_status_str((nsp_status)-1000), "unknown status");
}

static void fail_returns_its_status_and_keeps_the_detail(void **state)
{
    (void)state;
    errno = EDOM;
    assert_int_equal(nsp__fail(NSP_ERR_CONFIG, "ring_bytes: %d\nis odd", 3), NSP_ERR_CONFIG);
    assert_int_equal(errno, EDOM);
    assert_string_equal(nsp_error_detail(), "ring_bytes: 3 is odd");
    // An argument may be the detail itself.
    nsp__fail(NSP_ERR_SYSTEM, "init: %s", nsp_error_detail());
    assert_string_equal(nsp_error_detail(), "init: ring_bytes: 3 is odd");
}

static void a_long_detail_is_cut_visibly(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    nsp__fail(NSP_ERR_SYSTEM, "%s", text);
    size_t length = strlen(nsp_error_detail());
    assert_true(length > 100 && length < sizeof text);
    assert_string_equal(nsp_error_detail() + length - 4, "x...");
}

static void *detail_of_another_thread(void *argument)
{
    (void)argument;
    bool clean = !strcmp(nsp_error_detail(), "");
    nsp__fail(NSP_ERR_FULL, "theirs");
    return clean ? argument : NULL;
}

static void detail_belongs_to_the_thread(void **state)
{
    (void)state;
    int token;
    void *result = NULL;
    pthread_t thread;
    nsp__fail(NSP_ERR_FULL, "ours");
    assert_int_equal(pthread_create(&thread, NULL, detail_of_another_thread, &token), 0);
    pthread_join(thread, &result);
    assert_ptr_equal(result, &token);
    assert_string_equal(nsp_error_detail(), "ours");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_text),
        cmocka_unit_test(other_numbers_are_unknown),
        cmocka_unit_test(fail_returns_its_status_and_keeps_the_detail),
        cmocka_unit_test(a_long_detail_is_cut_visibly),
        cmocka_unit_test(detail_belongs_to_the_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
