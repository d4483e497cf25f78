// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Recovery of sessions where receivers do not take everything, or answer late or never, and where what they took
// cannot be noted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "support/recover_engine.h"
#include "support/recovered.h"

static bool until_thirty(void *unused, const nsp_recovery_account *account)
{
    (void)unused;
    return account->exported < 30;
}

static void what_is_not_taken_stays(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.timeout_ns = 300000000;
    for (int i = 0; i < 3; i++) {
        recovered.answer = NSP_SEND_RETRY;
        nsp_recovery *recovery = recovery_of(session);
        assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
        assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_INVALID);
        nsp_recovery_account account = balanced(recovery);
        assert_int_equal(account.left, 100);
        assert_int_equal(account.exported, 0);
        assert_false(nsp_recovery_set_aside(recovery)); // that a receiver does not answer does not count
        nsp_recovery_close(recovery);
    }
    recovered_reset();
    recovered.accepted_max = 3;
    options.timeout_ns = 60000000000;
    options.progress = until_thirty;
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
    assert_int_equal(balanced(recovery).exported, 30);
    assert_int_equal(balanced(recovery).left, 70);
    nsp_recovery_close(recovery);
    recovered.accepted_max = 0;
    nsp_recovery_account rest = recover_all(session);
    assert_int_equal(rest.engine_exported, 30);
    assert_int_equal(rest.exported, 70);
    assert_int_equal(recovered_count(), 100);
    assert_int_equal(recovered_distinct(), 100);
}

static bool until_some(void *unused, const nsp_recovery_account *account)
{
    (void)unused;
    return account->exported == 0;
}

// The receiver takes the first spans of a request, which end in the middle of a ring or between open frames, and
// then nothing more. They are settled, and only they.
static void a_part_that_was_taken(void **state)
{
    (void)state;
    for (uint32_t part = 1; part < 13; part += part < 10 ? 4 : 1) {
        char session[SESSION_PATH_MAX];
        recovered_reset();
        engine_dies(directory, engine_with_open_spans, NULL, session);
        nsp_config config;
        nsp_recovery_options options = in_tens(&config);
        config.batch_spans = 20;
        options.progress = until_some;
        recovered.part = part;
        recovered.answer = NSP_SEND_RETRY;
        nsp_recovery *recovery = recovery_of(session);
        assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
        assert_int_equal(balanced(recovery).exported, part);
        assert_int_equal(balanced(recovery).left, 13 - part);
        nsp_recovery_close(recovery);
        recovered.part = 0;
        recovered.answer = NSP_SEND_EXPORTED;
        nsp_recovery_account rest = recover_all(session);
        assert_int_equal(rest.engine_exported, part);
        assert_int_equal(rest.exported, 13 - part);
        assert_int_equal(recovered_count(), 13);
        assert_int_equal(recovered_distinct(), 13);
    }
}

// Nothing is sent any more once the session cannot be written: nobody would know of it.
static void a_session_that_cannot_be_written(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.timeout_ns = 0; // it ends all the same
    nsp_recovery *recovery = recovery_of(session);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){1, before.rlim_max};
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    nsp_status status = nsp_recovery_export(recovery, &options);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(status, NSP_ERR_SYSTEM);
    assert_non_null(strstr(nsp_error_detail(), "was cut short, or the limit on the size of files"));
    assert_non_null(strstr(nsp_error_detail(), "remove its directory"));
    assert_int_equal(recovered.sends, 1);
    assert_int_equal(balanced(recovery).exported, 0);
    assert_int_equal(balanced(recovery).unconfirmed, 10);
    assert_int_equal(balanced(recovery).left, 90);
    nsp_recovery_close(recovery);
}

static bool stop_at_once(void *argument, const nsp_recovery_account *account)
{
    assert_int_equal(account->exported + account->left, 100);
    ++*(int *)argument;
    return false;
}

static void progress_may_stop_it(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    int calls = 0;
    options.progress = stop_at_once;
    options.argument = &calls;
    recovered.answer = NSP_SEND_RETRY;
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
    assert_int_equal(calls, 1);
    assert_int_equal(balanced(recovery).left, 100);
    nsp_recovery_close(recovery);
}

static bool hangs, inside; // atomic

static void hang(const nsp_batch *batch)
{
    (void)batch;
    __atomic_store_n(&inside, true, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&hangs, __ATOMIC_SEQ_CST))
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

// A send that ignores its deadline is left behind, and settles nothing when it returns at last.
static void a_receiver_that_hangs(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    static nsp_config config;
    nsp_recovery_options options = in_tens(&config);
    options.timeout_ns = 200000000;
    recovered.sending = hang;
    __atomic_store_n(&hangs, true, __ATOMIC_SEQ_CST);
    nsp_recovery *recovery;
    do { // on a machine that stands still for so long, the time is over before a send begins
        recovery = recovery_of(session);
        assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_TIMEOUT);
        assert_int_equal(balanced(recovery).left, 100);
        nsp_recovery_close(recovery);
        options.timeout_ns *= 4;
    } while (!__atomic_load_n(&inside, __ATOMIC_SEQ_CST));
    __atomic_store_n(&hangs, false, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&recovered.returned, __ATOMIC_ACQUIRE) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    recovery = recovery_of(session);
    assert_int_equal(balanced(recovery).left, 100);
    nsp_recovery_close(recovery);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_not_taken_stays, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_part_that_was_taken, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_session_that_cannot_be_written, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(progress_may_stop_it, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(a_receiver_that_hangs, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
