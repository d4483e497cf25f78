// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Each file of a session is cut short at many places, and taken away. Everything is recovered that lies before the
// cut, and what lies in the other files: in each ring the records up to the first that is not whole, open spans whose
// frames are whole, and of each batch its first spans. What the recovery should find is computed from the files as
// they were before. It says what is damaged, its account is balanced and says what is missing, a second recovery
// finds nothing more, and then the session is set aside.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/batches.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "support/damaged_session.h"
#include "support/recovered.h"
#include "support/sections.h"
#include "support/session_fixture.h"

enum { SPANS_MAX = 100, SPANS_IN_BATCHES = DAMAGED_BATCHES * DAMAGED_IN_A_BATCH };

// By span id, in the order in which an undamaged session is recovered: batches, rings, open spans.
static uint64_t whole[SPANS_MAX];

// ---- what is there, from the files as they were ----

static const nsp__control *control(void)
{
    return (const nsp__control *)(const void *)damaged.files[DAMAGED_CONTROL].bytes;
}

static const nsp__section *section(nsp__section_kind kind)
{
    return find_section(control(), kind);
}

// Behind that there may be the rest of a page.
static uint64_t end_of(nsp__section_kind kind)
{
    const nsp__section *it = section(kind);
    return it->offset + it->count * it->stride;
}

typedef struct expected {
    uint64_t ids[SPANS_MAX];
    size_t count;
    size_t lost_threads;
    // Of a batch that is cut somewhere in its spans: which of them are whole is for the decoder to find out, but it is
    // neither none nor all of them.
    bool in_a_batch;
    size_t before, behind; // how many of ids come before those
} expected;

static void expect(expected *all, uint64_t id)
{
    assert_true(all->count < SPANS_MAX);
    all->ids[all->count++] = id;
}

static void expect_ring(expected *all, const nsp__slot *slot, uint64_t ring, uint64_t size)
{
    const uint8_t *bytes = damaged.files[DAMAGED_THREADS].bytes;
    for (uint64_t at = slot->consumed; at < slot->published;) {
        const uint64_t from = ring + (at & (slot->ring_bytes - 1));
        const nsp__record *record = (const nsp__record *)(const void *)(bytes + from);
        if (from + record->bytes > size)
            return;
        expect(all, record->span_id);
        at += record->bytes;
    }
}

static void expect_frame(expected *all, size_t file, uint64_t at, uint64_t size)
{
    const nsp__frame *frame = (const nsp__frame *)(const void *)(damaged.files[file].bytes + at);
    if (at + sizeof *frame <= size && frame->tag != 0 &&
        at + offsetof(nsp__frame, record) + nsp__frame_bytes(frame) <= size)
        expect(all, frame->record.span_id);
}

static void expect_batches(expected *all, uint64_t size)
{
    const nsp__batch_header *headers = (const void *)damaged.files[DAMAGED_BATCH_FILE].bytes;
    for (uint64_t sequence = 2; sequence <= DAMAGED_BATCHES + 1; sequence++) // the first one was exported
        for (size_t i = 0; i < DAMAGED_BATCHES; i++) {
            const nsp__batch_header *header = &headers[i];
            if (header->sequence != sequence || header->spans == 0)
                continue;
            const uint64_t end = header->data_offset + header->length;
            for (size_t k = 0; size >= end && k < DAMAGED_IN_A_BATCH; k++)
                expect(all, whole[(sequence - 2) * DAMAGED_IN_A_BATCH + k]);
            if (size >= end || size < header->data_offset + (header->head + header->length) / 2)
                continue;
            all->in_a_batch = true;
            all->before = all->count;
        }
}

typedef struct sizes {
    uint64_t of[DAMAGED_FILES]; // what is left of each file
    bool without_first;         // the first thread's slot cannot be read
} sizes;

static bool is_lost(const sizes *left, uint32_t slot)
{
    const uint64_t bytes = offsetof(nsp__slot, skips) + sizeof(nsp__skips); // what follows is padding
    return control()->places[slot].offset + bytes > left->of[DAMAGED_THREADS] ||
           (slot == 0 && left->without_first);
}

static void expect_everything(expected *all, const sizes *left)
{
    const uint64_t threads = left->of[DAMAGED_THREADS], detached = left->of[DAMAGED_DETACHED];
    *all = (expected){0};
    expect_batches(all, left->of[DAMAGED_BATCH_FILE]);
    for (uint32_t i = 0; i < control()->slot_count; i++) {
        const uint64_t at = control()->places[i].offset;
        const nsp__slot *slot = (const void *)(damaged.files[DAMAGED_THREADS].bytes + at);
        if (is_lost(left, i)) {
            all->lost_threads++;
            continue;
        }
        expect_ring(all, slot, at + slot->ring_offset, threads);
    }
    for (uint32_t i = 0; i < control()->slot_count; i++) {
        const uint64_t at = control()->places[i].offset;
        const nsp__slot *slot = (const void *)(damaged.files[DAMAGED_THREADS].bytes + at);
        for (uint32_t depth = 0; !is_lost(left, i) && depth < slot->frame_count; depth++)
            expect_frame(all, DAMAGED_THREADS, at + slot->frames_offset + depth * slot->frame_stride,
                         threads);
    }
    for (uint32_t i = 0; i < control()->detached_count; i++)
        expect_frame(all, DAMAGED_DETACHED, i * section(NSP__SECTION_DETACHED)->stride, detached);
}

// ---- one cut ----

static char where[64]; // for messages

static void assert_recovered(const expected *all)
{
    const size_t more = all->in_a_batch ? recovered_count() - all->count : 0;
    if (recovered_count() < all->count || (all->in_a_batch && (more == 0 || more >= DAMAGED_IN_A_BATCH)))
        fail_msg("%s: %zu spans, not %zu", where, recovered_count(), all->count);
    if (recovered_count() != all->count + more || recovered_distinct() != recovered_count())
        fail_msg("%s: %zu spans, %zu distinct, not %zu", where, recovered_count(), recovered_distinct(),
                 all->count);
    for (size_t i = 0; i < recovered_count(); i++) {
        const uint64_t id = i < all->before          ? all->ids[i]
                            : i < all->before + more ? whole[i] // the cut batch's first ones
                                                     : all->ids[i - more];
        if (recovered_at(i)->span_id != id)
            fail_msg("%s: another span at %zu", where, i);
    }
}

static void assert_account(const expected *all, const nsp_recovery_account *account)
{
    const uint64_t spans = damaged.unsent + DAMAGED_IN_A_BATCH;
    if (account->exported != recovered_count() || account->left != 0 ||
        account->threads_lost != all->lost_threads)
        fail_msg("%s: exported %d, left %d, threads lost %d", where, (int)account->exported,
                 (int)account->left, (int)account->threads_lost);
    if (all->lost_threads != 0) {
        assert_true(account->attempted <= spans && account->lost_at_crash_max == UINT64_MAX);
        return;
    }
    if (account->attempted != spans || account->invalid != damaged.unsent - recovered_count() ||
        account->lost_at_crash != 0)
        fail_msg("%s: attempted %d, invalid %d, lost in the crash %d", where, (int)account->attempted,
                 (int)account->invalid, (int)account->lost_at_crash);
}

// Recovers what there is. problem: what it says of damage.
static nsp_recovery_account recover(char problem[NSP_RECOVERY_PROBLEM_MAX])
{
    nsp_recovery *recovery;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    nsp_config config;
    nsp_config_init(&config);
    config.log_level = NSP_LOG_NONE;
    options.exporter = &recovered_exporter;
    options.config = &config;
    if (nsp_recovery_open(&recovery, damaged.session, problem, NSP_RECOVERY_PROBLEM_MAX) != NSP_OK)
        fail_msg("%s: %s", where, problem);
    assert_false(nsp_recovery_set_aside(recovery));
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    const nsp_recovery_account account = balanced(recovery);
    assert_true(nsp_recovery_damaged(recovery) == (problem[0] != 0));
    if (problem[0] != 0)
        assert_int_equal(nsp_recovery_remove(recovery, false), NSP_ERR_DAMAGED);
    nsp_recovery_close(recovery);
    return account;
}

static void assert_set_aside(void)
{
    nsp_recovery *recovery = recovery_of(damaged.session);
    assert_true(nsp_recovery_set_aside(recovery));
    nsp_recovery_close(recovery);
}

static void check(const sizes *left, const char *said)
{
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    expected all;
    expect_everything(&all, left);
    recovered_reset();
    nsp_recovery_account account = recover(problem);
    if (strstr(problem, said) == NULL)
        fail_msg("%s: \"%s\", not \"%s\"", where, problem, said);
    assert_recovered(&all);
    assert_account(&all, &account);
    const size_t count = recovered_count();
    account = recover(problem);
    if (account.exported != 0 || recovered_count() != count)
        fail_msg("%s: %d spans again", where, (int)account.exported);
    assert_set_aside();
}

static sizes all_of_it(void)
{
    sizes left = {.without_first = false};
    for (size_t i = 0; i < DAMAGED_FILES; i++)
        left.of[i] = damaged.files[i].size;
    return left;
}

static void cut(size_t file, uint64_t size)
{
    char said[64];
    sizes left = all_of_it();
    if (size >= left.of[file])
        return;
    left.of[file] = size;
    snprintf(where, sizeof where, "%s cut to %d", damaged.files[file].name, (int)size);
    snprintf(said, sizeof said, "its %s file is cut short", damaged.files[file].name);
    assert_int_equal(ftruncate(damaged.files[file].fd, (off_t)size), 0);
    check(&left, said);
    damaged_session_restore();
}

static void take_away(size_t file)
{
    char path[SESSION_PATH_MAX + 16], away[SESSION_PATH_MAX + 16], said[64];
    sizes left = all_of_it();
    left.of[file] = 0;
    snprintf(path, sizeof path, "%s/%s", damaged.session, damaged.files[file].name);
    snprintf(away, sizeof away, "%s/away", directory);
    snprintf(where, sizeof where, "%s missing", damaged.files[file].name);
    snprintf(said, sizeof said, "its %s file is missing", damaged.files[file].name);
    assert_int_equal(rename(path, away), 0);
    check(&left, said);
    assert_int_equal(rename(away, path), 0);
    damaged_session_restore();
}

// ---- all cuts ----

static void cut_threads(void)
{
    for (uint32_t i = 0; i < control()->slot_count; i++) {
        const uint64_t at = control()->places[i].offset;
        const nsp__slot *slot = (const void *)(damaged.files[DAMAGED_THREADS].bytes + at);
        cut(DAMAGED_THREADS, at);
        cut(DAMAGED_THREADS, at + 1);
        cut(DAMAGED_THREADS, at + sizeof *slot / 2);
        cut(DAMAGED_THREADS, at + sizeof *slot - 1);
        cut(DAMAGED_THREADS, at + sizeof *slot);
        for (uint32_t depth = 0; depth < 3; depth++)
            for (uint64_t part = 0; part < sizeof(nsp__frame) + 64; part += 40)
                cut(DAMAGED_THREADS, at + slot->frames_offset + depth * slot->frame_stride + part);
        for (uint64_t part = 0; part < 4096; part += 200)
            cut(DAMAGED_THREADS, at + slot->ring_offset + part);
        cut(DAMAGED_THREADS, at + slot->ring_offset + slot->ring_bytes);
        cut(DAMAGED_THREADS, at + control()->places[i].bytes - 1);
    }
    take_away(DAMAGED_THREADS);
}

static void cut_detached(void)
{
    const uint64_t stride = section(NSP__SECTION_DETACHED)->stride;
    for (uint32_t i = 0; i < 3; i++)
        for (uint64_t part = 0; part < sizeof(nsp__frame) + 64; part += 40)
            cut(DAMAGED_DETACHED, i * stride + part);
    cut(DAMAGED_DETACHED, 1);
    cut(DAMAGED_DETACHED, end_of(NSP__SECTION_DETACHED) - 1);
    take_away(DAMAGED_DETACHED);
}

static void cut_batches(void)
{
    const nsp__batch_header *headers = (const void *)damaged.files[DAMAGED_BATCH_FILE].bytes;
    const uint64_t coverage = section(NSP__SECTION_COVERAGE)->offset;
    cut(DAMAGED_BATCH_FILE, 0);
    cut(DAMAGED_BATCH_FILE, 1);
    cut(DAMAGED_BATCH_FILE, coverage + 1);
    for (size_t i = 0; i < DAMAGED_BATCHES; i++) {
        const uint64_t data = headers[i].data_offset;
        cut(DAMAGED_BATCH_FILE, i * sizeof headers[i] + sizeof headers[i] / 2);
        cut(DAMAGED_BATCH_FILE, (i + 1) * sizeof headers[i]);
        if (data == 0)
            continue;
        cut(DAMAGED_BATCH_FILE, data);
        cut(DAMAGED_BATCH_FILE, data + headers[i].head + 1);
        cut(DAMAGED_BATCH_FILE, data + (headers[i].head + headers[i].length) / 2);
        cut(DAMAGED_BATCH_FILE, data + headers[i].length - 1);
        cut(DAMAGED_BATCH_FILE, data + headers[i].length);
    }
    cut(DAMAGED_BATCH_FILE, end_of(NSP__SECTION_BATCH_DATA) - 1);
    take_away(DAMAGED_BATCH_FILE);
}

// Without it nothing tells where anything lies. The session stays.
static void cut_control(void)
{
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    nsp_recovery *recovery;
    for (uint64_t size = end_of(NSP__SECTION_DRAINER) - 1; size != 0; size /= 3) {
        assert_int_equal(ftruncate(damaged.files[DAMAGED_CONTROL].fd, (off_t)size), 0);
        assert_int_equal(nsp_recovery_open(&recovery, damaged.session, problem, sizeof problem),
                         NSP_ERR_DAMAGED);
        assert_string_equal(problem, "its control file is cut short");
        damaged_session_restore();
    }
}

// ---- together ----

// A thread in whose ring a detached span was just ending is lost: nobody can tell whether the span has left that
// ring, so it is not exported.
static void lose_the_ring_of_a_detached_span(void)
{
    const nsp__frame *frame = (const void *)damaged.files[DAMAGED_DETACHED].bytes;
    const uint64_t position = 64, lost = control()->places[1].offset;
    const uint32_t ring = 1;
    sizes left = all_of_it();
    expected all;
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    left.of[DAMAGED_THREADS] = lost;
    expect_everything(&all, &left);
    snprintf(where, sizeof where, "a detached span in a lost ring");
    assert_int_equal(pwrite(damaged.files[DAMAGED_DETACHED].fd, &position, sizeof position,
                            offsetof(nsp__frame, position)),
                     sizeof position);
    assert_int_equal(
        pwrite(damaged.files[DAMAGED_DETACHED].fd, &ring, sizeof ring, offsetof(nsp__frame, ring)),
        sizeof ring);
    assert_int_equal(ftruncate(damaged.files[DAMAGED_THREADS].fd, (off_t)lost), 0);
    recovered_reset();
    (void)recover(problem);
    assert_int_equal(recovered_count(), all.count - 1);
    for (size_t i = 0; i < recovered_count(); i++)
        assert_true(recovered_at(i)->span_id != frame->record.span_id);
    damaged_session_restore();
}

// What the receiver has of the lost thread's spans is no reason to leave out those of the other.
static void lose_the_first_thread(void)
{
    const uint32_t wrong = 77;
    sizes left = all_of_it();
    left.without_first = true;
    snprintf(where, sizeof where, "the first thread lost");
    assert_int_equal(
        pwrite(damaged.files[DAMAGED_THREADS].fd, &wrong, sizeof wrong, offsetof(nsp__slot, index)),
        sizeof wrong);
    check(&left, "the slot of thread 0 is damaged");
    damaged_session_restore();
}

static void cut_two_files(void)
{
    sizes left = all_of_it();
    left.of[DAMAGED_THREADS] = control()->places[1].offset + 1;
    left.of[DAMAGED_BATCH_FILE] = 1;
    snprintf(where, sizeof where, "two files cut");
    for (size_t i = 0; i < DAMAGED_FILES; i++)
        assert_int_equal(ftruncate(damaged.files[i].fd, (off_t)left.of[i]), 0);
    check(&left, "its threads file is cut short: 1 of 2 threads is whole; its batches file is cut short");
    damaged_session_restore();
}

// Records that its collector had taken out, and released, as the slots say.
static bool at_rest(void)
{
    const sizes left = all_of_it();
    expected all;
    expect_everything(&all, &left);
    return all.count == damaged.unsent;
}

static void cut_everything(damaged_plan planned)
{
    char problem[NSP_RECOVERY_PROBLEM_MAX];
    bool rested = false;
    for (int tries = 0; !rested;
         tries++) { // an engine may be killed before its drainer has released what it took
        assert_true(tries < 100);
        damaged_session_make(planned);
        rested = at_rest();
        if (!rested)
            damaged_session_forget();
    }
    recovered_reset();
    snprintf(where, sizeof where, "nothing cut");
    const nsp_recovery_account account = recover(problem);
    assert_int_equal(account.exported, damaged.unsent);
    assert_string_equal(problem, "");
    assert_true(damaged.unsent <= SPANS_MAX);
    for (size_t i = 0; i < damaged.unsent; i++)
        whole[i] = recovered_at(i)->span_id;
    damaged_session_restore();
    cut_threads();
    cut_detached();
    cut_batches();
    cut_control();
    lose_the_ring_of_a_detached_span();
    lose_the_first_thread();
    cut_two_files();
    damaged_session_forget();
}

static void with_rings_only(void **state)
{
    (void)state;
    cut_everything((damaged_plan){DAMAGED_IN_A_BATCH + 30, false});
}

static void with_full_batches(void **state)
{
    (void)state;
    cut_everything((damaged_plan){2 * DAMAGED_IN_A_BATCH + SPANS_IN_BATCHES, true});
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(with_rings_only),
        TEST(with_full_batches),
    };
    return cmocka_run_group_tests_name("recover_cut", tests, NULL, NULL);
}
