// SPDX-License-Identifier: Apache-2.0
//
// Engines under load are killed at random instants and recovered: every span that they recorded was received
// or is recovered, whole and once, and the accounts balance. NSP_CRASH_RUNS says how many (5000 take half an
// hour), NSP_CRASH_SEED where the seeds begin; a failure names its seed.
//
// ctest: TIMEOUT 300
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "common/seed.h"
#include "support/crash_run.h"
#include "support/emulator.h"
#include "support/session_fixture.h"

static uint64_t number_of(const char *variable, uint64_t usual)
{
    const char *text = getenv(variable);
    return text != NULL && *text ? strtoull(text, NULL, 10) : usual;
}

static crash_plan plan_of(const void *first, uint32_t number)
{
    return (crash_plan){.seed = *(const uint64_t *)first + number};
}

static bool has_met_all(const crash_sums *sums, bool slow)
{
    return sums->finished > 0 && sums->unfinished > 0 && sums->halfway > 0 && sums->from_batches > 0 &&
           sums->in_doubt > 0 && sums->twice > 0 &&
           (slow || sums->dropped > 0); // slow: they end before rings are full
}

static void at_random_instants(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("no threads in the child of a process that had threads");
    bool slow = TEST_UNDER_ASAN || TEST_UNDER_TSAN;
    uint32_t count = (uint32_t)number_of("NSP_CRASH_RUNS", slow ? 40 : 200);
    uint64_t first = number_of("NSP_CRASH_SEED", 1);
    crash_sums sums = {0};
    bool right = crash_run_all(plan_of, &first, count, NULL, &sums);
    // What an engine is doing when it is killed is a matter of luck. More of them are killed until each thing
    // that this is about has been met.
    for (int more = 0; more < 9 && right && count >= 40 && !has_met_all(&sums, slow); more++) {
        first += count;
        right = crash_run_all(plan_of, &first, count, NULL, &sums);
    }
    printf("%llu engines, of which %llu were recovered and %llu had ended; %llu spans: %llu finished, %llu "
           "unfinished (%llu of them halfway), %llu in batches, %llu in doubt, %llu there twice, %llu lost, "
           "%llu dropped; %llu recoveries were killed, and %llu spans repeated\n",
           (unsigned long long)sums.engines, (unsigned long long)sums.recoveries,
           (unsigned long long)sums.ended, (unsigned long long)sums.spans, (unsigned long long)sums.finished,
           (unsigned long long)sums.unfinished, (unsigned long long)sums.halfway,
           (unsigned long long)sums.from_batches, (unsigned long long)sums.in_doubt,
           (unsigned long long)sums.twice, (unsigned long long)sums.lost, (unsigned long long)sums.dropped,
           (unsigned long long)sums.interrupted, (unsigned long long)sums.repeated);
    assert_true(right);
    if (count < 40)
        return;
    assert_true(sums.recoveries > sums.engines / 2);
    assert_true(has_met_all(&sums, slow));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(at_random_instants, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
