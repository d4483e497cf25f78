// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 120
//
// The account of a recovery, and what it writes into the slots of threads: an account that is wrong is seen to be
// wrong, and nothing is written for a thread whose memory is not in the session.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/control.h"
#include "shm/slot.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/session_fixture.h"

enum { DETACHED = 16 }; // as small_sessions has it

static void start_engine(void)
{
    nsp_config config;
    small_sessions(&config);
    config.collector = NSP_COLLECTOR_INVOKER; // all records stay in the ring
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void record(int spans)
{
    for (int i = 0; i < spans; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("phase"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_end(span);
    }
}

static void engine_of_hundred(void *unused)
{
    (void)unused;
    start_engine();
    record(100);
    raise(SIGKILL);
}

// ---- the files of the session ----

static int open_file(const char *session, const char *file)
{
    char path[SESSION_PATH_MAX + 20];
    snprintf(path, sizeof path, "%s/%s", session, file);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void read_file(const char *session, const char *file, uint64_t offset, void *bytes, size_t length)
{
    int fd = open_file(session, file);
    assert_int_equal(pread(fd, bytes, length, (off_t)offset), length);
    close(fd);
}

static void overwrite(const char *session, const char *file, uint64_t offset, const void *bytes,
                      size_t length)
{
    int fd = open_file(session, file);
    assert_int_equal(pwrite(fd, bytes, length, (off_t)offset), length);
    close(fd);
}

static nsp_recovery_account account_of(const char *session)
{
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    nsp_recovery *recovery = recovery_of(session);
    nsp_recovery_account_get(recovery, &account);
    nsp_recovery_close(recovery);
    return account;
}

// ---- accounts that do not balance ----

static void more_spans_than_were_begun(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    const uint64_t sent_too = 500; // more than any position could explain
    engine_dies(directory, engine_of_hundred, NULL, session);
    overwrite(session, "control", offsetof(nsp__control, counters) + offsetof(nsp__counters, exported),
              &sent_too, sizeof sent_too);
    nsp_recovery_account account = account_of(session);
    assert_int_equal(account.attempted, 100);
    assert_int_equal(account.engine_exported + account.left, 600);
    assert_int_equal(account.lost_at_crash, 0);
}

// As if the drainer's half of the slot was overwritten.
static void spans_that_were_settled_already(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    const uint64_t sent_too = 5;
    engine_dies(directory, engine_of_hundred, NULL, session);
    overwrite(session, "control", offsetof(nsp__control, counters) + offsetof(nsp__counters, exported),
              &sent_too, sizeof sent_too);
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(balanced(recovery).left, 95);
    assert_true(nsp_recovery_damaged(recovery));
    nsp_recovery_close(recovery);
}

static void engine_with_detached_spans(void *unused)
{
    (void)unused;
    start_engine();
    record(100);
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("life"), NULL));
    raise(SIGKILL);
}

// A thread may have lost one span, and a signal handler on it a detached one.
static void more_spans_lost_than_a_crash_explains(void **state)
{
    (void)state;
    void (*const engines[])(void *) = {engine_of_hundred, engine_with_detached_spans};
    for (uint64_t detached = 0; detached < 2; detached++) {
        char session[SESSION_PATH_MAX];
        engine_dies(directory, engines[detached], NULL, session);
        for (uint64_t lost = 0; lost < 4; lost++) {
            const uint64_t attempted = 100 + detached + lost;
            overwrite(session, "threads", offsetof(nsp__slot, counters.attempted), &attempted,
                      sizeof attempted);
            nsp_recovery_account account = account_of(session);
            assert_int_equal(account.attempted, attempted);
            assert_int_equal(account.lost_at_crash, lost);
            assert_int_equal(account.lost_at_crash_max, 1 + detached);
        }
    }
}

// ---- threads without room in shared memory ----

static void no_more_room(void)
{
    const struct rlimit none = {1, RLIM_INFINITY};
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &none) == 0);
}

static void on_a_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    CHILD_CHECK(pthread_create(&thread, NULL, body, argument) == 0 && pthread_join(thread, NULL) == 0);
}

static void *record_five(void *unused)
{
    record(5);
    return unused;
}

// One thread has its memory in the session, another one does not.
static void engine_without_room(void *unused)
{
    start_engine();
    record(5);
    no_more_room();
    on_a_thread(record_five, unused);
    raise(SIGKILL);
}

static void threads_in_private_memory(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_without_room, NULL, session);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.threads_private, 1);
    assert_int_equal(account.attempted, 5);
    assert_int_equal(account.exported, 5);
}

static void *end_all(void *spans)
{
    for (int i = 0; i < DETACHED; i++)
        nsp_span_end(((nsp_span **)spans)[i]);
    return spans;
}

// The places of detached spans still name the thread that ended the spans before, whose memory is private.
static void engine_whose_places_are_used_again(void *unused)
{
    (void)unused;
    nsp_span *spans[DETACHED];
    start_engine();
    record(100);
    for (int i = 0; i < DETACHED; i++)
        spans[i] = nsp_span_begin_detached(NSP_NAME("first"), NULL);
    no_more_room();
    on_a_thread(end_all, spans);
    for (int i = 0; i < 3; i++)
        nsp_span_begin_detached(NSP_NAME("second"), NULL);
    raise(SIGKILL);
}

static void open_spans_name_no_thread(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_whose_places_are_used_again, NULL, session);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.threads_private, 1);
    assert_int_equal(account.exported, 103);
    assert_int_equal(recovered_distinct(), 103);
    account = recover_all(session);
    assert_int_equal(account.exported, 0);
    assert_int_equal(account.engine_exported, 103);
    assert_int_equal(recovered_count(), 103);
}

static void engine_without_any_room(void *unused)
{
    (void)unused;
    start_engine();
    no_more_room();
    for (int i = 0; i < 3; i++)
        nsp_span_begin_detached(NSP_NAME("life"), NULL);
    raise(SIGKILL);
}

static void only_detached_spans_are_there(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_without_any_room, NULL, session);
    nsp_recovery_account account = recover_all(session);
    assert_int_equal(account.threads_private, 1);
    assert_int_equal(account.unfinished, 3);
    assert_int_equal(account.exported, 3);
    account = recover_all(session);
    assert_int_equal(account.engine_exported, 3);
    assert_int_equal(account.unfinished, 0);
    assert_int_equal(recovered_count(), 3);
}

static void engine_of_one_detached(void *unused)
{
    (void)unused;
    start_engine();
    nsp_span_begin_detached(NSP_NAME("life"), NULL);
    raise(SIGKILL);
}

static void threads_that_do_not_exist(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {1, 100000, UINT32_MAX};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char session[SESSION_PATH_MAX];
        recovered_reset();
        engine_dies(directory, engine_of_one_detached, NULL, session);
        overwrite(session, "detached", offsetof(nsp__frame, ring), &numbers[i], sizeof numbers[i]);
        assert_int_equal(recover_all(session).exported, 1);
        assert_int_equal(recover_all(session).exported, 0);
        assert_int_equal(recovered_count(), 1);
    }
}

// ---- a layout in which slots do not begin where their places do ----

enum { SHIFT = 256 };

static void shift_threads(const char *session)
{
    struct stat about;
    int fd = open_file(session, "threads");
    assert_int_equal(fstat(fd, &about), 0);
    size_t size = (size_t)about.st_size;
    char *bytes = malloc(size);
    assert_non_null(bytes);
    assert_int_equal(pread(fd, bytes, size, 0), size);
    nsp__slot *slot = (nsp__slot *)(void *)bytes;
    slot->frames_offset += SHIFT;
    slot->ring_offset += SHIFT;
    assert_int_equal(pwrite(fd, bytes, size, SHIFT), size);
    const char nothing[SHIFT] = {0};
    assert_int_equal(pwrite(fd, nothing, sizeof nothing, 0), sizeof nothing);
    free(bytes);
    close(fd);
}

static void shift_sections(const char *session)
{
    nsp__control *control = calloc(1, sizeof *control);
    assert_non_null(control);
    read_file(session, "control", 0, control, sizeof *control);
    assert_int_equal(control->slot_count, 1);
    control->places[0].bytes += SHIFT;
    for (uint32_t i = 0; i < control->section_count; i++) {
        uint32_t kind = control->sections[i].kind & ~NSP__SECTION_OPTIONAL;
        if (kind == NSP__SECTION_SLOT || kind == NSP__SECTION_SLOT_COUNTERS || kind == NSP__SECTION_SKIPS ||
            kind == NSP__SECTION_SLOT_GENERATION || kind == NSP__SECTION_LATENCIES ||
            kind == NSP__SECTION_SPECULATION)
            control->sections[i].offset += SHIFT;
    }
    overwrite(session, "control", 0, control, sizeof *control);
    free(control);
}

static void slots_lie_where_the_table_says(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    nsp__slot slot, before;
    engine_dies(directory, engine_of_hundred, NULL, session);
    shift_threads(session);
    shift_sections(session);
    read_file(session, "threads", SHIFT, &before, sizeof before);
    assert_int_equal(recover_all(session).exported, 100);
    read_file(session, "threads", SHIFT, &slot, sizeof slot);
    assert_int_equal(slot.consumed, slot.published);
    assert_int_equal(slot.drained, 100);
    slot.consumed = before.consumed; // nothing else has changed
    slot.drained = before.drained;
    assert_memory_equal(&slot, &before, sizeof slot);
    assert_int_equal(recover_all(session).exported, 0);
}

// ---- the end ----

static void what_is_left_is_not_removed(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_ERR_INVALID);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.settle_later = true;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_ERR_INVALID);
    assert_int_equal(access(session, F_OK), 0);
    assert_int_equal(nsp_recovery_settle(recovery), NSP_OK);
    assert_int_equal(nsp_recovery_remove(recovery, false), NSP_OK);
    assert_int_equal(access(session, F_OK), -1);
    nsp_recovery_close(recovery);
}

static nsp_status while_it_exports;

static void start_another(const nsp_batch *batch)
{
    nsp_config config;
    (void)batch;
    small_sessions(&config);
    while_it_exports = nsp_init(&config);
}

// A process has one sender, for an engine or a recovery.
static void one_sender_at_a_time(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    nsp_recovery *recovery = recovery_of(session);
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_ERR_BUSY);
    assert_int_equal(balanced(recovery).left, 100);
    record(1);
    assert_int_equal(nsp_flush(60000000000), NSP_OK); // the engine goes on
    capture_end();
    recovered.sending = start_another;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    assert_int_equal(while_it_exports, NSP_ERR_BUSY);
    assert_int_equal(balanced(recovery).exported, 100);
    nsp_recovery_close(recovery);
    capture_start(&config);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(more_spans_than_were_begun, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(spans_that_were_settled_already, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(more_spans_lost_than_a_crash_explains, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(threads_in_private_memory, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(open_spans_name_no_thread, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(only_detached_spans_are_there, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(threads_that_do_not_exist, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(slots_lie_where_the_table_says, recovered_set_up,
                                        recovered_tear_down),
        cmocka_unit_test_setup_teardown(what_is_left_is_not_removed, recovered_set_up, recovered_tear_down),
        cmocka_unit_test_setup_teardown(one_sender_at_a_time, recovered_set_up, recovered_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
