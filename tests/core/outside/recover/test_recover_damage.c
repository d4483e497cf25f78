// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Each part of each file of a session is overwritten, one part at a time, with zeroes, with ones, and by a byte that
// is flipped. Whatever that hits: no span is exported twice, not by two recoveries either, none that the engine had
// exported, and none that was never begun. If some are missing, the recovery says so: it refuses the session, finds
// it damaged, or its account says what is missing.
//
// Nothing can be known of what carries no redundancy: an open span whose frame is gone is one that was lost in the
// crash for the account, and one whose identity or attributes are overwritten is another span. So this counts spans,
// and an account that says "lost" says it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shm/batches.h"
#include "shm/control.h"
#include "shm/slot.h"
#include "support/damaged_session.h"
#include "support/recovered.h"
#include "support/sanitizer.h"
#include "support/session_fixture.h"

// ---- one recovery ----

typedef struct outcome {
    bool said;  // that something is missing, or wrong
    bool quiet; // about damage that is in its account, so that the session would be removed
    nsp_recovery_account account;
} outcome;

static bool is_balanced(const nsp_recovery_account *a)
{
    return a->attempted == settled_of(a) + a->lost_at_crash && a->lost_at_crash <= a->lost_at_crash_max;
}

static outcome recover(void)
{
    outcome out = {.said = true, .account = NSP_RECOVERY_ACCOUNT_INIT};
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    nsp_config config;
    nsp_config_init(&config);
    config.log_level = NSP_LOG_NONE;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.config = &config;
    if (nsp_recovery_open(&recovery, damaged.session, problem, sizeof problem) != NSP_OK)
        return out;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    out.account = accounted(recovery);
    const bool known = nsp_recovery_damaged(recovery);
    out.said = known || out.account.lost_at_crash != 0 || out.account.left != 0;
    // No damage is a secret of the account, and none of it goes with the session.
    out.quiet = !known && (!is_balanced(&out.account) || out.account.invalid != 0);
    nsp_recovery_close(recovery);
    return out;
}

// ---- the damages ----

typedef struct damage {
    size_t file, at, length;
    enum { ZEROES, ONES, FLIPPED } kind;
} damage;

static unsigned tried, cases, missing, faults;
enum { EVERY = TEST_UNDER_TSAN ? 8 : 1 }; // recovery has one thread, so the sanitizer only makes it slow

static void overwrite(const damage *d)
{
    uint8_t bytes[8192];
    assert_true(d->length <= sizeof bytes);
    memset(bytes, d->kind == ZEROES ? 0 : 0xff, d->length);
    if (d->kind == FLIPPED)
        for (size_t i = 0; i < d->length; i++)
            bytes[i] = damaged.files[d->file].bytes[d->at + i] ^ 0xa5;
    assert_int_equal(pwrite(damaged.files[d->file].fd, bytes, d->length, (off_t)d->at), d->length);
}

static void report(const damage *d, const char *what, const outcome *first)
{
    static const char *const kinds[] = {"zeroes", "ones", "flipped"};
    faults++;
    printf(
        "%s in %s at %zu to %zu: %s; %zu of %zu spans (%zu distinct); attempted %d, settled %d, exported %d, "
        "lost %d, invalid %d\n",
        kinds[d->kind], damaged.files[d->file].name, d->at, d->at + d->length, what, recovered_count(),
        damaged.unsent, recovered_distinct(), (int)first->account.attempted, (int)settled_of(&first->account),
        (int)first->account.exported, (int)first->account.lost_at_crash, (int)first->account.invalid);
}

static void check(const damage *d)
{
    if (d->at + d->length > damaged.files[d->file].size || ++tried % EVERY != 0)
        return;
    recovered_reset();
    overwrite(d);
    const outcome first = recover();
    const size_t exported = recovered_count();
    recover();
    cases++;
    missing += exported < damaged.unsent;
    if (recovered_count() > damaged.unsent)
        report(d, "more than were begun", &first);
    else if (recovered_distinct() != recovered_count())
        report(d, "some twice", &first);
    else if (exported < damaged.unsent && !first.said)
        report(d, "some are missing, and it does not say so", &first);
    else if (first.quiet)
        report(d, "it does not say what its account shows", &first);
    damaged_session_restore();
}

// Each step of a part in turn.
static void each(size_t file, size_t from, size_t to, size_t step)
{
    for (size_t at = from; at < to; at += step) {
        check(&(damage){file, at, step, ZEROES});
        check(&(damage){file, at, step, ONES});
        if (step < 4096)
            check(&(damage){file, at, 1, FLIPPED});
    }
}

static void damage_everything(damaged_plan planned)
{
    damaged_session_make(planned);
    cases = missing = faults = 0;
    recovered_reset();
    assert_false(recover().said);
    assert_int_equal(recovered_count(), damaged.unsent);
    damaged_session_restore();
    const nsp__control *control = (const nsp__control *)(const void *)damaged.files[DAMAGED_CONTROL].bytes;
    const size_t slot = (size_t)control->places[1].offset;
    // The head with the table of sections, and what the engine wrote about itself.
    each(DAMAGED_CONTROL, 0, offsetof(nsp__control, policies), 64);
    each(DAMAGED_CONTROL, offsetof(nsp__control, policies), offsetof(nsp__control, counters), 4096);
    each(DAMAGED_CONTROL, offsetof(nsp__control, counters), offsetof(nsp__control, clock), 32);
    each(DAMAGED_CONTROL, offsetof(nsp__control, clock), offsetof(nsp__control, clock) + 256, 32);
    each(DAMAGED_CONTROL, offsetof(nsp__control, clock), offsetof(nsp__control, places), 4096);
    each(DAMAGED_CONTROL, offsetof(nsp__control, places), offsetof(nsp__control, places) + 64, 8);
    each(DAMAGED_CONTROL, offsetof(nsp__control, names), offsetof(nsp__control, names) + 4096, 4096);
    each(DAMAGED_CONTROL, offsetof(nsp__control, name_text), offsetof(nsp__control, name_text) + 4096, 4096);
    each(DAMAGED_CONTROL, offsetof(nsp__control, resource), offsetof(nsp__control, resource) + 4096, 4096);
    // The slots and their frames, and the rings.
    for (size_t i = 0; i < 2; i++) {
        each(DAMAGED_THREADS, i * slot, i * slot + offsetof(nsp__slot, published), 16);
        each(DAMAGED_THREADS, i * slot + offsetof(nsp__slot, published),
             i * slot + offsetof(nsp__slot, published) + 8, 8);
        each(DAMAGED_THREADS, i * slot + offsetof(nsp__slot, consumed),
             i * slot + offsetof(nsp__slot, consumed) + 24, 8);
        each(DAMAGED_THREADS, i * slot + offsetof(nsp__slot, counters),
             i * slot + offsetof(nsp__slot, counters) + 32, 8);
        each(DAMAGED_THREADS, i * slot, i * slot + sizeof(nsp__slot), 128);
    }
    each(DAMAGED_THREADS, sizeof(nsp__slot), sizeof(nsp__slot) + 4096, 512);
    each(DAMAGED_THREADS, 0, 2 * slot, 8192);
    each(DAMAGED_DETACHED, 0, 64, 8);
    each(DAMAGED_DETACHED, 0, 4096, 512);
    // Headers, coverage, and the encoded spans.
    each(DAMAGED_BATCH_FILE, 0, DAMAGED_BATCHES * sizeof(nsp__batch_header), 4);
    each(DAMAGED_BATCH_FILE, 0, 4096, 256);
    each(DAMAGED_BATCH_FILE, 4096, 4096 + 1024, 64);
    each(DAMAGED_BATCH_FILE, 0, damaged.files[DAMAGED_BATCH_FILE].size, 8192);
    printf("%u damages, after %u of which spans were missing\n", cases, missing);
    damaged_session_forget();
    assert_true(cases > 300 / EVERY && missing > 30 / EVERY);
    assert_int_equal(faults, 0);
}

static void with_full_batches(void **state)
{
    (void)state;
    damage_everything((damaged_plan){DAMAGED_IN_A_BATCH * (1 + DAMAGED_BATCHES) + 10, true});
}

static void with_a_batch_that_is_being_filled(void **state)
{
    (void)state;
    damage_everything((damaged_plan){DAMAGED_IN_A_BATCH * (1 + DAMAGED_BATCHES) - 3, true});
}

static void with_rings_only(void **state)
{
    (void)state;
    damage_everything((damaged_plan){DAMAGED_IN_A_BATCH + 30, false});
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, make_directory, remove_directory)
    const struct CMUnitTest tests[] = {
        TEST(with_full_batches),
        TEST(with_a_batch_that_is_being_filled),
        TEST(with_rings_only),
    };
    return cmocka_run_group_tests_name("recover_damage", tests, NULL, NULL);
}
