// SPDX-License-Identifier: Apache-2.0
// ctest: TIMEOUT 300
//
// nsp_snapshot: what threads did not keep is exported where somebody asks for it, each trace once and whole, and is
// counted.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "support/capture.h"
#include "trace/trace_state.h"

static nsp_stats stats(void)
{
    nsp_stats out = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&out), NSP_OK);
    return out;
}

static nsp_stats balanced_stats(void)
{
    const nsp_stats s = stats();
    assert_int_equal(s.attempted, s.open + s.dropped + s.discarded + s.in_rings + s.in_batches +
                                      s.unconfirmed + s.rejected + s.exported + s.spooled);
    assert_int_equal(s.speculated, s.speculating + s.taken_back + s.kept);
    return s;
}

static int start(void **state, nsp_config *config)
{
    (void)state;
    nsp_config mine;
    if (config == NULL) {
        capture_config(&mine);
        config = &mine;
        config->collector = NSP_COLLECTOR_INVOKER;
    }
    capture_forget();
    return nsp_init(config) == NSP_OK && nsp_sampler_set_rate(0) == NSP_OK &&
                   nsp_outlier_set_rules("*: slower=10s, asked, history=1s") == NSP_OK
               ? 0
               : 1;
}

static int set_up(void **state)
{
    return start(state, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    nsp_shutdown(10000000000);
    return 0;
}

static void trace_at(nsp_ticks begin, nsp_ticks end)
{
    nsp_span *root = nsp_span_begin_at(NSP_NAME("root"), begin);
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("first"), begin), begin + 1);
    nsp_span_end_at(nsp_span_begin_at(NSP_NAME("second"), begin + 1), begin + 2);
    nsp_span_end_at(root, end);
}

static void traces(int count)
{
    for (int i = 0; i < count; i++) {
        const nsp_ticks now = nsp_now();
        trace_at(now, now + 10);
    }
}

static uint64_t with_kept(const char *why)
{
    uint64_t found = 0;
    for (size_t i = 0; i < capture_count(); i++) {
        const char *text = captured_text(capture_at(i), "nanospan.kept");
        found += text != NULL && strcmp(text, why) == 0;
    }
    return found;
}

// ---- in the process ----

static void each_trace_comes_once(void **state)
{
    (void)state;
    traces(100);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    nsp_span *open = nsp_span_begin(NSP_NAME("root"));
    capture_settle();
    nsp_stats s = balanced_stats();
    assert_int_equal(capture_count(), 300);
    assert_int_equal(capture_distinct(), 300);
    assert_int_equal(with_kept("snapshot"), 100);
    assert_int_equal(s.snapshot, 300);
    assert_int_equal(s.exported, 300);
    assert_int_equal(s.snapshot_overtaken, 0);
    for (size_t i = 0; i < 300; i += 3) { // whole traces, oldest first, the root last
        assert_string_equal(capture_at(i)->name, "first");
        assert_string_equal(capture_at(i + 2)->name, "root");
        assert_true(captured_child_of(capture_at(i), capture_at(i + 2)));
        assert_true(captured_child_of(capture_at(i + 1), capture_at(i + 2)));
        assert_true(i == 0 || capture_at(i)->start_ns >= capture_at(i - 1)->end_ns);
        assert_int_equal(capture_at(i)->threshold, NSP_CONTEXT_UNKNOWN);
        assert_null(captured_text(capture_at(i), "nanospan.kept"));
    }
    nsp_span_end(open);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    assert_int_equal(nsp_snapshot(1), NSP_OK); // the two are one
    capture_settle();
    assert_int_equal(capture_count(), 301);
    assert_int_equal(with_kept("snapshot"), 101);
    capture_settle();
    assert_int_equal(capture_count(), 301);
    balanced_stats();
}

// A path is as many spans as it has phases, and one more.
#define TRADE(PHASE, I64, F64, STR, BOOL) PHASE(check, "check") I64(size, "size") PHASE(route, "route")
NSP_PATH_DECLARE(trade_path, "trade", TRADE)

static void paths_come_with_their_phases(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        trade_path *path = trade_path_begin();
        NSP_PATH_MARK(path, check);
        path->size = i;
        NSP_PATH_MARK(path, route);
        trade_path_end(path);
        traces(1);
    }
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    capture_settle();
    const nsp_stats s = balanced_stats();
    assert_int_equal(capture_count(), 300);
    assert_int_equal(capture_distinct(), 300);
    assert_int_equal(with_kept("snapshot"), 100);
    assert_int_equal(s.snapshot, 300);
    assert_int_equal(s.exported, 300);
    for (size_t i = 0; i < 300; i += 6) {
        assert_string_equal(capture_at(i)->name, "check");
        assert_string_equal(capture_at(i + 1)->name, "route");
        assert_string_equal(capture_at(i + 2)->name, "trade");
        assert_true(captured_child_of(capture_at(i), capture_at(i + 2)));
        assert_string_equal(captured_text(capture_at(i + 2), "nanospan.kept"), "snapshot");
        assert_null(captured_text(capture_at(i), "nanospan.kept"));
    }
}

// Ends lie a second apart, by readings that are supplied.
static void as_far_back_as_asked(void **state)
{
    (void)state;
    const uint64_t now_ns = nsp_ticks_to_unix_ns(nsp_now());
    const nsp_ticks long_ago = nsp_ticks_from_unix_ns(now_ns - UINT64_C(60000000000));
    for (int ago = 20; ago >= 1; ago--)
        trace_at(nsp_ticks_from_unix_ns(now_ns - (uint64_t)ago * 1000000000 - 10),
                 nsp_ticks_from_unix_ns(now_ns - (uint64_t)ago * 1000000000));
    assert_int_equal(nsp_snapshot(5500000000), NSP_OK);
    capture_settle();
    assert_int_equal(with_kept("snapshot"), 5);
    assert_int_equal(nsp_snapshot(15500000000), NSP_OK); // those between, which no snapshot has exported
    capture_settle();
    assert_int_equal(with_kept("snapshot"), 15);
    trace_at(nsp_ticks_from_unix_ns(now_ns), nsp_ticks_from_unix_ns(now_ns + 1));
    for (int i = 0; i < 5; i++) { // with a gap before each, since the first one seems to be old
        trace_at(long_ago, long_ago + 10);
        traces(1);
        assert_int_equal(nsp_snapshot(30000000000), NSP_OK);
        capture_settle();
    }
    assert_int_equal(with_kept("snapshot"), 20 + 1 + 5);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    capture_settle();
    assert_int_equal(with_kept("snapshot"), 20 + 1 + 10);
    assert_int_equal(capture_distinct(), capture_count());
    balanced_stats();
}

static void what_is_kept_is_not_exported_again(void **state)
{
    (void)state;
    traces(10);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    assert_true(nsp_trace_keep());
    nsp_span_end(root);
    traces(5);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    capture_settle();
    assert_int_equal(with_kept("history"), 10);
    assert_int_equal(with_kept("asked"), 1);
    assert_int_equal(with_kept("snapshot"), 5);
    assert_int_equal(capture_distinct(), capture_count());
    balanced_stats();
}

static void step_by_step(void **state)
{
    (void)state;
    traces(50);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    size_t done, all = 0;
    while ((done = nsp_do_work(7)) != 0) {
        assert_in_range(done, 1, 7);
        all += done;
    }
    assert_int_equal(all, 150);
    capture_settle();
    assert_int_equal(with_kept("snapshot"), 50);
    assert_int_equal(capture_distinct(), 150);
    balanced_stats();
}

// It takes more batches than there are, so it goes on in later passes.
static void a_flush_waits_for_all_of_it(void **state)
{
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.batches = 2;
    config.batch_spans = 8;
    assert_int_equal(start(state, &config), 0);
    traces(100);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    capture_settle();
    assert_int_equal(capture_count(), 300);
    assert_int_equal(capture_distinct(), 300);
    balanced_stats();
    traces(50);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    assert_int_equal(nsp_shutdown(10000000000), NSP_OK);
    assert_int_equal(capture_count(), 450);
}

static bool is_done(void)
{
    const nsp__snapshots *shared = &nsp__trace_state.control->snapshots;
    return shared->done == shared->wanted;
}

static void *fill_a_large_buffer(void *both)
{
    traces(30000);
    pthread_barrier_wait(both); // so that each has a slot of its own
    return NULL;
}

// The rings are looked at in between.
static void large_buffers_take_a_pass_each(void **state)
{
    nsp_config config;
    capture_config(&config);
    config.collector = NSP_COLLECTOR_INVOKER;
    config.outlier_bytes = 16 << 20;
    assert_int_equal(start(state, &config), 0);
    pthread_t threads[2];
    pthread_barrier_t both;
    pthread_barrier_init(&both, NULL, 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fill_a_large_buffer, &both), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&both);
    usleep(1000);
    assert_int_equal(nsp_snapshot(1),
                     NSP_OK); // nothing is so young, so there is nothing but reading to be done
    int passes = 0;
    do {
        assert_int_equal(nsp_do_work(SIZE_MAX), 0);
        passes++;
    } while (!is_done());
    assert_true(passes > 1);
    assert_int_equal(capture_count(), 0);
}

static void without_a_session(void **state)
{
    (void)state;
    assert_int_equal(nsp_snapshot(0), NSP_ERR_NOT_INITIALISED);
}

// ---- on many threads, at full speed ----

static bool stop;

static void *work(void *unused)
{
    (void)unused;
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
        traces(16);
    return NULL;
}

// Each trace that arrives is whole, and the account is exact.
static void while_threads_go_on(void **state)
{
    (void)state;
    nsp_config config;
    capture_config(&config);
    config.outlier_bytes = 4096;
    assert_int_equal(start(state, &config), 0);
    pthread_t threads[3];
    __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, NULL), 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(nsp_snapshot(i % 2 == 0 ? 0 : 1000000), NSP_OK);
        usleep(2000);
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(nsp_snapshot(0), NSP_OK);
    capture_settle();
    const nsp_stats s = balanced_stats();
    assert_int_equal(s.snapshot, capture_count());
    assert_int_equal(capture_distinct(), capture_count());
    assert_int_equal(with_kept("snapshot") * 3, capture_count());
    assert_true(capture_count() > 300);
    for (size_t i = 0; i + 2 < capture_count(); i += 3) {
        assert_true(captured_child_of(capture_at(i), capture_at(i + 2)));
        assert_true(captured_child_of(capture_at(i + 1), capture_at(i + 2)));
    }
    print_message("%zu spans of %llu, %llu overtaken\n", capture_count(), (unsigned long long)s.speculated,
                  (unsigned long long)s.snapshot_overtaken);
    assert_int_equal(nsp_shutdown(10000000000), NSP_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_session),
        cmocka_unit_test_setup_teardown(paths_come_with_their_phases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_trace_comes_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(as_far_back_as_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_not_exported_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(step_by_step, set_up, tear_down),
        cmocka_unit_test_teardown(a_flush_waits_for_all_of_it, tear_down),
        cmocka_unit_test_teardown(large_buffers_take_a_pass_each, tear_down),
        cmocka_unit_test_teardown(while_threads_go_on, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
