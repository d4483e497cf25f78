// SPDX-License-Identifier: Apache-2.0
//
// Engines under load are killed at every testpoint of the library and recovered, at the first visit and at later
// ones: every span that they recorded was received or is recovered, whole and once, and the accounts balance.
// The testpoints are those that the sources name, so none is forgotten, and one that is never reached is a
// failure.
//
// ctest: TIMEOUT 300 COST 30
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

#include "support/crash_run.h"
#include "support/emulator.h"
#include "support/session_fixture.h"

// Of each testpoint: at the first visit, and after about these shares of the visits that a whole run makes.
static const double shares[] = {0, 0.1, 0.4, 0.8};
enum { VISITS = sizeof shares / sizeof shares[0], SEED = 77 };

static crash_points points;

// ---- the testpoints of the sources ----

static void add_point(const char *name, size_t length)
{
    // Of other processes, and of engines that have to do with one: test_drainer_dies.c, test_external_sessions.c,
    // test_tune.c and test_sampler_lock.c. Of traces that are decided at their end:
    // test_recover_speculative.c. Of paths that are dropped: test_recover_paths.c. Of snapshots: test_snapshot.c.
    static const char *const others[] = {"drainer: ",     "shutdown: has said that it ended",
                                         "tune: ",        "policy: another process is changing it",
                                         "speculation: ", "outlier: ",
                                         "drop: ",        "snapshot: "};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strncmp(name, others[i], strlen(others[i])) == 0)
            return;
    if (length >= JOURNAL_POINT_NAME || points.count == JOURNAL_POINTS_MAX)
        fail_msg("too long, or one testpoint too many: %.*s", (int)length, name);
    for (uint32_t i = 0; i < points.count; i++)
        if (strlen(points.names[i]) == length && memcmp(points.names[i], name, length) == 0)
            return;
    memcpy(points.names[points.count++], name, length);
}

static int look_into(const char *path, const struct stat *status, int type, struct FTW *where)
{
    static const char mark[] = "TESTPOINT(\""; // also of the inline code
    (void)status;
    (void)where;
    size_t length = strlen(path);
    if (type != FTW_F || length < 2 ||
        (strcmp(path + length - 2, ".c") != 0 && strcmp(path + length - 2, ".h") != 0))
        return 0;
    FILE *file = fopen(path, "r");
    char line[512];
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        const char *name = strstr(line, mark);
        const char *end = name != NULL ? strchr(name + sizeof mark - 1, '"') : NULL;
        if (end != NULL)
            add_point(name + sizeof mark - 1, (size_t)(end - name) - (sizeof mark - 1));
    }
    if (file != NULL)
        fclose(file);
    return 0;
}

static void find_points(void)
{
    static const char *const folders[] = {NSP_SOURCE_DIR "/core", NSP_SOURCE_DIR "/exporters"};
    for (size_t i = 0; i < 2; i++)
        if (nftw(folders[i], look_into, 16, FTW_PHYS) != 0)
            fail_msg("%s cannot be read", folders[i]);
    assert_true(points.count > 10);
}

// ---- the runs ----

static crash_plan plan_of(const void *context, uint32_t number)
{
    const crash_points *all = context;
    uint32_t point = number % all->count, visits = all->visits[point];
    return (crash_plan){
        .seed = SEED + number,
        .point = all->names[point],
        .visit = 1 + (uint32_t)(shares[number / all->count % VISITS] * visits),
    };
}

static void at_every_testpoint(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    SKIP_ON_EMULATOR("no threads in the child of a process that had threads");
    find_points();
    // An engine that is not killed shows how often each testpoint is visited.
    static char wrong[4 * JOURNAL_TEXT_MAX];
    crash_sums sums = {0};
    for (uint64_t seed = SEED; seed < SEED + 2; seed++) { // they end in different ways
        const crash_plan spared = {.seed = seed, .spared = true};
        if (!crash_run(&spared, &points, &sums, wrong, sizeof wrong))
            fail_msg("an engine that is not killed: %s", wrong);
    }
    assert_int_equal(sums.ended, 2);
    const crash_plan killed = {.seed = SEED, .point = "recover: "}; // and its recovery, which is not
    if (!crash_run(&killed, &points, &sums, wrong, sizeof wrong))
        fail_msg("an engine that is killed: %s", wrong);
    for (uint32_t i = 0; i < points.count; i++) {
        if (points.visits[i] == 0)
            print_error("the testpoint \"%s\" was never reached\n", points.names[i]);
        points.visits[i] = (points.visits[i] + 1) / 2;
    }
    for (uint32_t i = 0; i < points.count; i++)
        assert_int_not_equal(points.visits[i], 0);
    sums = (crash_sums){0};
    uint32_t rounds = TEST_UNDER_ASAN || TEST_UNDER_TSAN ? 2 : VISITS;
    bool right = crash_run_all(plan_of, &points, rounds * points.count, &points, &sums);
    printf("%u testpoints; %llu engines, of which %llu were recovered and %llu had ended; %llu spans: %llu "
           "finished, %llu unfinished, %llu in batches, %llu in doubt, %llu there twice, %llu lost; %llu "
           "recoveries were killed, and %llu spans repeated\n",
           points.count, (unsigned long long)sums.engines, (unsigned long long)sums.recoveries,
           (unsigned long long)sums.ended, (unsigned long long)sums.spans, (unsigned long long)sums.finished,
           (unsigned long long)sums.unfinished, (unsigned long long)sums.from_batches,
           (unsigned long long)sums.in_doubt, (unsigned long long)sums.twice, (unsigned long long)sums.lost,
           (unsigned long long)sums.interrupted, (unsigned long long)sums.repeated);
    assert_true(right);
    // A later visit may not come, but the first one does.
    assert_true(sums.engines - sums.ended >= points.count);
#else
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_every_testpoint, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
