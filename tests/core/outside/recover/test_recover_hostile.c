// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Recovery of sessions in which anything may be written: whatever it finds, it refuses the session or accounts for
// it, settles it, and harms nobody.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nanospan/exporters.h>

#include "common/seed.h"
#include "support/child.h"
#include "support/recovered.h"
#include "support/sanitizer.h"
#include "support/session_fixture.h"

// Recovery has one thread, so the thread sanitizer only makes it slow.
enum { ROUNDS = TEST_UNDER_TSAN ? 200 : 2000, SPANS = 40 };

static nsp_send_result never(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                             nsp_send_report *report)
{
    (void)state;
    (void)batch;
    (void)deadline_ns;
    (void)report;
    pause();
    return NSP_SEND_RETRY;
}

// Leaves spans in batches, in a ring, and open, on the stack and detached.
static void engine(void *argument)
{
    (void)argument;
    nsp_exporter exporter = *nsp_exporter_builtin("otlp");
    exporter.send = never;
    nsp_config config;
    small_sessions(&config);
    config.custom_exporter = &exporter;
    config.endpoint = "http://127.0.0.1:9";
    config.batch_spans = 10;
    config.schedule_delay_ns = 3600000000000;
    config.log_level = NSP_LOG_NONE;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    for (int64_t i = 0; i < SPANS; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("phase"));
        nsp_span_set_i64(span, NSP_KEY("number"), i);
        nsp_span_set_str(span, NSP_KEY("text"), "a text");
        nsp_span_add_event(span, NSP_NAME("event"));
        nsp_span_end(span);
    }
    nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    nsp_span_set_str(root, NSP_KEY("text"), "so far");
    (void)life;
    nsp_stats stats = NSP_STATS_INIT;
    do {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    } while (stats.in_batches < 20);
    raise(SIGKILL);
}

enum { FILES = 4 };
static const char *const files[FILES] = {"control", "threads", "detached", "batches"};
static const uint64_t values[] = {0, 1, 7, 8, 0xff, 0xffff, INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    return nsp__random_splitmix(&seed) % below;
}

static int open_file(const char *session, size_t file)
{
    char path[SESSION_PATH_MAX + 20];
    snprintf(path, sizeof path, "%s/%s", session, files[file]);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

// Most of what is read lies at the beginning of the files.
static void change(const char *session)
{
    int fd = open_file(session, draw(FILES));
    struct stat status;
    assert_int_equal(fstat(fd, &status), 0);
    uint64_t size = (uint64_t)status.st_size;
    uint64_t within = draw(2) != 0 ? 4096 : draw(2) != 0 ? 16384 : size;
    within = within < size ? within : size;
    off_t at = (off_t)(draw(within / 8) * 8 + (draw(4) == 0 ? 4 : 0));
    size_t length = draw(2) != 0 ? 8 : 4;
    uint64_t value =
        draw(3) == 0 ? nsp__random_splitmix(&seed) : values[draw(sizeof values / sizeof values[0])];
    if (at + (off_t)length > status.st_size)
        length = 4;
    assert_int_equal(pwrite(fd, &value, length, at), length);
    close(fd);
}

// ---- as the engine left it ----

static struct {
    char *bytes;
    size_t size;
} before[FILES];

static void remember(const char *session)
{
    for (size_t i = 0; i < FILES; i++) {
        int fd = open_file(session, i);
        struct stat status;
        assert_int_equal(fstat(fd, &status), 0);
        before[i].size = (size_t)status.st_size;
        before[i].bytes = malloc(before[i].size);
        assert_non_null(before[i].bytes);
        assert_int_equal(pread(fd, before[i].bytes, before[i].size, 0), before[i].size);
        close(fd);
    }
}

// Recovery never makes a file longer or shorter.
static void restore(const char *session)
{
    for (size_t i = 0; i < FILES; i++) {
        int fd = open_file(session, i);
        struct stat status;
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_size, before[i].size);
        assert_int_equal(pwrite(fd, before[i].bytes, before[i].size, 0), before[i].size);
        close(fd);
    }
}

static void forget(void)
{
    for (size_t i = 0; i < FILES; i++)
        free(before[i].bytes);
}

// ---- the property ----

// Exports everything and settles it. True if it was recovered.
static bool recover(const char *session, nsp_recovery_account *account)
{
    nsp_recovery *recovery;
    char problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    nsp_config config;
    nsp_config_init(&config);
    config.log_level = NSP_LOG_NONE;
    recovered_reset();
    if (nsp_recovery_open(&recovery, session, problem, sizeof problem) != NSP_OK) {
        assert_true(problem[0] != 0);
        return false;
    }
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.exporter = &recovered_exporter;
    options.config = &config;
    options.settle_later = draw(2) != 0;
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    assert_int_equal(nsp_recovery_settle(recovery), NSP_OK);
    *account = accounted(recovery);
    assert_int_equal(account->exported, recovered_count());
    assert_int_equal(account->left, account->left_foreign);
    nsp_recovery_close(recovery);
    return true;
}

static bool is_balanced(const nsp_recovery_account *a)
{
    return a->attempted == settled_of(a) + a->lost_at_crash && a->lost_at_crash <= a->lost_at_crash_max;
}

// What was settled is not found again, whatever else is in the session.
static void anything_may_be_written(void **state)
{
    (void)state;
    char session[SESSION_PATH_MAX];
    nsp_recovery_account account;
    unsigned refused = 0, unbalanced = 0, round = 0;
    engine_dies(directory, engine, NULL, session);
    remember(session);
    // How rare an account that does not balance is depends on what the engine has left, so there may be more
    // rounds.
    const unsigned most = TEST_UNDER_TSAN ? ROUNDS : 10 * ROUNDS;
    for (; round < ROUNDS || (unbalanced == 0 && round < most); round++) {
        seed = round;
        for (uint64_t changes = draw(5); changes != 0; changes--)
            change(session);
        bool opened = recover(session, &account);
        refused += !opened;
        unbalanced += opened && !is_balanced(&account);
        if (opened && recover(session, &account))
            if (account.exported != 0)
                fail_msg("round %u: %d spans are exported again", round, (int)account.exported);
        restore(session);
    }
    assert_true(refused > 0 && refused + unbalanced < round);
    print_message("%u rounds: %u refused, %u unbalanced\n", round, refused, unbalanced);
    assert_true(unbalanced > 0 || TEST_UNDER_TSAN); // only many rounds show it
    assert_true(recover(session, &account) && is_balanced(&account));
    assert_int_equal(recovered_distinct(), SPANS + 2);
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(anything_may_be_written, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
