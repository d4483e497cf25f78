// SPDX-License-Identifier: Apache-2.0
//
// Recoveries whose receiver refuses requests: nobody knows whether it is the right receiver, so a refused request
// settles nothing. What lies behind it in the same ring stays with it, and the rest of the session is sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

// Three threads, which leave so many finished spans each; the last one leaves open ones, too.
enum { THREADS = 3, FINISHED = 25, OPEN = 4, ALL = THREADS * FINISHED + OPEN };

static char session[SESSION_PATH_MAX];

static void record(int64_t number)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("finished"));
    nsp_span_set_i64(span, NSP_KEY("number"), number);
    nsp_span_end(span);
}

static void record_all(int thread)
{
    for (int i = 0; i < FINISHED; i++)
        record(100 * thread + i);
}

static pthread_barrier_t recorded;

// A thread that ended would leave its ring to the next one.
static void *record_and_stay(void *thread)
{
    record_all(*(const int *)thread);
    pthread_barrier_wait(&recorded);
    for (;;)
        pause();
    return NULL;
}

// One thread after the other, so that their rings are in this order.
static void engine(void *unused)
{
    (void)unused;
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(pthread_barrier_init(&recorded, NULL, 2) == 0);
    for (int i = 0; i < THREADS - 1; i++) {
        pthread_t thread;
        CHILD_CHECK(pthread_create(&thread, NULL, record_and_stay, &i) == 0);
        pthread_barrier_wait(&recorded);
    }
    record_all(THREADS - 1);
    for (int i = 0; i < OPEN; i++)
        nsp_span_begin(NSP_NAME("open"));
    raise(SIGKILL);
}

static int set_up(void **state)
{
    if (recovered_set_up(state) != 0)
        return -1;
    engine_dies(directory, engine, NULL, session);
    return 0;
}

static char detail[200]; // of the last export

// Exports in requests of so many spans.
static nsp_recovery_account export(uint32_t batch_spans, nsp_in_doubt in_doubt, nsp_status expected)
{
    nsp_config config;
    nsp_config_init(&config);
    config.batch_spans = batch_spans;
    config.log_level = NSP_LOG_NONE;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = &config;
    options.exporter = &recovered_exporter;
    options.in_doubt = in_doubt;
    options.timeout_ns = 60000000000;
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), expected);
    snprintf(detail, sizeof detail, "%s", nsp_error_detail());
    assert_int_equal(nsp_recovery_exporter_failed(recovery), recovered.error != 0);
    nsp_recovery_account account = balanced(recovery);
    assert_int_equal(nsp_recovery_remove(recovery, false), account.left == 0 ? NSP_OK : NSP_ERR_INVALID);
    nsp_recovery_close(recovery);
    return account;
}

// The right receiver gets what was left, and nothing twice.
static void the_right_receiver_takes(uint64_t left)
{
    recovered.answer = NSP_SEND_EXPORTED;
    recovered.sending = NULL;
    assert_int_equal(export(10, NSP_IN_DOUBT_SEND, NSP_OK).exported, left);
    assert_int_equal(recovered_count(), ALL);
    assert_int_equal(recovered_distinct(), ALL);
    assert_int_equal(recovered_unfinished(), OPEN);
}

static void a_refused_session_stays_as_it_was(void **state)
{
    (void)state;
    recovered.answer = NSP_SEND_REJECTED;
    nsp_recovery_account account = export(1000, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED);
    assert_non_null(strstr(detail, "the receiver has refused spans: scripted"));
    assert_int_equal(account.left, ALL);
    assert_int_equal(account.rejected + account.exported, 0);
    assert_int_equal(recovered.sends, 1); // and never again
    the_right_receiver_takes(ALL);
}

// Each part of the session is tried once: the rings, and each open span.
static void each_part_is_tried_once(void **state)
{
    (void)state;
    recovered.answer = NSP_SEND_REJECTED;
    assert_int_equal(export(1, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED).left, ALL);
    assert_int_equal(recovered.sends, THREADS + OPEN);
    the_right_receiver_takes(ALL);
}

static int64_t poison;

static void refuse_poison(const nsp_batch *batch)
{
    recovered.answer = NSP_SEND_EXPORTED;
    const recovered_span *spans = (const recovered_span *)(const void *)(batch->data + batch->head);
    for (uint32_t i = 0; i < batch->spans; i++)
        if (spans[i].number == poison)
            recovered.answer = NSP_SEND_REJECTED;
}

// The rings do not end where requests do.
static void what_is_behind_a_refused_request_stays(void **state)
{
    (void)state;
    static const struct {
        int64_t poison;
        uint64_t left;
    } cases[] = {{0, FINISHED}, {112, FINISHED - 10}, {124, FINISHED - 20}, {224, FINISHED - 20}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (i != 0)
            engine_dies(directory, engine, NULL, session);
        recovered_reset();
        poison = cases[i].poison;
        recovered.sending = refuse_poison;
        for (int again = 0; again < 2; again++) { // the second time there is nothing but what was refused
            nsp_recovery_account account = export(10, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED);
            assert_int_equal(account.left, cases[i].left);
            assert_int_equal(account.rejected, 0);
            assert_int_equal(account.exported, again ? 0 : ALL - cases[i].left);
        }
        the_right_receiver_takes(cases[i].left);
    }
}

static void engine_with_many_open(void *unused)
{
    (void)unused;
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.open_spans = 20;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int i = 0; i < 20; i++)
        nsp_span_begin(NSP_NAME("open"));
    raise(SIGKILL);
}

static void refuse_the_later_ones(const nsp_batch *batch)
{
    (void)batch;
    recovered.answer = recovered.sends == 0 ? NSP_SEND_EXPORTED : NSP_SEND_REJECTED;
}

static void the_wrong_receiver_is_not_asked_for_ever(void **state)
{
    (void)state;
    engine_dies(directory, engine_with_many_open, NULL, session);
    recovered.answer = NSP_SEND_REJECTED;
    assert_int_equal(export(1, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED).left, 20);
    assert_int_equal(recovered.sends, 8);
    // One that has taken something may be the right one.
    recovered.sends = 0;
    recovered.sending = refuse_the_later_ones;
    assert_int_equal(export(1, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED).left, 19);
    assert_int_equal(recovered.sends, 20);
}

static void answers_that_confirm_nothing(void **state)
{
    (void)state;
    recovered.answer = NSP_SEND_UNCONFIRMED;
    assert_int_equal(export(1000, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED).left, ALL);
    assert_non_null(strstr(detail, "the receiver has not confirmed spans: scripted"));
    nsp_recovery_account account = export(1000, NSP_IN_DOUBT_SKIP, NSP_OK);
    assert_int_equal(account.unconfirmed, ALL);
    assert_int_equal(account.left, 0);
}

// What was settled before the request that is refused stays settled.
static void a_part_that_was_taken_before(void **state)
{
    (void)state;
    recovered.part = 30;
    recovered.answer = NSP_SEND_REJECTED;
    nsp_recovery_account account = export(1000, NSP_IN_DOUBT_SEND, NSP_ERR_REFUSED);
    assert_int_equal(account.exported, 30);
    assert_int_equal(account.left, ALL - 30);
    recovered.part = 0;
    the_right_receiver_takes(ALL - 30);
}

// ---- exporters that cannot write ----

static void a_write_that_fails_ends_it(void **state)
{
    (void)state;
    // As of a console whose reader has gone, and of a file on a full disk.
    static const nsp_send_result results[] = {NSP_SEND_REJECTED, NSP_SEND_RETRY};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        recovered.sends = 0;
        recovered.answer = results[i];
        recovered.error = ENOSPC;
        nsp_recovery_account account = export(10, NSP_IN_DOUBT_SKIP, NSP_ERR_SYSTEM);
        assert_string_equal(detail, "its spans could not be written: scripted");
        assert_int_equal(account.left, ALL);
        assert_int_equal(recovered.sends, 1);
    }
    recovered.error = 0;
    the_right_receiver_takes(ALL);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, recovered_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_refused_session_stays_as_it_was),
        TEST(each_part_is_tried_once),
        TEST(what_is_behind_a_refused_request_stays),
        TEST(the_wrong_receiver_is_not_asked_for_ever),
        TEST(answers_that_confirm_nothing),
        TEST(a_part_that_was_taken_before),
        TEST(a_write_that_fails_ends_it),
    };
    return cmocka_run_group_tests_name("recover_refused", tests, NULL, NULL);
}
