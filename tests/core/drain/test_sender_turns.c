// SPDX-License-Identifier: Apache-2.0
//
// A sender of several sessions, one of which cannot be delivered: the others go on, and the log says which one it is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "common/time.h"
#include "drain/sender.h"

#define MS 1000000ull

enum { SESSIONS = 4, POOL = 8, PATIENCE_MS = 60000, LINES = 256, SEEN = 4096, MIN_MS = 4, MAX_MS = 64 };

typedef struct session {
    nsp__batch_pool pool;
    nsp__batch_header headers[POOL];
    nsp__counters counters;
    char label[32];
    uint32_t next;   // what the next batch is called: its number of spans, from 1
    uint32_t answer; // atomic: nsp_send_result
    uint64_t retry_after_ns;
    uint32_t sends;      // atomic
    uint32_t seen[SEEN]; // the batches that were answered with EXPORTED, by their numbers
    uint32_t seen_count;
} session;

typedef struct fixture {
    session sessions[SESSIONS];
    int cancel;
    bool bound;
    bool deaf;        // atomic: a send of session 0 hangs until this is false
    bool left_behind; // by the sender
    bool hangs;       // atomic: it does so
    uint64_t last_ns; // atomic: of the last send
    uint32_t sends;   // atomic, of all
    uint32_t ends;    // atomic
    nsp__sender_options options;
    nsp__sender *sender;
} fixture;

static char lines[LINES][256];
static uint32_t line_count;

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    const uint32_t n = __atomic_load_n(&line_count, __ATOMIC_RELAXED);
    if (n == LINES)
        return;
    snprintf(lines[n], sizeof lines[n], "%s", line);
    __atomic_store_n(&line_count, n + 1, __ATOMIC_RELEASE);
}

static uint32_t lines_with(const char *text)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < __atomic_load_n(&line_count, __ATOMIC_ACQUIRE); i++)
        found += strstr(lines[i], text) != NULL;
    return found;
}

// With its label between these.
static uint32_t lines_about(const session *one, const char *before, const char *behind)
{
    char text[256];
    snprintf(text, sizeof text, "%s%s%s", before, one->label, behind);
    return lines_with(text);
}

static void pause_shortly(void)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)MS / 2}, NULL);
}

static nsp_send_result receive(void *state, const nsp_batch *exported, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)deadline_ns;
    fixture *f = state;
    const nsp__batch *batch = (const nsp__batch *)(const void *)exported;
    session *from = (session *)(void *)((char *)batch->pool - offsetof(session, pool));
    __atomic_store_n(&f->last_ns, nsp__monotonic_ns(), __ATOMIC_RELAXED);
    __atomic_fetch_add(&from->sends, 1, __ATOMIC_RELEASE);
    __atomic_fetch_add(&f->sends, 1, __ATOMIC_RELEASE);
    while (from == &f->sessions[0] && __atomic_load_n(&f->deaf, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&f->hangs, true, __ATOMIC_RELEASE);
        pause_shortly();
    }
    nsp_send_result answer = (nsp_send_result)__atomic_load_n(&from->answer, __ATOMIC_ACQUIRE);
    if (answer == NSP_SEND_EXPORTED && from->seen_count < SEEN)
        from->seen[from->seen_count++] = exported->spans;
    if (answer != NSP_SEND_EXPORTED) {
        snprintf(report->detail, sizeof report->detail, "the connection was reset");
        report->retry_after_ns = from->retry_after_ns;
    }
    __atomic_fetch_add(&f->ends, 1, __ATOMIC_RELEASE);
    return answer;
}

static const nsp_exporter receiver = {.size = sizeof(nsp_exporter), .name = "receiver", .send = receive};

static void fill(session *one, const char *label)
{
    assert_true(nsp__batch_pool_init(&one->pool, POOL, &one->counters));
    snprintf(one->label, sizeof one->label, "%s", label);
    one->pool.label = one->label;
    one->answer = NSP_SEND_EXPORTED;
    for (uint32_t i = 0; i < POOL; i++)
        one->pool.batches[i].header = &one->headers[i];
}

static fixture *make(bool leave_rest)
{
    static int fixtures; // in the labels, because the log limits the lines about each
    char label[32];
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    fixtures++;
    for (int s = 0; s < SESSIONS; s++) {
        snprintf(label, sizeof label, "session-%d (pid %d)", s, fixtures);
        fill(&f->sessions[s], label);
    }
    f->options = (nsp__sender_options){.exporter = &receiver,
                                       .exporter_state = f,
                                       .closed_max = SESSIONS * POOL,
                                       .cancel = &f->cancel,
                                       .bound = &f->bound,
                                       .export_timeout_ns = PATIENCE_MS * MS,
                                       .backoff_min_ns = MIN_MS * MS,
                                       .backoff_max_ns = MAX_MS * MS,
                                       .leave_rest = leave_rest,
                                       .left_behind = &f->left_behind};
    __atomic_store_n(&line_count, 0, __ATOMIC_RELAXED);
    nsp__log_configure(NSP_LOG_INFO, keep_line, NULL);
    assert_int_equal(nsp__sender_start(&f->sender, &f->options), NSP_OK);
    return f;
}

static void discard(fixture *f)
{
    nsp__log_configure(NSP_LOG_NONE, NULL, NULL);
    for (int s = 0; s < SESSIONS; s++)
        nsp__batch_pool_destroy(&f->sessions[s].pool);
    free(f);
}

static void answer_with(session *one, nsp_send_result answer)
{
    __atomic_store_n(&one->answer, (uint32_t)answer, __ATOMIC_RELEASE);
}

static uint32_t sends(const session *of)
{
    return __atomic_load_n(&of->sends, __ATOMIC_ACQUIRE);
}

static void wait_for_sends(const session *of, uint32_t count)
{
    while (sends(of) < count)
        pause_shortly();
}

static nsp__batch *put(fixture *f, session *from)
{
    nsp__batch *batch;
    while ((batch = nsp__batch_pool_take(&from->pool)) == NULL)
        pause_shortly();
    batch->header->spans = batch->exported.spans = ++from->next;
    batch->header->state = NSP__BATCH_CLOSED;
    nsp__sender_put_closed(f->sender, batch);
    return batch;
}

static bool waits(fixture *f, const session *of, uint64_t ms)
{
    return nsp__sender_wait(f->sender, &of->pool, of->pool.sequence, nsp__monotonic_ns() + ms * MS);
}

static nsp__sender_end stop_in(fixture *f, uint64_t ms)
{
    return nsp__sender_stop(f->sender, nsp__monotonic_ns() + ms * MS);
}

static void assert_in_order(const session *of)
{
    assert_int_equal(of->seen_count, of->next);
    for (uint32_t i = 0; i < of->seen_count; i++)
        assert_int_equal(of->seen[i], i + 1);
}

// Three batches that cannot be delivered, and then others until the log says so.
static void put_aside(fixture *f)
{
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    answer_with(bad, NSP_SEND_UNKNOWN);
    for (int i = 0; i < 3; i++)
        put(f, bad);
    while (lines_with("cannot be delivered") == 0) {
        put(f, good);
        assert_true(waits(f, good, PATIENCE_MS)); // although the bad one waits too
    }
}

static void the_others_go_on(void **state)
{
    (void)state;
    fixture *f = make(false);
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    put_aside(f);
    for (int i = 0; i < 500; i++)
        put(f, good);
    assert_true(waits(f, good, PATIENCE_MS));
    wait_for_sends(bad, 5);
    put(f, good);
    assert_true(waits(f, good, PATIENCE_MS));
    assert_false(nsp__sender_settled(&bad->pool, 1));
    assert_false(waits(f, bad, 5));
    assert_int_equal(__atomic_load_n(&bad->headers[0].in_doubt, __ATOMIC_RELAXED), 1);
    // It is named, once, and no line says that the receiver is away because of it.
    assert_int_equal(
        lines_about(bad, "the batches of ",
                    " cannot be delivered: the connection was reset; those of other engines go on"),
        1);
    assert_int_equal(lines_with("cannot be delivered"), 1);
    assert_in_range(lines_with("waiting; retrying"), 0, 1);
    put(f, bad); // behind the others in its line
    answer_with(bad, NSP_SEND_EXPORTED);
    assert_true(waits(f, bad, PATIENCE_MS));
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_int_equal(lines_about(bad, "the batches of ", " are delivered again"), 1);
    assert_int_equal(lines_with("delivered again"), 1);
    assert_in_order(bad);
    assert_in_order(good);
    assert_int_equal(bad->counters.exported, 1 + 2 + 3 + 4);
    assert_int_equal(nsp__batch_pool_away(&bad->pool), 0);
    assert_int_equal(nsp__batch_pool_away(&good->pool), 0);
    discard(f);
}

// All fail: together they make no more attempts than one would, and nobody is named.
static void nobody_gets_through(void **state)
{
    enum { ATTEMPTS = 40 };
    (void)state;
    fixture *f = make(false);
    for (int s = 0; s < SESSIONS; s++)
        answer_with(&f->sessions[s], NSP_SEND_RETRY);
    const uint64_t began = nsp__monotonic_ns();
    for (int i = 0; i < 2; i++)
        for (int s = 0; s < SESSIONS; s++)
            put(f, &f->sessions[s]);
    while (__atomic_load_n(&f->sends, __ATOMIC_ACQUIRE) < ATTEMPTS)
        pause_shortly();
    // Half of the backoff at least: the jitter. Once each had a turn it has grown to its maximum after some more.
    enum { GROWN = ATTEMPTS - SESSIONS - 10 };
    assert_true(nsp__monotonic_ns() - began >= (SESSIONS + 9) * MIN_MS * MS / 2 + GROWN * MAX_MS * MS / 2);
    for (int s = 0; s < SESSIONS; s++) { // the attempts go on
        const uint32_t least = __atomic_load_n(&f->sends, __ATOMIC_ACQUIRE), its = sends(&f->sessions[s]),
                       most = __atomic_load_n(&f->sends, __ATOMIC_ACQUIRE);
        assert_in_range(its, least / SESSIONS - 4, most / SESSIONS + 4);
    }
    assert_int_equal(lines_with("waiting; retrying"), 1);
    assert_int_equal(lines_with("cannot be delivered"), 0);
    for (int s = 0; s < SESSIONS; s++)
        answer_with(&f->sessions[s], NSP_SEND_EXPORTED);
    for (int s = 0; s < SESSIONS; s++) {
        assert_true(waits(f, &f->sessions[s], PATIENCE_MS));
        assert_in_order(&f->sessions[s]);
    }
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_int_equal(lines_with("sending works again"), 1);
    assert_int_equal(lines_with("delivered again"), 0);
    discard(f);
}

// The receiver's word counts for all.
static void a_pause_that_was_asked_for_is_for_all(void **state)
{
    enum { ASKED_MS = 300 };
    (void)state;
    fixture *f = make(false);
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    bad->retry_after_ns = ASKED_MS * MS;
    answer_with(bad, NSP_SEND_RETRY);
    put(f, bad);
    while (__atomic_load_n(&f->ends, __ATOMIC_ACQUIRE) == 0)
        pause_shortly();
    const uint64_t asked = __atomic_load_n(&f->last_ns, __ATOMIC_RELAXED);
    answer_with(bad, NSP_SEND_EXPORTED);
    put(f, good);
    assert_true(waits(f, good, PATIENCE_MS));
    assert_true(__atomic_load_n(&f->last_ns, __ATOMIC_RELAXED) - asked >= ASKED_MS * MS);
    assert_true(waits(f, bad, PATIENCE_MS));
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_int_equal(lines_with("cannot be delivered"), 0);
    discard(f);
}

// An exporter that is in the middle of a batch is not given another one.
static void a_batch_in_the_middle_is_not_interrupted(void **state)
{
    (void)state;
    fixture *f = make(false);
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    f->bound = true;
    answer_with(bad, NSP_SEND_RETRY);
    put(f, bad);
    wait_for_sends(bad, 1);
    put(f, good);
    wait_for_sends(bad, 5);
    assert_int_equal(sends(good), 0);
    answer_with(bad, NSP_SEND_EXPORTED);
    assert_true(waits(f, good, PATIENCE_MS));
    assert_true(nsp__sender_settled(&bad->pool, 1));
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    discard(f);
}

// What can be sent is sent; the rest is left as it is.
static bool stop_leaves_a_line(uint64_t stop_ms)
{
    fixture *f = make(true);
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    put_aside(f);
    for (int i = 0; i < POOL; i++)
        put(f, good);
    nsp__sender_end end = stop_in(f, stop_ms);
    assert_false(end.all_sent);
    const bool in_time = end.given_up == 1 + 2 + 3;
    if (in_time) {
        assert_in_order(good);
        assert_int_equal(nsp__batch_pool_away(&good->pool), 0);
    }
    assert_int_equal(nsp__batch_pool_away(&bad->pool), 3);
    assert_int_equal(bad->headers[0].state, NSP__BATCH_SENDING);
    assert_int_equal(__atomic_load_n(&bad->headers[0].in_doubt, __ATOMIC_RELAXED), 1);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(bad->headers[i].state, NSP__BATCH_CLOSED);
        assert_int_equal(bad->headers[i].in_doubt, 0);
    }
    assert_int_equal(bad->counters.unconfirmed + bad->counters.discarded, 0);
    discard(f);
    return in_time;
}

static void a_stop_leaves_a_line(void **state)
{
    (void)state;
    uint64_t stop_ms = 200; // all of which it takes; it may be too short on a busy machine
    while (!stop_leaves_a_line(stop_ms))
        assert_true((stop_ms *= 3) < PATIENCE_MS);
}

static void a_stop_counts_a_line(void **state)
{
    (void)state;
    fixture *f = make(false);
    session *bad = &f->sessions[0];
    put_aside(f);
    assert_int_equal(stop_in(f, 0).given_up, 1 + 2 + 3);
    assert_int_equal(bad->counters.unconfirmed, 1); // it may have arrived
    assert_int_equal(bad->counters.discarded, 2 + 3);
    assert_int_equal(nsp__batch_pool_away(&bad->pool), 0);
    assert_true(nsp__sender_settled(&bad->pool, 3));
    discard(f);
}

// The thread hangs with the first batch of one line, while there are others, and some that it has not taken yet.
static void a_thread_that_hangs_leaves_all_lines(void **state)
{
    for (int leave = 0; leave < 2; leave++) {
        (void)state;
        fixture *f = make(leave == 1);
        session *bad = &f->sessions[0], *good = &f->sessions[1], *third = &f->sessions[2];
        answer_with(bad, NSP_SEND_RETRY);
        answer_with(third, NSP_SEND_RETRY);
        put(f, bad);
        put(f, bad);
        put(f, third);
        wait_for_sends(third, 1);
        put(f, third);
        __atomic_store_n(&f->deaf, true, __ATOMIC_RELEASE);
        while (!__atomic_load_n(&f->hangs, __ATOMIC_ACQUIRE))
            pause_shortly();
        put(f, good);
        put(f, third);
        assert_int_equal(stop_in(f, 0).given_up, 1 + 2 + 1 + 2 + 3 + 1);
        assert_true(f->left_behind);
        const uint64_t counted = bad->counters.unconfirmed + bad->counters.discarded +
                                 third->counters.discarded + good->counters.discarded;
        assert_int_equal(counted, leave ? 0 : 1 + 2 + 1 + 2 + 3 + 1);
        assert_int_equal(nsp__batch_pool_away(&bad->pool), leave ? 2 : 1); // the thread may still read it
        assert_int_equal(nsp__batch_pool_away(&third->pool), leave ? 3 : 0);
        assert_int_equal(nsp__batch_pool_away(&good->pool), leave ? 1 : 0);
        assert_int_equal(nsp__sender_settled(&bad->pool, 2), !leave);
        assert_int_equal(nsp__sender_settled(&third->pool, 3), !leave);
        const uint32_t ends = __atomic_load_n(&f->ends, __ATOMIC_ACQUIRE);
        __atomic_store_n(&f->deaf, false, __ATOMIC_RELEASE);
        while (__atomic_load_n(&f->ends, __ATOMIC_ACQUIRE) == ends)
            pause_shortly();
        nsp__log_configure(NSP_LOG_NONE, NULL, NULL);
        // The fixture stays: the thread may still look at it.
    }
}

// Its session is lost: what lies in its line comes home uncounted, and is not sent.
static void a_line_that_is_abandoned_comes_home(void **state)
{
    (void)state;
    fixture *f = make(false);
    session *bad = &f->sessions[0], *good = &f->sessions[1];
    put_aside(f);
    for (int i = 0; i < POOL; i++)
        __atomic_store_n(&bad->pool.batches[i].abandoned, true, __ATOMIC_RELEASE);
    const uint32_t before = sends(bad);
    while (!nsp__sender_settled(&bad->pool, 3))
        pause_shortly();
    assert_int_equal(nsp__batch_pool_away(&bad->pool), 0);
    assert_in_range(sends(bad), before, before + 1); // one may have been on its way
    assert_int_equal(bad->seen_count, 0);
    assert_int_equal(bad->counters.exported + bad->counters.unconfirmed + bad->counters.discarded, 0);
    put(f, good);
    assert_true(waits(f, good, PATIENCE_MS));
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_in_order(good);
    discard(f);
}

// A pool is its owner's again as soon as its last batch is settled.
static void a_pool_may_go_with_its_last_batch(void **state)
{
    enum { POOLS = 200 };
    (void)state;
    fixture *f = make(false);
    session *good = &f->sessions[1];
    for (int i = 0; i < POOLS; i++) {
        session *passing = calloc(1, sizeof *passing);
        assert_non_null(passing);
        fill(passing, "passing (pid 5)");
        answer_with(passing, i % 4 == 0   ? NSP_SEND_RETRY
                             : i % 4 == 1 ? NSP_SEND_REJECTED
                                          : NSP_SEND_EXPORTED);
        put(f, passing);
        put(f, passing);
        put(f, good);
        if (i % 4 == 0) {
            wait_for_sends(passing, 1);
            answer_with(passing, NSP_SEND_EXPORTED);
        }
        while (!nsp__sender_settled(&passing->pool, 2))
            pause_shortly();
        nsp__batch_pool_destroy(&passing->pool);
        memset(passing, 0x55, sizeof *passing);
        free(passing);
    }
    assert_true(waits(f, good, PATIENCE_MS));
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_in_range(lines_with("passing (pid 5): the connection was reset; 1 span rejected for good"), 1,
                    LINES);
    assert_in_order(good);
    discard(f);
}

// What was unconfirmed is said of each.
static void lines_say_whose_spans_they_are_about(void **state)
{
    (void)state;
    fixture *f = make(false);
    for (int s = 0; s < 2; s++) {
        answer_with(&f->sessions[s], NSP_SEND_UNCONFIRMED);
        for (int i = 0; i < 2; i++)
            put(f, &f->sessions[s]);
    }
    answer_with(&f->sessions[2], NSP_SEND_REJECTED);
    put(f, &f->sessions[2]);
    f->sessions[3].pool.label = NULL; // a process's own needs no name
    answer_with(&f->sessions[3], NSP_SEND_REJECTED);
    put(f, &f->sessions[3]);
    assert_true(stop_in(f, PATIENCE_MS).all_sent);
    assert_int_equal(lines_with("unconfirmed"), 2);
    assert_int_equal(lines_about(&f->sessions[0], "", ": the connection was reset; 1 span unconfirmed"), 1);
    assert_int_equal(lines_about(&f->sessions[1], "", ": the connection was reset; 1 span unconfirmed"), 1);
    assert_int_equal(lines_with("rejected for good"), 2);
    assert_int_equal(lines_about(&f->sessions[2], "", ": the connection was reset; 1 span rejected for good"),
                     1);
    assert_int_equal(lines_about(&f->sessions[3], "", ""), 0);
    discard(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_others_go_on),
        cmocka_unit_test(nobody_gets_through),
        cmocka_unit_test(a_pause_that_was_asked_for_is_for_all),
        cmocka_unit_test(a_batch_in_the_middle_is_not_interrupted),
        cmocka_unit_test(a_stop_leaves_a_line),
        cmocka_unit_test(a_stop_counts_a_line),
        cmocka_unit_test(a_thread_that_hangs_leaves_all_lines),
        cmocka_unit_test(a_line_that_is_abandoned_comes_home),
        cmocka_unit_test(a_pool_may_go_with_its_last_batch),
        cmocka_unit_test(lines_say_whose_spans_they_are_about),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
