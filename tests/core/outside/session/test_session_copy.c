// SPDX-License-Identifier: Apache-2.0
//
// The reader of sessions: what an engine recorded is found; what is damaged, hostile or of another user is refused
// with a reason.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "outside/session/opening.h"
#include "outside/session/session_files.h"
#include "support/child.h"
#include "support/copied_session.h"
#include "support/recovered.h"
#include "support/sanitizer.h"
#include "support/session_fixture.h"

// ---- what is there ----

static void an_engines_spans_are_found(void **state)
{
    (void)state;
    copied_assert_whole();
    nsp__session_copy copy = copied_open();
    nsp__batch_header header;
    size_t used = 0;
    for (uint32_t i = 0; i < copy.control->batch_count; i++) {
        uint64_t coverage[NSP__THREADS_MAX];
        assert_true(nsp__session_copy_batch(&copy, i, &header));
        if (header.state == NSP__BATCH_EMPTY)
            continue;
        used++;
        assert_int_equal(header.spans, 1);
        assert_true(nsp__session_copy_coverage(&copy, i, coverage));
        assert_int_equal(coverage[0], copy.slots[0].consumed);
        uint8_t *bytes = malloc(header.length);
        assert_true(nsp__session_copy_batch_bytes(&copy, &header, bytes));
        free(bytes);
    }
    assert_int_equal(used, 1);
    assert_false(nsp__session_copy_batch(&copy, copy.control->batch_count, &header));
    nsp__session_copy_close(&copy);
}

// Whoever could open the copy and nothing else of the session is refused with some status, never with NSP_OK.
static void a_refusal_has_a_status(void **state)
{
    (void)state;
    nsp__session_copy copy = copied_open();
    char problem[100];
    nsp__opening opening = {.name = "it", .problem = problem, .size = sizeof problem};
    assert_int_equal(nsp__session_copy_status(&copy), NSP_OK);
    assert_int_equal(nsp__opening_refuse_copy(&opening, &copy), NSP_ERR_SYSTEM);
    nsp__session_copy_fail(&copy, NSP__SESSION_DAMAGED, "it is damaged");
    assert_int_equal(nsp__opening_refuse_copy(&opening, &copy), NSP_ERR_DAMAGED);
    assert_string_equal(problem, "it is damaged");
    nsp__session_copy_close(&copy);
}

// ---- hostile sessions ----

static void other_users_are_left_alone(void **state)
{
    (void)state;
    assert_int_equal(chmod(copied_session, 0750), 0);
    copied_assert_look(NSP__SESSION_NOT_OURS, "may be accessed by other users");
    assert_int_equal(chmod(copied_session, 0700), 0);
    if (geteuid() != 0)
        return;
    static const char *const files[] = {"control", "threads"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(chown(copied_path(files[i]), 65534, 65534), 0);
        copied_assert_look(NSP__SESSION_DAMAGED, "cannot be opened: Permission denied");
        assert_int_equal(chown(copied_path(files[i]), 0, 0), 0);
    }
    assert_int_equal(chown(copied_session, 65534, 65534), 0);
    copied_assert_look(NSP__SESSION_NOT_OURS, "belongs to another user; use sudo -u '");
    assert_int_equal(chown(copied_session, 0, 0), 0);
    copied_assert_whole();
}

static void put_in_place(int what, const char *path, const char *away)
{
    switch (what) {
    case 0: assert_int_equal(symlink(away, path), 0); break;
    case 1: assert_int_equal(mkfifo(path, 0600), 0); break;
    case 2: assert_int_equal(mkdir(path, 0700), 0); break;
    default: break; // nothing
    }
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    static const char *const files[] = {"control", "threads", "detached", "batches"};
    for (int i = 0; i < 16; i++) {
        char path[SESSION_PATH_MAX + 32], away[SESSION_PATH_MAX + 48], problem[160];
        snprintf(path, sizeof path, "%s", copied_path(files[i / 4]));
        snprintf(away, sizeof away, "%s.away", path);
        assert_int_equal(rename(path, away), 0);
        put_in_place(i % 4, path, away);
        assert_int_equal(copied_look(problem), NSP__SESSION_DAMAGED);
        (void)remove(path);
        assert_int_equal(rename(away, path), 0);
    }
    copied_assert_whole();
}

static void threads_do_not_share_a_place(void **state)
{
    (void)state;
    nsp__session_copy copy = copied_open();
    nsp__slot_place place = copy.control->places[0];
    nsp__slot slot = copy.slots[0];
    nsp__session_copy_close(&copy);
    uint32_t two = 2;
    slot.index = 1;
    place.offset += 4096;
    place.bytes -= 4096;
    slot.ring_bytes = 4096;
    slot.published = slot.consumed;
    copied_write("threads", place.offset, &slot, sizeof slot);
    copied_write("control", offsetof(nsp__control, places[1]), &place, sizeof place);
    copied_write("control", offsetof(nsp__control, slot_count), &two, sizeof two);
    copied_assert_look(NSP__SESSION_DAMAGED, "in the same place");
}

static void positions_fit_the_ring(void **state)
{
    (void)state;
    nsp__session_copy copy = copied_open();
    const nsp__slot slot = copy.slots[0];
    const uint64_t at = nsp__session_copy_slot_at(&copy, 0);
    nsp__session_copy_close(&copy);
    const uint64_t published[] = {slot.consumed + slot.ring_bytes + 8, slot.consumed - 8, UINT64_MAX};
    for (size_t i = 0; i < 3; i++) {
        copied_write("threads", at + offsetof(nsp__slot, published), &published[i], 8);
        copied_assert_look(NSP__SESSION_DAMAGED, "slot of thread 0");
    }
}

// A terabyte of nothing, which takes no memory until somebody reads it.
static void huge_sparse_files_are_no_trap(void **state)
{
    (void)state;
    const uint64_t huge = UINT64_C(1) << 40, ring = UINT64_C(1) << 39;
    nsp__session_copy copy = copied_open();
    nsp__slot_place place = copy.control->places[0];
    const uint64_t at = nsp__session_copy_slot_at(&copy, 0);
    uint64_t positions[] = {0, ring};
    nsp__session_copy_close(&copy);
    place.bytes = huge - place.offset;
    if (truncate(copied_path("threads"), (off_t)huge) != 0)
        SKIP_BECAUSE("the file system has no files of that size");
    copied_write("control", offsetof(nsp__control, places[0]), &place, sizeof place);
    copied_write("threads", at + offsetof(nsp__slot, ring_bytes), &ring, 8);
    copied_write("threads", at + offsetof(nsp__slot, consumed), &positions[0], 8);
    copied_write("threads", at + offsetof(nsp__slot, published), &positions[1], 8);
    copy = copied_open();
    nsp__ring_copy records;
    assert_true(nsp__ring_copy_begin(&records, &copy, 0, 0, ring));
    while (nsp__ring_copy_next(&records) != NULL)
        ;
    assert_true(records.damaged);
    nsp__ring_copy_end(&records);
    nsp__session_copy_close(&copy);
}

static void damage_in_a_ring_is_found(void **state)
{
    (void)state;
    nsp__session_copy copy = copied_open();
    const nsp__slot *slot = &copy.slots[0];
    nsp__ring_copy ring;
    assert_true(nsp__ring_copy_begin(&ring, &copy, 0, slot->consumed, slot->published));
    for (int i = 0; i < 3; i++)
        assert_non_null(nsp__ring_copy_next(&ring));
    const uint64_t fourth = ring.at, place = ring.file_at + (fourth & (slot->ring_bytes - 1));
    nsp__ring_copy_end(&ring);
    static const uint32_t sizes[] = {0, 8, 81, 511, 1 << 20, UINT32_MAX};
    static const uint64_t long_item = UINT64_C(0xffff) << 32;
    for (size_t i = 0; i <= sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t before[8];
        const bool size = i < sizeof sizes / sizeof sizes[0];
        const uint64_t at = place + (size ? 0 : sizeof(nsp__record));
        assert_true(nsp__read_at(copy.threads_fd, before, sizeof before, at));
        copied_write("threads", at, size ? (const void *)&sizes[i] : &long_item, size ? 4 : 8);
        assert_true(nsp__ring_copy_begin(&ring, &copy, 0, slot->consumed, slot->published));
        int count = 0;
        while (nsp__ring_copy_next(&ring) != NULL)
            count++;
        assert_int_equal(count, 3);
        assert_true(ring.damaged && ring.at == fourth);
        nsp__ring_copy_end(&ring);
        copied_write("threads", at, before, sizeof before);
    }
    assert_false(nsp__ring_copy_begin(&ring, &copy, 0, slot->published, slot->consumed));
    assert_false(nsp__ring_copy_begin(&ring, &copy, 1, 0, 0));
    nsp__session_copy_close(&copy);
    copied_assert_whole();
}

// Records that do not end where a window of the reader does, and the beginning of the ring behind its end.
static void large_engine(void *nobody)
{
    (void)nobody;
    nsp_config config;
    small_sessions(&config);
    config.ring_bytes = 1 << 20;
    config.watermark = 1;
    config.collector = NSP_COLLECTOR_INVOKER;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int64_t i = 0; i < 12000; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("in the ring"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_str(span, NSP_KEY("text"), i % 3 == 0 ? "text" : "a text of more than sixteen bytes");
        nsp_span_end(span);
        if (i < 6000 && i % 500 == 0)
            CHILD_CHECK(nsp_flush(10000000000u) == NSP_OK);
    }
    raise(SIGKILL);
}

static void a_ring_larger_than_a_window(void **state)
{
    (void)state;
    engine_dies(directory, large_engine, NULL, copied_session);
    nsp__session_copy copy = copied_open();
    const nsp__slot *slot = nsp__session_copy_slot(&copy, 0);
    nsp__ring_copy ring;
    const nsp__record *record;
    assert_true(slot->published - slot->consumed > slot->ring_bytes * 3 / 4);
    assert_true((slot->published & ~(slot->ring_bytes - 1)) != (slot->consumed & ~(slot->ring_bytes - 1)));
    assert_true(nsp__ring_copy_begin(&ring, &copy, 0, slot->consumed, slot->published));
    int64_t first = -1, count = 0;
    for (; (record = nsp__ring_copy_next(&ring)) != NULL; count++) {
        int64_t number;
        memcpy(&number, (const uint8_t *)(record + 1) + 8, sizeof number);
        first = count == 0 ? number : first;
        copied_assert_number(&copy, record, first + count);
    }
    assert_false(ring.damaged);
    assert_int_equal(count, slot->counters.committed - slot->drained);
    nsp__ring_copy_end(&ring);
    nsp__session_copy_close(&copy);
}

static void frames_are_within_themselves(void **state)
{
    (void)state;
    static const uint16_t sizes[] = {0, 8, sizeof(nsp__record) - 8, sizeof(nsp__record) + 4, 60000, 65528};
    nsp__session_copy copy = copied_open();
    const uint64_t at[] = {nsp__session_copy_frame_at(&copy, 0, 0), nsp__session_copy_detached_at(&copy, 0)};
    static union {
        nsp__frame frame;
        uint8_t room[NSP__FRAME_COPY_MAX];
    } open;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        copied_write("threads", at[0] + offsetof(nsp__frame, cursor), &sizes[i], 2);
        copied_write("detached", at[1] + offsetof(nsp__frame, cursor), &sizes[i], 2);
        assert_false(nsp__session_copy_frame(&copy, 0, 0, &open.frame, sizeof open));
        assert_false(nsp__session_copy_detached(&copy, 0, &open.frame, sizeof open));
        assert_true(nsp__session_copy_frame(&copy, 0, 0, &open.frame, sizeof open.frame)); // the fixed part
    }
    nsp__session_copy_close(&copy);
}

static void batches_are_within_their_part(void **state)
{
    (void)state;
    nsp__session_copy copy = copied_open();
    nsp__batch_header header = {0}, good;
    uint32_t index = 0;
    for (; header.state == NSP__BATCH_EMPTY; index++)
        assert_true(nsp__session_copy_batch(&copy, index, &header));
    const uint64_t at = nsp__session_copy_batch_at(&copy, --index);
    for (int i = 0; i < 5; i++) {
        good = header;
        switch (i) {
        case 0: good.state = 9; break;
        case 1: good.length = good.capacity + 1; break;
        case 2: good.head = good.length + 1; break;
        case 3: good.data_offset += 8; break;
        default: good.capacity++, good.length = good.capacity; break;
        }
        copied_write("batches", at, &good, sizeof good);
        assert_false(nsp__session_copy_batch(&copy, index, &good));
    }
    copied_write("batches", at, &header, sizeof header);
    assert_true(nsp__session_copy_batch(&copy, index, &good));
    nsp__session_copy_close(&copy);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, copied_session_make, copied_session_remove)
    const struct CMUnitTest tests[] = {
        TEST(an_engines_spans_are_found),    TEST(a_refusal_has_a_status),
        TEST(other_users_are_left_alone),    TEST(what_is_no_file_is_refused),
        TEST(threads_do_not_share_a_place),  TEST(positions_fit_the_ring),
        TEST(huge_sparse_files_are_no_trap), TEST(a_ring_larger_than_a_window),
        TEST(damage_in_a_ring_is_found),     TEST(frames_are_within_themselves),
        TEST(batches_are_within_their_part),
    };
    return cmocka_run_group_tests_name("session_copy", tests, NULL, NULL);
}
