// SPDX-License-Identifier: Apache-2.0
//
// What fork handlers of other libraries may do before and after the library's own, and children in which the
// library's handlers never run.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "trace/thread_state.h"

#define MINUTE 60000000000u

// A library that was loaded before ours: its handlers run before ours in the child, and after ours before the
// fork.
static struct {
    void (*prepare)(void), (*parent)(void), (*child)(void);
} early, late;

static void call(void (*handler)(void))
{
    if (handler != NULL)
        handler();
}

static void early_prepare(void)
{
    call(early.prepare);
}

static void early_parent(void)
{
    call(early.parent);
}

static void early_child(void)
{
    call(early.child);
}

__attribute__((constructor(101))) static void register_early(void)
{
    pthread_atfork(early_prepare, early_parent, early_child);
}

static void late_prepare(void)
{
    call(late.prepare);
}

static int forget_handlers(void **state)
{
    memset(&early, 0, sizeof early);
    memset(&late, 0, sizeof late);
    return capture_teardown(state);
}

static void record(const char *name)
{
    nsp_span *span = nsp_span_begin(nsp_intern(name, strlen(name)));
    nsp_span_set_i64(span, NSP_KEY("number"), 1);
    nsp_span_end(span);
}

// ---- where the parent's memory is missing ----

static struct {
    nsp_span *root, *inner, *detached, *unsampled;
} spans;

static unsigned first; // which call comes first: each of them must work as the first one
enum { FIRST_CALLS = 10 };

static void call_first(void)
{
    nsp_context context;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    switch (first) {
    case 0: nsp_span_end(nsp_span_begin(NSP_NAME("copy"))); break;
    case 1: nsp_span_end(nsp_span_begin_detached(NSP_NAME("copy"), NULL)); break;
    case 2: nsp_span_end(nsp_span_begin_with(NSP_NAME("copy"), &options)); break;
    case 3: nsp_span_end(spans.inner); break;
    case 4: nsp_span_next(spans.inner, NSP_NAME("copy")); break;
    case 5: nsp_span_end(spans.unsampled); break;
    case 6: nsp_span_leave(spans.detached); break;
    case 7: nsp_span_context(spans.root, &context); break;
    case 8: nsp_thread_reset(); break;
    default: CHILD_CHECK(nsp_thread_attach(NULL) != NSP_OK); break;
    }
}

// Every call, except setters on spans of the parent.
static void call_all(void)
{
    nsp_context context;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    call_first();
    CHILD_CHECK(nsp_span_current() == NULL);
    nsp_span *span = nsp_span_begin(NSP_NAME("copy"));
    CHILD_CHECK(!nsp_span_recording(span));
    nsp_span_set_str(span, NSP_KEY("text"), "a text that is longer than sixteen bytes");
    nsp_span_add_event(span, NSP_NAME("event"));
    nsp_span_end(span);
    CHILD_CHECK(!nsp_span_recording(nsp_span_begin_with(NSP_NAME("copy"), &options)));
    CHILD_CHECK(!nsp_span_recording(nsp_span_begin_detached(NSP_NAME("copy"), NULL)));
    nsp_span_context(NULL, &context);
    CHILD_CHECK(!nsp_context_valid(&context));
    nsp_span_context(spans.root, &context);
    CHILD_CHECK(!nsp_context_valid(&context));
    nsp_span_enter(spans.detached);
    nsp_span_leave(spans.detached);
    nsp_span_end(nsp_span_next(spans.inner, NSP_NAME("copy")));
    nsp_span_end(spans.inner);
    nsp_span_end(spans.root);
    nsp_span_end(spans.detached);
    nsp_span_end(spans.unsampled);
    nsp_thread_reset();
    CHILD_CHECK(nsp_ticks_to_unix_ns(nsp_now()) > UINT64_C(1000000000000000000)); // of this century
    nsp_intern("a name of the copy", 18);
    record("a span of the copy");
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_flush(0) != NSP_OK);
    CHILD_CHECK(nsp_stats_get(&stats) != NSP_OK);
    CHILD_CHECK(nsp_sampler_set_rate(0.5) != NSP_OK);
    CHILD_CHECK(nsp_snapshot(0) == NSP_ERR_NOT_INITIALISED);
}

// Makes a child without running any fork handler. Those of malloc do not run either, so a lock of malloc that
// another thread holds stays locked in the child. exit frees memory, and a thread's first call of malloc
// takes the lock of the arenas, which our threads hold for a moment when they start. So this thread makes its
// first call before.
static int run_copy(void)
{
    fflush(NULL);
    void *volatile block = malloc(1); // volatile, because the compiler would remove an unused block
    free(block);
    pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        call_all();
        nsp_shutdown(0);
        exit(0); // with the exit handlers
    }
    return child_wait(child, 30);
}

static int run_child(void)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return child_wait(child, 30);
}

// A child that crashes must die, instead of continuing with the tests, which cmocka's handler would do.
static void let_crash(void)
{
    signal(SIGSEGV, SIG_DFL);
}

static void open_some(void)
{
    let_crash();
    spans.root = nsp_span_begin(NSP_NAME("root"));
    spans.detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    spans.inner = nsp_span_begin(NSP_NAME("inner"));
    spans.unsampled = NULL;
}

// Nothing has changed in the parent.
static void end_all(void)
{
    assert_ptr_equal(nsp_span_current(), spans.inner);
    nsp_span_set_i64(spans.inner, NSP_KEY("after"), 1);
    nsp_span_end(spans.inner);
    nsp_span_end(spans.root);
    nsp_span_end(spans.detached);
    record("after");
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.attempted, 4);
    assert_int_equal(capture_count(), 4);
    assert_int_equal(capture_named("inner")->attribute_count, 1);
    capture_forget();
}

static void copies_without_handlers(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN || TEST_UNDER_ASAN)
        SKIP_BECAUSE("sanitizers do not support a child made without fork()");
    SKIP_WITHOUT_FORK_ADVICE();
    for (first = 0; first < FIRST_CALLS; first++) {
        capture_begin(1);
        open_some();
        assert_int_equal(run_copy(), 0);
        end_all();
        capture_end();
    }
}

static void copies_under_an_unsampled_root(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN || TEST_UNDER_ASAN)
        SKIP_BECAUSE("sanitizers do not support a child made without fork()");
    SKIP_WITHOUT_FORK_ADVICE();
    for (first = 0; first < FIRST_CALLS; first++) {
        capture_begin(0);
        memset(&spans, 0, sizeof spans);
        let_crash();
        spans.unsampled = nsp_span_begin(NSP_NAME("unsampled"));
        assert_int_equal(run_copy(), 0);
        assert_ptr_equal(nsp_span_current(), spans.unsampled);
        nsp_span_end(spans.unsampled);
        capture_end();
    }
}

// The thread that forks has not recorded anything.
static void *fork_unattached(void *argument)
{
    *(int *)argument = run_copy();
    return NULL;
}

static void copies_of_a_thread_that_is_not_attached(void **state)
{
    (void)state;
    if (TEST_UNDER_TSAN || TEST_UNDER_ASAN)
        SKIP_BECAUSE("sanitizers do not support a child made without fork()");
    SKIP_WITHOUT_FORK_ADVICE();
    for (first = 0; first < FIRST_CALLS; first++) {
        capture_begin(1);
        open_some();
        pthread_t thread;
        int result = -1;
        assert_int_equal(pthread_create(&thread, NULL, fork_unattached, &result), 0);
        pthread_join(thread, NULL);
        assert_int_equal(result, 0);
        end_all();
        capture_end();
    }
}

// ---- handlers that run before ours in the child ----

static void record_before_ours(void)
{
    call_all();
}

// Once our handlers have run after that, the child traces like any other.
static void traces_in_the_end(void)
{
    record("in the child");
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    CHILD_CHECK(capture_count() == 1);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
}

static void a_child_handler_that_records(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    for (first = 0; first < FIRST_CALLS; first++) {
        capture_begin(1);
        open_some();
        early.child = record_before_ours;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            traces_in_the_end();
            _exit(0);
        }
        early.child = NULL;
        assert_int_equal(child_wait(child, 60), 0);
        end_all();
        capture_end();
    }
}

enum { PAGE = 4096, PATTERN = 0x5a };
static uint8_t *theirs;

// Maps a page where a span of the parent was.
static void map_where_ours_was(void)
{
    uint8_t *wanted = (uint8_t *)((uintptr_t)spans.inner & ~(uintptr_t)(PAGE - 1));
    theirs =
        mmap(wanted, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHILD_CHECK(theirs == wanted);
    memset(theirs, PATTERN, PAGE);
}

static void check_theirs(void)
{
    for (int i = 0; i < PAGE; i++)
        CHILD_CHECK(theirs[i] == PATTERN);
}

static void a_child_handler_that_maps_memory(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    nsp_config config;
    capture_config(&config);
    config.record_bytes = 8192; // so that each frame has pages of its own
    capture_start(&config);
    open_some();
    early.child = map_where_ours_was;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        check_theirs();
        // The parent's spans all around that page are inert, and so is the one whose page it was.
        nsp_span_set_i64(spans.inner, NSP_KEY("from the child"), 1);
        nsp_span_set_i64(spans.root, NSP_KEY("from the child"), 1);
        nsp_span_set_i64(spans.detached, NSP_KEY("from the child"), 1);
        nsp_span_end(spans.inner);
        nsp_span_end(spans.root);
        nsp_span_end(spans.detached);
        check_theirs();
        traces_in_the_end();
        check_theirs();
        _exit(0);
    }
    early.child = NULL;
    assert_int_equal(child_wait(child, 60), 0);
    end_all();
    capture_end();
}

// ---- handlers that run while ours hold the mutexes ----

static nsp_status flushed, counted;

static void call_in_between(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    flushed = nsp_flush(MINUTE);
    counted = nsp_stats_get(&stats);
    nsp_do_work(1);
    nsp_sampler_set_rate(1);
    nsp_sampler_rate();
    nsp_init(NULL);
    nsp_shutdown(MINUTE);
    record("in between");
}

static void call_in_child(void)
{
    call_in_between();
}

static void handlers_that_call_us(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    capture_begin(1);
    early.prepare = early.parent = call_in_between;
    early.child = call_in_child;
    assert_int_equal(run_child(), 0);
    assert_int_equal(flushed, NSP_ERR_UNSUPPORTED);
    assert_int_equal(counted, NSP_ERR_UNSUPPORTED);
    memset(&early, 0, sizeof early);
    capture_settle();
    assert_int_equal(capture_count(), 2); // recorded before and after, in the parent
    capture_end();
}

// The first span of a child is one that another library records in the middle of a fork.
static void a_forked_child_that_forks(void *argument)
{
    (void)argument;
    early.prepare = early.parent = call_in_between;
    CHILD_CHECK(run_child() == 0);
    memset(&early, 0, sizeof early);
    traces_in_the_end();
}

static void handlers_in_a_child(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    capture_begin(1);
    assert_int_equal(child_run(a_forked_child_that_forks, NULL, 60), 0);
    capture_end();
}

static void flush_before(void)
{
    record("before the fork");
    flushed = nsp_flush(MINUTE);
}

// A library that was loaded after ours flushes before a fork, which is the usual case.
static void a_later_handler_can_flush(void **state)
{
    (void)state;
    pthread_atfork(late_prepare, NULL, NULL);
    capture_begin(1);
    late.prepare = flush_before;
    assert_int_equal(run_child(), 0);
    late.prepare = NULL;
    assert_int_equal(flushed, NSP_OK);
    assert_int_equal(capture_count(), 1);
    capture_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(copies_without_handlers, forget_handlers),
        cmocka_unit_test_teardown(copies_under_an_unsampled_root, forget_handlers),
        cmocka_unit_test_teardown(copies_of_a_thread_that_is_not_attached, forget_handlers),
        cmocka_unit_test_teardown(a_child_handler_that_records, forget_handlers),
        cmocka_unit_test_teardown(a_child_handler_that_maps_memory, forget_handlers),
        cmocka_unit_test_teardown(handlers_that_call_us, forget_handlers),
        cmocka_unit_test_teardown(handlers_in_a_child, forget_handlers),
        cmocka_unit_test_teardown(a_later_handler_can_flush, forget_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
