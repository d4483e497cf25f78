// SPDX-License-Identifier: Apache-2.0
//
// The table of path declarations: what NSP_PATH_DECLARE and nsp__path_declare make of a list, and where readers find
// it. The table belongs to the process and never shrinks, so tests that fill it run in a child process.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/name.h"
#include "base/testpoint.h"
#include "base/words.h"
#include "support/capture.h"
#include "support/child.h"
#include "support/emulator.h"
#include "trace/path_declare.h"
#include "trace/trace_state.h"

enum { THREADS = 8 };

#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "trade.symbol")                                                                          \
    I64(quantity, "trade.size")                                                                              \
    PHASE(decode, "decode")                                                                                  \
    PHASE(check_balance, "check_balance")                                                                    \
    BOOL(decode, "check.decoded")                                                                            \
    F64(available, "balance.available")                                                                      \
    STR(note, 3, "note")                                                                                     \
    PHASE(submit, "submit_to_exchange") BOOL(filled, "match.filled") I64(fills, "match.fills")
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)
NSP_PATH_DECLARE(order_again, "order", ORDER_PATH)
NSP_PATH_DECLARE(order_renamed, "another order", ORDER_PATH)

#define OVERRIDDEN(PHASE, I64, F64, STR, BOOL)                                                               \
    PHASE(first, "first", NSP_PATH_AT_START)                                                                 \
    I64(number, "number", -1) I64(zero, "zero", 0) F64(share, "share", 0.5) BOOL(fine, "fine", 0)
NSP_PATH_DECLARE(overridden, "overridden", OVERRIDDEN)

#define BARE(PHASE, I64, F64, STR, BOOL)
NSP_PATH_DECLARE(bare, "bare", BARE)
#define ONLY_PHASES(PHASE, I64, F64, STR, BOOL) PHASE(a, "a") PHASE(b, "b")
NSP_PATH_DECLARE(only_phases, "only phases", ONLY_PHASES)
#define ONLY_FIELDS(PHASE, I64, F64, STR, BOOL) BOOL(a, "a") STR(b, 1000, "b")
NSP_PATH_DECLARE(only_fields, "only fields", ONLY_FIELDS)

// As many as are allowed, of both.
#define TIMES_8(ONE, at)                                                                                     \
    ONE(at##0, #at "0")                                                                                      \
    ONE(at##1, #at "1")                                                                                      \
    ONE(at##2, #at "2")                                                                                      \
    ONE(at##3, #at "3") ONE(at##4, #at "4") ONE(at##5, #at "5") ONE(at##6, #at "6") ONE(at##7, #at "7")
#define TIMES_64(ONE)                                                                                        \
    TIMES_8(ONE, a)                                                                                          \
    TIMES_8(ONE, b)                                                                                          \
    TIMES_8(ONE, c) TIMES_8(ONE, d) TIMES_8(ONE, e) TIMES_8(ONE, f) TIMES_8(ONE, g) TIMES_8(ONE, h)
#define FULL(PHASE, I64, F64, STR, BOOL) TIMES_64(PHASE) TIMES_64(BOOL)
NSP_PATH_DECLARE(full_path, "full", FULL)

static nsp__path_head head_of(const nsp__path_declaration *declaration)
{
    nsp__path_head head;
    const uint64_t word =
        __atomic_load_n(&declaration->head, __ATOMIC_RELAXED); // another thread may set it once more
    memcpy(&head, &word, sizeof head);
    return head;
}

// What the session says about the number of a declaration.
static const nsp__path_layout *layout_of(const nsp__path_declaration *declaration)
{
    const nsp__paths *paths = &nsp__trace_state.control->paths;
    const uint32_t number = head_of(declaration).declaration;
    assert_in_range(number, 1, NSP__PATHS_MAX);
    assert_true(paths->count >= number);
    const nsp__path_layout *layout = &paths->path[number - 1];
    assert_true(layout->checksum != 0);
    assert_true(layout->checksum == nsp__path_layout_checksum(layout));
    return layout;
}

static const nsp__path_layout *declared(nsp__path_declaration *declaration)
{
    assert_true(nsp__path_declare(declaration));
    const nsp__path_layout *layout = layout_of(declaration);
    const nsp__path_head head = head_of(declaration);
    assert_int_equal(layout->bytes, head.bytes);
    assert_int_equal(layout->phases, head.phases);
    assert_int_equal(layout->name, declaration->name);
    return layout;
}

static void assert_text(nsp_name name, const char *text)
{
    assert_string_equal(nsp_name_text(name, NULL), text);
}

#define assert_field(field, text, in, of, kind, phase_number, no_value)                                      \
    do {                                                                                                     \
        const nsp__path_field *f_ = (field);                                                                 \
        assert_text(f_->key, text);                                                                          \
        assert_int_equal(f_->offset, offsetof(in, of));                                                      \
        assert_int_equal(f_->type, kind);                                                                    \
        assert_int_equal(f_->phase, phase_number);                                                           \
        assert_true(f_->unset == (no_value));                                                                \
        assert_int_equal(f_->reserved0, 0);                                                                  \
        assert_int_equal(f_->reserved1, 0);                                                                  \
    } while (0)

#define NO_I64 UINT64_C(0x8000000000000000)
#define NO_F64 UINT64_C(0x7ff800006e616e6f)

static void a_layout_says_what_the_compiler_made(void **state)
{
    (void)state;
    capture_begin(1);
    const nsp__path_layout *layout = declared(nsp__path_of_order_path());
    assert_text(layout->name, "order");
    assert_int_equal(layout->bytes, sizeof(order_path));
    assert_int_equal(sizeof(order_path) % 16, 0);
    assert_int_equal(layout->phases, 3);
    assert_text(layout->phase_names[0], "decode");
    assert_text(layout->phase_names[1], "check_balance");
    assert_text(layout->phase_names[2], "submit_to_exchange");
    assert_int_equal(layout->phase_names[3], 0);
    assert_int_equal(offsetof(order_path, nsp__at_decode), 8);
    assert_int_equal(offsetof(order_path, nsp__at_submit), 24);
    assert_int_equal(layout->fields, 7);
    assert_field(&layout->field[0], "trade.symbol", order_path, symbol, NSP_TYPE_STR, 0, 0xffffu);
    assert_int_equal(layout->field[0].size, 16);
    assert_field(&layout->field[1], "trade.size", order_path, quantity, NSP_TYPE_I64, 0, NO_I64);
    assert_int_equal(layout->field[1].size, 8);
    assert_field(&layout->field[2], "check.decoded", order_path, decode, NSP_TYPE_BOOL, 2, 2u);
    assert_int_equal(layout->field[2].size, 1);
    assert_field(&layout->field[3], "balance.available", order_path, available, NSP_TYPE_F64, 2, NO_F64);
    assert_int_equal(layout->field[3].size, 8);
    assert_field(&layout->field[4], "note", order_path, note, NSP_TYPE_STR, 2, 0xffffu);
    assert_int_equal(layout->field[4].size, 3);
    assert_field(&layout->field[5], "match.filled", order_path, filled, NSP_TYPE_BOOL, 3, 2u);
    assert_field(&layout->field[6], "match.fills", order_path, fills, NSP_TYPE_I64, 3, NO_I64);
    assert_int_equal(layout->field[7].key, 0);
    assert_int_equal(head_of(nsp__path_of_order_path()).open, 0);
    assert_int_equal(head_of(nsp__path_of_order_path()).flags, 0);
    assert_true(&((order_path *)NULL)->symbol.bytes[0] == (char *)&((order_path *)NULL)->symbol.length + 2);
    capture_end();
}

static void values_for_not_set_can_be_others(void **state)
{
    (void)state;
    capture_begin(1);
    const nsp__path_layout *layout = declared(nsp__path_of_overridden());
    assert_int_equal(layout->fields, 4);
    assert_field(&layout->field[0], "number", overridden, number, NSP_TYPE_I64, 1, UINT64_MAX);
    assert_field(&layout->field[1], "zero", overridden, zero, NSP_TYPE_I64, 1, 0u);
    assert_field(&layout->field[2], "share", overridden, share, NSP_TYPE_F64, 1,
                 UINT64_C(0x3fe0000000000000));
    assert_field(&layout->field[3], "fine", overridden, fine, NSP_TYPE_BOOL, 1, 0u);
    const nsp__path_head head = head_of(nsp__path_of_overridden());
    assert_int_equal(head.flags, NSP__PATH_STARTS);
    assert_int_equal(head.open, 1);
    const overridden *unset = nsp__path_of_overridden()->unset;
    assert_int_equal(unset->number, -1);
    assert_int_equal(unset->nsp__at_first, 0);
    capture_end();
}

static void the_least_and_the_most(void **state)
{
    (void)state;
    capture_begin(1);
    const nsp__path_layout *layout = declared(nsp__path_of_bare());
    assert_int_equal(layout->bytes, 16);
    assert_int_equal(layout->phases + layout->fields, 0);
    layout = declared(nsp__path_of_only_phases());
    assert_int_equal(layout->bytes, 32);
    assert_int_equal(layout->phases, 2);
    assert_int_equal(layout->fields, 0);
    layout = declared(nsp__path_of_only_fields());
    assert_int_equal(layout->bytes, 1024);
    assert_int_equal(layout->phases, 0);
    assert_int_equal(layout->fields, 2);
    assert_int_equal(layout->field[1].phase, 0);
    assert_int_equal(layout->field[1].size, 1000);
    layout = declared(nsp__path_of_full_path());
    assert_int_equal(layout->bytes, 8 + 64 * 8 + 64 + 8);
    assert_int_equal(layout->phases, NSP_PATH_PHASES_MAX);
    assert_int_equal(layout->fields, NSP_PATH_FIELDS_MAX);
    assert_text(layout->phase_names[63], "h7");
    assert_field(&layout->field[63], "h7", full_path, h7, NSP_TYPE_BOOL, 64, 2u);
    capture_end();
}

static void the_same_content_has_one_number(void **state)
{
    (void)state;
    capture_begin(1);
    declared(nsp__path_of_order_path());
    declared(nsp__path_of_order_again());
    declared(nsp__path_of_order_renamed());
    assert_ptr_not_equal(nsp__path_of_order_path(), nsp__path_of_order_again());
    assert_true(nsp__path_of_order_path()->head == nsp__path_of_order_again()->head);
    assert_true(nsp__path_of_order_path()->head != nsp__path_of_order_renamed()->head);
    const uint32_t count = nsp__trace_state.control->paths.count;
    declared(nsp__path_of_order_again());
    assert_int_equal(nsp__trace_state.control->paths.count, count);
    capture_end();
}

// ---- declarations that are made as the test runs ----

static const struct {
    nsp__path_head head;
    int64_t value;
} nothing_set = {{0, 0, 0, 0, 0, 0}, INT64_MIN};

static const nsp__path_part value_part[] = {{"value", 8, 8, NSP_TYPE_I64, 0}};

typedef struct made {
    nsp__path_declaration declaration;
    char name[32];
} made;

static void make(made *it, const char *what, unsigned number)
{
    const int length = snprintf(it->name, sizeof it->name, "%s %u", what, number);
    it->declaration = (nsp__path_declaration){
        .bytes = sizeof nothing_set,
        .unset = &nothing_set,
        .root = it->name,
        .root_length = (uint32_t)length,
        .part_count = 1,
        .parts = value_part,
    };
}

// For a child: what the session says about this declaration is right.
static void check_made(const made *it)
{
    const nsp__path_head head = head_of(&it->declaration);
    CHILD_CHECK(head.declaration >= 1 && head.declaration <= NSP__PATHS_MAX);
    const nsp__path_layout *shared = &nsp__trace_state.control->paths.path[head.declaration - 1];
    const uint64_t checksum = __atomic_load_n(&shared->checksum, __ATOMIC_ACQUIRE); // PL2
    nsp__path_layout own, *layout = &own; // as a drainer: another thread may be writing the same once more
    nsp__words_copy(layout, shared, sizeof own);
    CHILD_CHECK(checksum != 0 && checksum == nsp__path_layout_checksum(layout));
    CHILD_CHECK(layout->name == __atomic_load_n(&it->declaration.name, __ATOMIC_RELAXED));
    CHILD_CHECK(strcmp(nsp_name_text(layout->name, NULL), it->name) == 0);
    CHILD_CHECK(layout->fields == 1 && layout->field[0].offset == 8);
}

static void in_child(void (*body)(void *))
{
    assert_int_equal(child_run(body, NULL, 120), 0);
}

static void begin_in_child(nsp_config *config)
{
    nsp_config_init(config);
    config->exporter = "none";
    config->log_level = NSP_LOG_ERROR;
    CHILD_CHECK(nsp_init(config) == NSP_OK);
}

static uint64_t overflowed(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(nsp_stats_get(&stats) == NSP_OK);
    return stats.paths_overflowed;
}

// ---- a full table ----

static void fill(void *unused)
{
    (void)unused;
    static made all[NSP_PATHS_MAX + 3], again[NSP_PATHS_MAX + 1];
    nsp_config config;
    begin_in_child(&config);
    for (unsigned i = 0; i < NSP_PATHS_MAX + 3; i++) {
        make(&all[i], "path", i);
        CHILD_CHECK(nsp__path_declare(&all[i].declaration));
    }
    CHILD_CHECK(overflowed() == 3);
    for (unsigned i = 0; i < NSP_PATHS_MAX + 3; i++) { // nothing happens a second time
        CHILD_CHECK(nsp__path_declare(&all[i].declaration));
        if (i < NSP_PATHS_MAX) {
            check_made(&all[i]);
        } else {
            CHILD_CHECK(head_of(&all[i].declaration).declaration == 0);
            CHILD_CHECK(strcmp(nsp_name_text(all[i].declaration.name, NULL), all[i].name) == 0);
        }
    }
    for (unsigned i = 0; i <= NSP_PATHS_MAX; i++) { // what is there is found
        make(&again[i], "path", i);
        CHILD_CHECK(nsp__path_declare(&again[i].declaration));
        CHILD_CHECK(again[i].declaration.head == all[i].declaration.head);
    }
    CHILD_CHECK(overflowed() == 4);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
    CHILD_CHECK(overflowed() == 4);
    begin_in_child(&config); // the next session has the same table
    CHILD_CHECK(overflowed() == 4);
    CHILD_CHECK(nsp__trace_state.control->paths.count == NSP__PATHS_MAX);
    for (unsigned i = 0; i < NSP_PATHS_MAX; i++)
        check_made(&all[i]);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

static void a_full_table_overflows(void **state)
{
    (void)state;
    in_child(fill);
}

// ---- before there is a session, and after a fork ----

static void declare_early(void *unused)
{
    (void)unused;
    static made early, later;
    make(&early, "early", 1);
    CHILD_CHECK(nsp__path_declare(&early.declaration));
    nsp_config config;
    begin_in_child(&config);
    check_made(&early);
    const pid_t child = child_fork();
    if (child == 0) {
        // The table is the process's, which is a copy now. The session is one of its own, from the first span on.
        make(&later, "later", 1);
        CHILD_CHECK(nsp__path_declare(&later.declaration));
        CHILD_CHECK(head_of(&later.declaration).declaration == 2);
        nsp_span_end(nsp_span_begin(NSP_NAME("span")));
        check_made(&early);
        check_made(&later);
        _exit(0);
    }
    CHILD_CHECK(child_wait(child, 60) == 0);
    CHILD_CHECK(nsp__trace_state.control->paths.count == 1);
    make(&later, "later in the parent", 1);
    CHILD_CHECK(nsp__path_declare(&later.declaration));
    check_made(&later);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

static void declarations_are_in_every_session(void **state)
{
    (void)state;
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    in_child(declare_early);
}

// ---- threads ----

enum { SHARED = 16 };

static made shared[SHARED], own[THREADS][SHARED];
static pthread_barrier_t barrier;

static void *declare_all(void *argument)
{
    made *mine = argument;
    pthread_barrier_wait(&barrier);
    for (unsigned i = 0; i < SHARED; i++) {
        const unsigned at = (unsigned)((i + (size_t)(mine - own[0]) / SHARED) % SHARED);
        CHILD_CHECK(nsp__path_declare(&shared[at].declaration));
        CHILD_CHECK(nsp__path_declare(&mine[at].declaration));
        check_made(&shared[at]);
        check_made(&mine[at]);
    }
    return NULL;
}

static void declare_at_once(void *unused)
{
    (void)unused;
    nsp_config config;
    begin_in_child(&config);
    // The same contents: by declarations that all threads share, and by one of each thread. Few enough, so that the
    // table has room if no thread finds what another is just entering.
    for (unsigned i = 0; i < SHARED; i++) {
        make(&shared[i], "content", i % 4);
        for (unsigned t = 0; t < THREADS; t++)
            make(&own[t][i], "content", i % 4);
    }
    CHILD_CHECK(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    pthread_t threads[THREADS];
    for (unsigned t = 0; t < THREADS; t++)
        CHILD_CHECK(pthread_create(&threads[t], NULL, declare_all, own[t]) == 0);
    for (unsigned t = 0; t < THREADS; t++)
        CHILD_CHECK(pthread_join(threads[t], NULL) == 0);
    CHILD_CHECK(overflowed() == 0);
    for (unsigned t = 0; t < THREADS; t++)
        for (unsigned i = 0; i < SHARED; i++)
            check_made(&own[t][i]);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

static void threads_declare_the_same_at_once(void **state)
{
    (void)state;
    in_child(declare_at_once);
}

// ---- stalled in the middle ----

static bool stalled, go_on;
static const char *stall_at;

static void stall(const char *name)
{
    if (strcmp(name, stall_at) != 0 || __atomic_exchange_n(&stalled, true, __ATOMIC_ACQ_REL))
        return;
    while (!__atomic_load_n(&go_on, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){0, 100000}, NULL);
}

static void *declare_one(void *argument)
{
    CHILD_CHECK(nsp__path_declare(&((made *)argument)->declaration));
    return NULL;
}

static pthread_t start_stalled(made *it, const char *where)
{
    pthread_t thread;
    stall_at = where;
    stalled = go_on = false;
    __atomic_store_n(&nsp__testpoint_hook, stall, __ATOMIC_RELEASE);
    CHILD_CHECK(pthread_create(&thread, NULL, declare_one, it) == 0);
    while (!__atomic_load_n(&stalled, __ATOMIC_ACQUIRE))
        nanosleep(&(struct timespec){0, 100000}, NULL);
    return thread;
}

static void end_stalled(pthread_t thread)
{
    __atomic_store_n(&go_on, true, __ATOMIC_RELEASE);
    CHILD_CHECK(pthread_join(thread, NULL) == 0);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
}

// One thread stands still with a number that it has not filled yet. Others pass it by.
static void pass_by(void *unused)
{
    (void)unused;
    static made theirs, same, other, full[NSP_PATHS_MAX], beyond;
    nsp_config config;
    begin_in_child(&config);
    make(&theirs, "content", 0);
    make(&same, "content", 0);
    make(&other, "content", 1);
    pthread_t thread = start_stalled(&theirs, "path: number taken");
    CHILD_CHECK(nsp__path_declare(&same.declaration));
    CHILD_CHECK(head_of(&same.declaration).declaration == 2);
    CHILD_CHECK(nsp__path_declare(&other.declaration));
    check_made(&same);
    check_made(&other);
    CHILD_CHECK(theirs.declaration.name == 0);
    // A full table, but what the other thread is filling in may be this content: it is not refused yet.
    for (unsigned i = 0; i < NSP_PATHS_MAX - 3; i++) {
        make(&full[i], "filling", i);
        CHILD_CHECK(nsp__path_declare(&full[i].declaration));
    }
    make(&beyond, "beyond", 0);
    CHILD_CHECK(!nsp__path_declare(&beyond.declaration));
    CHILD_CHECK(beyond.declaration.name == 0 && overflowed() == 0);
    end_stalled(thread);
    CHILD_CHECK(head_of(&theirs.declaration).declaration == 1);
    check_made(&theirs);
    CHILD_CHECK(nsp__path_declare(&beyond.declaration));
    CHILD_CHECK(beyond.declaration.name != 0 && overflowed() == 1);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

// The session changes while a thread is writing into it: what it has declared is in the next one.
static void change_session(void *where)
{
    static made early, it;
    nsp_config config;
    begin_in_child(&config);
    make(&early, "early", 0);
    CHILD_CHECK(nsp__path_declare(&early.declaration));
    make(&it, "content", 0);
    pthread_t thread = start_stalled(&it, where);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
    begin_in_child(&config);
    check_made(&early);
    end_stalled(thread);
    check_made(&it);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

static void nobody_waits_for_a_stalled_thread(void **state)
{
    (void)state;
    in_child(pass_by);
}

static void a_new_session_misses_no_declaration(void **state)
{
    (void)state;
    assert_int_equal(child_run(change_session, (void *)(uintptr_t) "path: number taken", 120), 0);
    assert_int_equal(child_run(change_session, (void *)(uintptr_t) "path: written in the session", 120), 0);
}

// ---- signals ----

static made *in_handler;
static bool handler_declared;

static void declare_in_handler(int signal_number)
{
    (void)signal_number;
    handler_declared = nsp__path_declare(&in_handler->declaration);
}

static void raise_once(const char *name)
{
    if (strcmp(name, stall_at) == 0 && !stalled) {
        stalled = true;
        raise(SIGUSR1);
    }
}

static void interrupt(const char *where, made *outer, made *inner)
{
    stall_at = where;
    stalled = false;
    in_handler = inner;
    __atomic_store_n(&nsp__testpoint_hook, raise_once, __ATOMIC_RELEASE);
    CHILD_CHECK(nsp__path_declare(&outer->declaration));
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    CHILD_CHECK(stalled);
    check_made(outer);
}

static void handle_signals(void *unused)
{
    (void)unused;
    static made outer[4], inner[4];
    static const char *const where[4] = {"name: id taken", "path: number taken", "path: number taken",
                                         "path: written in the session"};
    nsp_config config;
    begin_in_child(&config);
    CHILD_CHECK(signal(SIGUSR1, declare_in_handler) != SIG_ERR);
    for (unsigned i = 0; i < 4; i++) {
        make(&outer[i], "outer", i);
        make(&inner[i], i == 2 ? "outer" : "inner", i); // or the same content
    }
    // A handler that has interrupted the interning of a name cannot intern. Nothing of it stays.
    interrupt(where[0], &outer[0], &inner[0]);
    CHILD_CHECK(!handler_declared && inner[0].declaration.name == 0 && inner[0].declaration.head == 0);
    CHILD_CHECK(nsp__path_declare(&inner[0].declaration));
    check_made(&inner[0]);
    for (unsigned i = 1; i < 4; i++) {
        interrupt(where[i], &outer[i], &inner[i]);
        CHILD_CHECK(handler_declared);
        check_made(&inner[i]);
    }
    // Both are the same declaration.
    static made one;
    make(&one, "one", 0);
    interrupt("path: written in the session", &one, &one);
    CHILD_CHECK(handler_declared);
    CHILD_CHECK(overflowed() == 0);
    CHILD_CHECK(nsp_shutdown(1000000000) == NSP_OK);
}

static void signal_handlers_declare(void **state)
{
    (void)state;
    in_child(handle_signals);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, capture_teardown)
    const struct CMUnitTest tests[] = {
        // Those in child processes come first: a child has what its parent has declared.
        TEST(a_full_table_overflows),
        TEST(declarations_are_in_every_session),
        TEST(threads_declare_the_same_at_once),
        TEST(nobody_waits_for_a_stalled_thread),
        TEST(a_new_session_misses_no_declaration),
        TEST(signal_handlers_declare),
        TEST(a_layout_says_what_the_compiler_made),
        TEST(values_for_not_set_can_be_others),
        TEST(the_least_and_the_most),
        TEST(the_same_content_has_one_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
