// SPDX-License-Identifier: Apache-2.0
//
// Forks: what the child inherits is inert, what it records reaches a receiver through its own session, and
// the parent is not affected.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <string.h>

#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/sanitizer.h"
#include "support/session_dir.h"
#include "trace/thread_state.h"

#define MINUTE 60000000000u

static void record(const char *name, int64_t number)
{
    nsp_span *span = nsp_span_begin(nsp_intern(name, strlen(name)));
    nsp_span_set_i64(span, NSP_KEY("number"), number);
    nsp_span_end(span);
}

// In a child: records a tree, flushes, and checks that the tree and nothing else arrives.
static void record_in_child(void)
{
    CHILD_CHECK(nsp_span_current() == NULL);
    nsp_span *root = nsp_span_begin(NSP_NAME("child's root"));
    CHILD_CHECK(nsp_span_recording(root));
    CHILD_CHECK(nsp_span_current() == root);
    record("child's inner", 1);
    nsp_span *detached = nsp_span_begin_detached(NSP_NAME("child's detached"), NULL);
    nsp_span_end(root);
    nsp_span_end(detached);
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    CHILD_CHECK(capture_count() == 3);
    CHILD_CHECK(capture_count_named("child's root") == 1);
    CHILD_CHECK(captured_child_of(capture_named("child's inner"), capture_named("child's root")));
    CHILD_CHECK(captured_child_of(capture_named("child's detached"), capture_named("child's root")));
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    CHILD_CHECK(stats.attempted == 3 && stats.exported == 3 && stats.open == 0 && stats.dropped == 0);
}

typedef struct inherited {
    nsp_span *root, *child, *detached, *unsampled;
} inherited;

// No call on the parent's spans does anything.
static void use_inherited(const inherited *spans)
{
    nsp_span *all[] = {spans->child, spans->root, spans->detached, spans->unsampled};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        nsp_context context;
        const char *texts[] = {"one", "two"};
        nsp_span_set_str(all[i], NSP_KEY("from the child"), "short");
        nsp_span_set_str(all[i], NSP_KEY("from the child"), "a text that takes the longer way to the record");
        nsp_span_set_strs(all[i], NSP_KEY("from the child"), texts, 2);
        nsp_span_add_event(all[i], NSP_NAME("from the child"));
        nsp_span_set_status(all[i], NSP_SPAN_STATUS_ERROR, "from the child");
        nsp_span_context(all[i], &context);
        nsp_span_enter(all[i]);
        nsp_span_leave(all[i]);
        // An unsampled root has no frame and so no parent: next would begin a new root in the child.
        nsp_span *next = i < 3 ? nsp_span_next(all[i], NSP_NAME("from the child")) : NULL;
        nsp_span_end(next);
        nsp_span_end(all[i]);
    }
}

// Does the environment that a child prepares for a program that it executes carry the context?
static bool sends_on(const nsp_span *span, const nsp_context *expected)
{
    char parent[NSP_TRACEPARENT_SIZE];
    const char *value = NULL;
    size_t length = 0;
    nsp_environment environment;
    nsp_context_format(expected, parent);
    CHILD_CHECK(nsp_environment_copy(&environment, NULL) == NSP_OK);
    nsp_carrier carrier = {&environment, nsp_environment_get, nsp_environment_set};
    CHILD_CHECK(nsp_inject_span(span, &carrier) == NSP_OK);
    bool same = nsp_environment_get(&environment, "traceparent", 0, &value, &length) &&
                length == strlen(parent) && memcmp(value, parent, length) == 0;
    nsp_environment_free(&environment);
    return same;
}

typedef struct known {
    nsp_span *root, *child, *detached, *unsampled;
    nsp_context root_context, child_context, detached_context, unsampled_context;
    nsp_incoming incoming;
} known;

static void grandchild_injects(void *argument)
{
    const known *spans = argument;
    CHILD_CHECK(sends_on(spans->root, &spans->root_context));
    CHILD_CHECK(sends_on(NULL, &spans->incoming.context)); // no span is current here
}

static void child_injects(void *argument)
{
    const known *spans = argument;
    CHILD_CHECK(sends_on(NULL, &spans->incoming.context));
    for (int i = 0; i < 2; i++) {
        if (spans->root != NULL) {
            CHILD_CHECK(sends_on(spans->root, &spans->root_context));
            CHILD_CHECK(sends_on(spans->child, &spans->child_context));
            CHILD_CHECK(sends_on(spans->detached, &spans->detached_context));
        } else {
            CHILD_CHECK(sends_on(spans->unsampled, &spans->unsampled_context));
        }
        nsp_context context;
        nsp_span_context(spans->root, &context);
        CHILD_CHECK(spans->root == NULL || (context.remote && context.local_root == 0));
        CHILD_CHECK(spans->root == NULL || child_run(grandchild_injects, argument, 60) == 0);
        nsp_span_end(nsp_span_begin(NSP_NAME("child's own"))); // and with a session of the child's own
    }
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK && stats.misused == 0);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
}

static void a_child_speaks_for_an_unsampled_root_alone(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    static known spans;
    capture_begin(0);
    assert_int_equal(nsp_context_parse(&spans.incoming.context,
                                       "00-5c1e8a90b7d34f26a1c09d7e63f2b845-3f8d20c6e91b7a54-01", "a=1"),
                     NSP_OK);
    nsp_incoming_enter(&spans.incoming);
    spans.unsampled = nsp_span_begin(NSP_NAME("unsampled"));
    nsp_span_context(spans.unsampled, &spans.unsampled_context);
    assert_int_equal(child_run(child_injects, &spans, 120), 0);
    nsp_span_end(spans.unsampled);
    nsp_incoming_enter(NULL);
    capture_end();
}

static void a_child_speaks_for_the_spans_it_inherited(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    static known spans;
    capture_begin(1);
    assert_int_equal(nsp_context_parse(&spans.incoming.context,
                                       "00-5c1e8a90b7d34f26a1c09d7e63f2b845-3f8d20c6e91b7a54-01", "a=1"),
                     NSP_OK);
    nsp_incoming_enter(&spans.incoming);
    spans.root = nsp_span_begin(NSP_NAME("root"));
    spans.child = nsp_span_begin(NSP_NAME("child"));
    spans.detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
    nsp_span_end(nsp_span_begin_detached(NSP_NAME("ended"), NULL));
    nsp_span_context(spans.root, &spans.root_context);
    nsp_span_context(spans.child, &spans.child_context);
    nsp_span_context(spans.detached, &spans.detached_context);
    assert_int_equal(child_run(child_injects, &spans, 120), 0);
    assert_ptr_equal(nsp_span_current(), spans.child);
    nsp_span_end(spans.child);
    nsp_span_end(spans.root);
    nsp_span_end(spans.detached);
    spans.root = NULL;
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    spans.unsampled = nsp_span_begin(NSP_NAME("unsampled"));
    nsp_span_context(spans.unsampled, &spans.unsampled_context);
    assert_int_equal(child_run(child_injects, &spans, 120), 0);
    nsp_span_end(spans.unsampled);
    nsp_incoming_enter(NULL);
    capture_settle();
    assert_int_equal(capture_balance().misused, 0);
    capture_end();
}

#define ORDER(PHASE, I64, F64, STR, BOOL) PHASE(check, "check") I64(size, "size") PHASE(submit, "submit")
NSP_PATH_DECLARE(order_path, "order", ORDER)

typedef struct known_path {
    order_path *path;
    nsp_context context;
} known_path;

static void child_with_path(void *argument)
{
    const known_path *its = argument;
    for (int i = 0; i < 2; i++) {
        CHILD_CHECK(sends_on(nsp_path_span(its->path), &its->context));
        NSP_PATH_MARK(its->path, submit);
        its->path->size = 2;
        order_path_end(its->path);
        order_path *own = order_path_begin(); // and with a session of the child's own
        NSP_PATH_MARK(own, check);
        order_path_end(own);
    }
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    CHILD_CHECK(capture_count_named("order") == 2 && capture_count_named("check") == 2);
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK && stats.misused == 0 && stats.attempted == 4);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
}

static void a_child_speaks_for_the_phase_of_a_path(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    static known_path one;
    capture_begin(1);
    one.path = order_path_begin();
    NSP_PATH_MARK(one.path, check);
    one.path->size = 1;
    nsp_span_context(nsp_path_span(one.path), &one.context);
    assert_int_equal(child_run(child_with_path, &one, 60), 0);
    order_path_end(one.path);
    capture_settle();
    assert_int_equal(capture_count_named("check"), 1);
    assert_int_equal(capture_count_named("submit"), 0);
    assert_int_equal(capture_balance().misused, 0);
    capture_end();
}

static void child_with_inherited(void *argument)
{
    CHILD_CHECK(nsp_span_current() == NULL);
    use_inherited(argument);
    record_in_child();
    use_inherited(argument); // with a session of the child's own
    CHILD_CHECK(capture_count_named("from the child") == 0);
    nsp_thread_reset();
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
    CHILD_CHECK(capture_count() == 3);
}

static void fork_with_spans_open(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    capture_begin(1);
    record("before", 1);
    inherited spans = {.root = nsp_span_begin(NSP_NAME("parent's root"))};
    spans.child = nsp_span_begin(NSP_NAME("parent's inner"));
    spans.detached = nsp_span_begin_detached(NSP_NAME("parent's detached"), NULL);
    assert_int_equal(child_run(child_with_inherited, &spans, 60), 0);
    // In the parent everything is unchanged.
    assert_ptr_equal(nsp_span_current(), spans.child);
    nsp_span_set_str(spans.child, NSP_KEY("after"), "fork");
    nsp_span_end(spans.child);
    nsp_span_end(spans.root);
    nsp_span_end(spans.detached);
    record("after", 2);
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.exported, 5);
    assert_int_equal(capture_count(), 5);
    assert_string_equal(captured_text(capture_named("parent's inner"), "after"), "fork");
    assert_int_equal(capture_named("parent's root")->attribute_count, 0);
    assert_int_equal(capture_named("parent's detached")->event_count, 0);
    capture_end();
}

static void child_under_unsampled(void *argument)
{
    use_inherited(argument);
    CHILD_CHECK(nsp_span_current() == NULL);
    // The child's session has the sampler of the configuration, without what the parent changed at run time.
    record_in_child();
}

static void fork_under_an_unsampled_root(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    capture_begin(1);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    inherited spans = {.unsampled = nsp_span_begin(NSP_NAME("unsampled"))};
    assert_false(nsp_span_recording(spans.unsampled));
    assert_int_equal(child_run(child_under_unsampled, &spans, 60), 0);
    nsp_span_end(spans.unsampled);
    assert_int_equal(nsp_sampler_set_rate(1), NSP_OK);
    record("after", 1);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    capture_end();
}

// ---- before init, after shutdown, without tracing ----

static void child_inits(void *argument)
{
    (void)argument;
    record("too early", 1);
    CHILD_CHECK(nsp_span_current() == NULL);
    nsp_config config;
    capture_config(&config);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record_in_child();
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
}

static void fork_before_init(void **state)
{
    (void)state;
    assert_int_equal(child_run(child_inits, NULL, 60), 0);
    capture_begin(1);
    record("parent", 1);
    capture_end();
    assert_int_equal(child_run(child_inits, NULL, 60), 0); // after shutdown
}

static void child_does_not_trace(void *argument)
{
    (void)argument;
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    CHILD_CHECK(nsp_do_work(1) == 0);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_ERR_NOT_INITIALISED);
}

static void child_exits(void *argument)
{
    (void)argument;
    exit(0); // with the exit handlers
}

// Exits with 1 if a descriptor refers to a file in the folder $1. Other descriptors, such as ctest's log, are
// not ours.
#define LOOK "for fd in /proc/self/fd/*; do case $(readlink \"$fd\") in \"$1\"/*) exit 1;; esac; done"

static void child_execs(void *directory)
{
    execl("/bin/sh", "sh", "-c", LOOK, "sh", (const char *)directory, (char *)NULL);
    _exit(98);
}

// The same without fork, whose handlers close the session's descriptors. Here close-on-exec alone must do it.
static int spawned_sees(char *directory)
{
    char shell[] = "sh", option[] = "-c", script[] = LOOK;
    char *arguments[] = {shell, option, script, shell, directory, NULL};
    pid_t child;
    assert_int_equal(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ), 0);
    int status = child_wait(child, 60);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void new_programs_get_no_descriptor(char *directory)
{
    assert_int_equal(child_run(child_execs, directory, 60), 0);
    assert_int_equal(spawned_sees(directory), 0);
    // The check finds a descriptor that is open there.
    char path[SESSION_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s/inherited", directory);
    int descriptor = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(descriptor >= 0);
    assert_int_equal(spawned_sees(directory), 1);
    close(descriptor);
    unlink(path);
}

static void children_that_do_not_trace(void **state)
{
    (void)state;
    char directory[SESSION_PATH_MAX];
    session_dir_make(directory);
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    capture_start(&config);
    nsp_span *open = nsp_span_begin(NSP_NAME("open"));
    assert_int_equal(session_dir_count(directory), 1);
    assert_int_equal(child_run(child_does_not_trace, NULL, 60), 0);
    new_programs_get_no_descriptor(directory);
    if (!TEST_UNDER_ASAN) // the leak check would stop the parent's world
        assert_int_equal(child_run(child_exits, NULL, 60), 0);
    // The children made and removed no session.
    assert_int_equal(session_dir_count(directory), 1);
    nsp_span_end(open);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    capture_end();
    assert_int_equal(session_dir_count(directory), 0);
    session_dir_remove(directory);
}

// ---- sessions and grandchildren ----

static void grandchild(void *argument)
{
    use_inherited(argument);
    record_in_child();
}

static void child_that_forks(void *argument)
{
    inherited *spans = argument;
    record_in_child();
    nsp_span *own = nsp_span_begin(NSP_NAME("child's own"));
    spans->unsampled = own; // the grandchild inherits from both
    CHILD_CHECK(child_run(grandchild, spans, 60) == 0);
    nsp_span_set_i64(own, NSP_KEY("after"), 1);
    nsp_span_end(own);
    CHILD_CHECK(nsp_flush(MINUTE) == NSP_OK);
    CHILD_CHECK(capture_count() == 4);
    CHILD_CHECK(captured_text(capture_named("child's own"), "after") != NULL);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
}

static void grandchildren(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    capture_begin(1);
    inherited spans = {.root = nsp_span_begin(NSP_NAME("parent's root"))};
    assert_int_equal(child_run(child_that_forks, &spans, 120), 0);
    nsp_span_end(spans.root);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    capture_end();
}

static void child_with_session(void *argument)
{
    const char *directory = argument;
    char session[SESSION_PATH_MAX];
    CHILD_CHECK(!session_dir_of(directory, getpid(), session));
    record_in_child();
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    CHILD_CHECK(session_dir_of(directory, getppid(), session)); // not removed, because its engine is alive
    CHILD_CHECK(session_dir_count(directory) == 2);
    CHILD_CHECK(nsp_shutdown(MINUTE) == NSP_OK);
    CHILD_CHECK(session_dir_count(directory) == 1);
}

static void child_has_a_session_of_its_own(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    char directory[SESSION_PATH_MAX];
    session_dir_make(directory);
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.keep_sessions = 0;
    capture_start(&config);
    record("parent", 1);
    capture_settle(); // at the fork no thread may hold a lock of the allocator
    assert_int_equal(child_run(child_with_session, directory, 60), 0);
    record("parent", 2);
    capture_settle();
    assert_int_equal(capture_count(), 2);
    capture_end();
    session_dir_remove(directory);
}

// ---- under load ----

static int stop;

static void *record_all_the_time(void *argument)
{
    uint64_t *recorded = argument;
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        char text[24];
        snprintf(text, sizeof text, "name %llu", (unsigned long long)(*recorded % 500));
        nsp_span *span = nsp_span_begin(nsp_intern(text, strlen(text)));
        nsp_span *detached = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        nsp_span_set_str(span, NSP_KEY("text"), "a text of more than sixteen bytes");
        nsp_span_end(detached);
        nsp_span_end(span);
        *recorded += 2;
        if (*recorded % 64 == 0)
            nanosleep(&(struct timespec){0, 20000}, NULL);
    }
    return NULL;
}

// Short-lived threads, so that forks happen while some attach and some exit.
static void *record_once(void *argument)
{
    uint64_t *recorded = argument;
    record("short", 1);
    *recorded += 1;
    return NULL;
}

static void *attach_all_the_time(void *argument)
{
    while (!__atomic_load_n(&stop, __ATOMIC_ACQUIRE)) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, record_once, argument) == 0)
            pthread_join(thread, NULL);
        nanosleep(&(struct timespec){0, 200000}, NULL);
    }
    return NULL;
}

static void child_traces(void *argument)
{
    (void)argument;
    record_in_child();
    // The state in which other threads' names were copied does no harm.
    for (int i = 0; i < 600; i++) {
        char text[24];
        snprintf(text, sizeof text, "name %d", i);
        nsp_name name = nsp_intern(text, strlen(text));
        size_t length;
        CHILD_CHECK(name == NSP_NAME_OVERFLOW || strcmp(nsp_name_text(name, &length), text) == 0);
    }
}

static void forks_under_load(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    enum { THREADS = 3, FORKS = 100 };
    char directory[SESSION_PATH_MAX];
    session_dir_make(directory);
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    capture_start(&config);
    capture_keep(false);
    uint64_t recorded[THREADS] = {0};
    pthread_t threads[THREADS];
    __atomic_store_n(&stop, 0, __ATOMIC_RELEASE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i == 0 ? attach_all_the_time : record_all_the_time,
                                        &recorded[i]),
                         0);
    sanitizer_forks_wait = false;
    for (int i = 0; i < FORKS; i++) {
        // Most children only exit, because this tests the fork handlers. Every fifth one traces, except with
        // the address sanitizer of gcc 12, whose allocator stays locked in a child if another thread was in
        // it during the fork.
        int status = i % 5 == 0 && !TEST_UNDER_ASAN ? child_run(child_traces, NULL, 120)
                                                    : child_run(child_execs, directory, 120);
        assert_int_equal(status, 0);
    }
    sanitizer_forks_wait = true;
    __atomic_store_n(&stop, 1, __ATOMIC_RELEASE);
    uint64_t all = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        all += recorded[i];
    }
    capture_settle();
    nsp_stats stats = capture_balance();
    assert_int_equal(stats.misused, 0);
    assert_int_equal(stats.open, 0);
    assert_true(stats.attempted <= all); // minus what was refused at its root
    assert_true(stats.attempted >= all - 2 * stats.roots_refused);
    assert_int_equal(stats.exported + stats.dropped, stats.attempted);
    assert_int_equal(capture_received(), stats.exported);
    capture_end();
    session_dir_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(fork_before_init, capture_teardown),
        cmocka_unit_test_teardown(a_child_speaks_for_an_unsampled_root_alone, capture_teardown),
        cmocka_unit_test_teardown(a_child_speaks_for_the_phase_of_a_path, capture_teardown),
        cmocka_unit_test_teardown(a_child_speaks_for_the_spans_it_inherited, capture_teardown),
        cmocka_unit_test_teardown(fork_with_spans_open, capture_teardown),
        cmocka_unit_test_teardown(fork_under_an_unsampled_root, capture_teardown),
        cmocka_unit_test_teardown(children_that_do_not_trace, capture_teardown),
        cmocka_unit_test_teardown(grandchildren, capture_teardown),
        cmocka_unit_test_teardown(child_has_a_session_of_its_own, capture_teardown),
        cmocka_unit_test_teardown(forks_under_load, capture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
