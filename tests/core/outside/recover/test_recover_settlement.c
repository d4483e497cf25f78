// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// Recoveries that are killed while they enter in the session what was answered: the next one completes that, from the
// note in the session's file `settlement`. Nothing is found, counted or sent twice, of whatever kind it is. Whatever
// else lies in that place, the recovery goes on without it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shm/control.h"
#include "support/child.h"
#include "support/recover_engine.h"
#include "support/recovered.h"

#define ORDER(PHASE, I64, F64, STR, BOOL)                                                                    \
    PHASE(check, "check")                                                                                    \
    PHASE(route, "route")                                                                                    \
    PHASE(send, "send")
NSP_PATH_DECLARE(order_path, "order", ORDER)

// ---- engines ----

static order_path *begin_order(int phases, bool detached)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = detached;
    order_path *path = order_path_begin_with(&options);
    if (phases > 0)
        NSP_PATH_MARK(path, check);
    if (phases > 1)
        NSP_PATH_MARK(path, route);
    if (phases > 2)
        NSP_PATH_MARK(path, send);
    return path;
}

// Five spans that have ended, and 5 x (1 to 4) that are open: on the stack, and detached.
static void engine_of_paths(void *unused)
{
    (void)unused;
    start_engine(NSP_COLLECTOR_INVOKER);
    order_path_end(begin_order(3, false));
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    for (int phases = 0; phases < 4; phases++) {
        begin_order(phases, false);
        begin_order(phases, true);
    }
    raise(SIGKILL);
}
enum { PATHS = 5 + 2 * (1 + 2 + 3 + 4) };

// Traces of two spans: ten are kept, ten stay as history, and one is open with two finished spans, an open one, and a
// path with two phases. Beside it, a detached root is open.
static void engine_that_speculates(void *unused)
{
    (void)unused;
    const nsp_ticks start = nsp_now(), later = start + (UINT64_C(1) << 40);
    start_engine(NSP_COLLECTOR_INVOKER);
    CHILD_CHECK(nsp_sampler_set_rate(0) == NSP_OK &&
                nsp_outlier_set_rules("*: slower=1s, limit=1000/s, history=1ms") == NSP_OK);
    for (int i = 0; i < 20; i++) {
        nsp_span *root = nsp_span_begin_at(NSP_NAME("root"), start);
        nsp_span_end_at(nsp_span_begin_at(NSP_NAME("child"), start), start + 1);
        nsp_span_end_at(root, i < 10 ? later : start + 1);
    }
    nsp_span_options apart = NSP_SPAN_OPTIONS_INIT;
    apart.new_root = true;
    CHILD_CHECK(nsp_span_recording(nsp_span_begin_detached(NSP_NAME("apart"), &apart)));
    nsp_span_begin_at(NSP_NAME("root"), start);
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_end(nsp_span_begin(NSP_NAME("child")));
    nsp_span_begin(NSP_NAME("child"));
    begin_order(2, false);
    raise(SIGKILL);
}
enum { DECIDED = 20, SPECULATED = 20 + 1 + 4 + 3 };

// ---- recoveries ----

static uint64_t *sent; // shared with the child

static void count_sent(const nsp_batch *batch)
{
    __atomic_fetch_add(sent, batch->spans, __ATOMIC_RELAXED);
}

static nsp_recovery_options in_fives(nsp_config *config, bool speculative)
{
    nsp_recovery_options options = in_tens(config);
    config->batch_spans = 5;
    options.speculative = speculative;
    return options;
}

static nsp_recovery_account recover(const char *session, bool speculative)
{
    nsp_config config;
    const nsp_recovery_options options = in_fives(&config, speculative);
    recovered_reset();
    nsp_recovery *recovery = recovery_of(session);
    assert_int_equal(nsp_recovery_export(recovery, &options), NSP_OK);
    const nsp_recovery_account account = balanced(recovery);
    assert_false(nsp_recovery_damaged(recovery));
    assert_int_equal(recovered_count(), account.exported);
    assert_int_equal(recovered_distinct(), account.exported);
    nsp_recovery_close(recovery);
    return account;
}

static const char *path_of(const char *session, const char *file)
{
    static char path[SESSION_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", session, file);
    return path;
}

static bool there_is(const char *session, const char *file)
{
    struct stat status;
    return lstat(path_of(session, file), &status) == 0;
}

#ifdef NSP_TESTPOINTS
typedef struct killing {
    const char *session, *point;
    int visit;
    bool speculative;
} killing;

static void recovery_dies(void *argument)
{
    const killing *planned = argument;
    nsp_config config;
    const nsp_recovery_options options = in_fives(&config, planned->speculative);
    nsp_recovery *recovery;
    CHILD_CHECK(nsp_recovery_open(&recovery, planned->session, NULL, 0) == NSP_OK);
    recovered.sending = count_sent;
    die_at(planned->point, planned->visit);
    CHILD_CHECK(nsp_recovery_export(recovery, &options) == NSP_OK);
    nsp_recovery_close(recovery);
}

// False: it came to its end before.
static bool killed(const killing *planned)
{
    recovered_reset();
    *sent = 0;
    const int status = child_run(recovery_dies, (void *)(uintptr_t)planned, 60);
    if (status == 0)
        return false;
    assert_true(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    return true;
}

static const char *const points[] = {"recover: settlement noted", "recover: positions written",
                                     "recover: before counters"};
enum { POINTS = sizeof points / sizeof points[0] };

// ---- completed ----

// Whichever request is being entered. What has been sent of a path before its last span is not settled, and comes again.
static void completed(void (*engine)(void *), bool speculative, uint64_t spans, uint64_t again_max)
{
    for (size_t i = 0; i < POINTS; i++) {
        int visit = 1;
        for (;; visit++) {
            char session[SESSION_PATH_MAX];
            engine_dies(directory, engine, NULL, session);
            const killing planned = {session, points[i], visit, speculative};
            if (!killed(&planned))
                break;
            assert_true(there_is(session, "settlement") && there_is(session, "settling"));
            const nsp_recovery_account account = recover(session, speculative);
            if (account.attempted != spans || account.engine_exported + account.exported != spans ||
                account.lost_at_crash + account.engine_unconfirmed != 0 || *sent < account.engine_exported ||
                *sent - account.engine_exported > again_max)
                fail_msg("%s, visit %d: attempted %llu, of %llu; exported %llu and %llu, unconfirmed %llu, "
                         "lost %llu; "
                         "sent %llu",
                         points[i], visit, (unsigned long long)account.attempted, (unsigned long long)spans,
                         (unsigned long long)account.engine_exported, (unsigned long long)account.exported,
                         (unsigned long long)account.engine_unconfirmed,
                         (unsigned long long)account.lost_at_crash, (unsigned long long)*sent);
            assert_false(there_is(session, "settlement") || there_is(session, "settling"));
            const nsp_recovery_account after = recover(session, speculative);
            assert_int_equal(after.attempted, spans);
            assert_int_equal(after.engine_exported, spans);
            assert_int_equal(after.finished + after.unfinished, 0);
        }
        assert_in_range(visit, spans / 5, spans);
    }
}
#endif

static void paths(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    completed(engine_of_paths, false, PATHS, 3);
#else
    skip();
#endif
}

static void what_was_not_decided(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    completed(engine_that_speculates, true, DECIDED + SPECULATED, 2);
#else
    skip();
#endif
}

#ifdef NSP_TESTPOINTS
static void copy(const char *session, const char *from, const char *to)
{
    char path[SESSION_PATH_MAX + 32], bytes[16384];
    snprintf(path, sizeof path, "%s", path_of(session, to));
    FILE *in = fopen(path_of(session, from), "r"), *out = fopen(path, "w");
    assert_true(in != NULL && out != NULL);
    const size_t count = fread(bytes, 1, sizeof bytes, in);
    assert_in_range(count, 1, sizeof bytes - 1);
    assert_int_equal(fwrite(bytes, 1, count, out), count);
    assert_int_equal(fclose(in) + fclose(out), 0);
}
#endif

// One that dies when all is written, and before the note is gone.
static void completed_twice(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_paths, NULL, session);
    assert_true(killed(&(killing){session, points[0], 3, false}));
    copy(session, "settlement", "note");
    nsp_recovery_close(recovery_of(session));
    assert_false(there_is(session, "settlement") || there_is(session, "settling"));
    copy(session, "note", "settlement");
    copy(session, "note", "settling"); // whatever is in it
    nsp_recovery_close(recovery_of(session));
    assert_false(there_is(session, "settlement") || there_is(session, "settling"));
    const nsp_recovery_account account = recover(session, false);
    assert_int_equal(account.attempted, PATHS);
    assert_int_equal(account.engine_exported + account.exported, PATHS);
#else
    skip();
#endif
}

// ---- not completed ----

#ifdef NSP_TESTPOINTS
typedef struct change {
    const char *what;
    int64_t cut;      // to this size, or by so much; 0: not
    size_t at, bytes; // overwritten with ones
} change;

// The form of the note: 3 words, twice the session's counters, and of each write 2 words before its bytes.
enum { COUNTERS_AT = 24, WRITES_AT = COUNTERS_AT + 2 * (int)sizeof(nsp__counters) };

static void change_note(const char *session, const change *its)
{
    uint8_t ones[2 * sizeof(nsp__counters)];
    memset(ones, 0xff, sizeof ones);
    struct stat status;
    const int fd = open(path_of(session, "settlement"), O_RDWR);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    if (its->cut != 0)
        assert_int_equal(ftruncate(fd, its->cut > 0 ? its->cut : status.st_size + its->cut), 0);
    assert_int_equal(pwrite(fd, ones, its->bytes, (off_t)its->at), its->bytes);
    close(fd);
}

// What was taken out is unconfirmed then, as the mark `settling` says.
static void expect_unconfirmed(const char *session, const char *what, uint64_t settled)
{
    const nsp_recovery_account account = recover(session, false);
    if (account.attempted != 100 || account.engine_exported != settled || account.engine_unconfirmed != 5 ||
        account.exported != 95 - settled)
        fail_msg("%s: attempted %llu, exported %llu and %llu, unconfirmed %llu", what,
                 (unsigned long long)account.attempted, (unsigned long long)account.engine_exported,
                 (unsigned long long)account.exported, (unsigned long long)account.engine_unconfirmed);
    assert_true(there_is(session, "settling"));
}
#endif

static void a_note_that_is_not_one(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    static const change changes[] = {
        {"empty", .cut = INT64_MIN, 0, 0},
        {"a byte", .cut = 1, 0, 0},
        {"without its writes", .cut = WRITES_AT, 0, 0},
        {"without its last byte", .cut = -1, 0, 0},
        {"without its last word", .cut = -8, 0, 0},
        {"too long", .cut = 1 << 20, 0, 0},
        {"longer than the session", .cut = INT64_C(1) << 40, 0, 0},
        {"of another form", .at = 0, .bytes = 1},
        {"of another length", .at = 8, .bytes = 8},
        {"of other counters", .at = COUNTERS_AT, .bytes = 2 * sizeof(nsp__counters)},
        {"of another file", .at = WRITES_AT + 8, .bytes = 4},
        {"of a write too long", .at = WRITES_AT + 12, .bytes = 4},
        {"of a write a little too long", .at = WRITES_AT + 13, .bytes = 1},
        {"of a place that is not there", .at = WRITES_AT, .bytes = 8},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        char session[SESSION_PATH_MAX];
        change its = changes[i];
        struct stat status;
        engine_dies(directory, engine_of_hundred, NULL, session);
        assert_true(killed(&(killing){session, "recover: positions written", 3, false}));
        assert_int_equal(stat(path_of(session, "settlement"), &status), 0);
        if (its.cut == INT64_MIN)
            its.cut = -status.st_size;
        change_note(session, &its);
        expect_unconfirmed(session, its.what, 10);
    }
#else
    skip();
#endif
}

static void what_is_no_file(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    for (int what = 0; what < 4; what++) {
        char session[SESSION_PATH_MAX], elsewhere[SESSION_PATH_MAX + 32];
        engine_dies(directory, engine_of_hundred, NULL, session);
        assert_true(killed(&(killing){session, "recover: positions written", 3, false}));
        snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", directory);
        assert_int_equal(rename(path_of(session, "settlement"), elsewhere), 0);
        const char *place = path_of(session, "settlement");
        switch (what) {
        case 0: assert_int_equal(mkfifo(place, 0600), 0); break;
        case 1: assert_int_equal(symlink(elsewhere, place), 0); break;
        case 2: assert_int_equal(symlink("/dev/zero", place), 0); break;
        default: assert_int_equal(mkdir(place, 0700), 0);
        }
        expect_unconfirmed(session, "no file", 10);
        assert_int_equal(unlink(elsewhere), 0);
    }
#else
    skip();
#endif
}

// A recovery of a release that knows no such notes has gone on after it.
static void a_note_that_is_too_old(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    assert_true(killed(&(killing){session, "recover: settlement noted", 3, false}));
    copy(session, "settlement", "note");
    assert_true(killed(&(killing){session, "recover: before positions", 3, false})); // two more are settled
    copy(session, "note", "settlement");
    const nsp_recovery_account account = recover(session, false);
    assert_int_equal(account.attempted, 100);
    assert_int_equal(account.engine_exported, 25);
    assert_int_equal(account.exported, 75);
#else
    skip();
#endif
}

// What that recovery leaves does not change when there is room again, and a later one is completed.
static void without_room_for_a_note(void **state)
{
    (void)state;
#ifdef NSP_TESTPOINTS
    char session[SESSION_PATH_MAX];
    engine_dies(directory, engine_of_hundred, NULL, session);
    assert_int_equal(mkdir(path_of(session, "settlement.new"), 0700), 0);
    assert_true(killed(&(killing){session, "recover: positions written", 3, false}));
    assert_false(there_is(session, "settlement"));
    assert_int_equal(rmdir(path_of(session, "settlement.new")), 0);
    assert_true(killed(&(killing){session, "recover: settlement noted", 1, false}));
    expect_unconfirmed(session, "no room", 15);
#else
    skip();
#endif
}

static int set_up(void **state)
{
    sent = mmap(NULL, sizeof *sent, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return sent != MAP_FAILED ? recovered_set_up(state) : -1;
}

static int tear_down(void **state)
{
    munmap(sent, sizeof *sent);
    return recovered_tear_down(state);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(paths),
        TEST(what_was_not_decided),
        TEST(completed_twice),
        TEST(a_note_that_is_not_one),
        TEST(what_is_no_file),
        TEST(a_note_that_is_too_old),
        TEST(without_room_for_a_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
