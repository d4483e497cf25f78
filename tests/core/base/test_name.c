// SPDX-License-Identifier: Apache-2.0
//
// The name table belongs to the process and never shrinks, so tests that fill it run in a child process.
#include "common/utf8.h"
#include "base/name.h"

#include "base/random.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { THREADS = 8, TEXTS = 5000 };

// For child processes, which cmocka's jumps must not leave.
#define must(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);                    \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static void run_in_child(void (*check)(void))
{
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        check();
        exit(0); // not _exit: ThreadSanitizer reports in an exit handler
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static nsp_name intern(const char *text)
{
    return nsp_intern(text, strlen(text));
}

static void assert_name(nsp_name name, const char *expected, size_t expected_length)
{
    size_t length = 0;
    const char *text = nsp_name_text(name, &length);
    assert_int_equal(length, expected_length);
    assert_memory_equal(text, expected, expected_length + 1);
    assert_ptr_equal(nsp_name_text(name, NULL), text);
}

static void a_text_has_one_name(void **state)
{
    (void)state;
    nsp_name first = intern("first"), second = intern("second");
    assert_true(first > NSP_NAME_OVERFLOW && second > first);
    assert_int_equal(intern("first"), first);
    assert_name(first, "first", 5);
    assert_name(second, "second", 6);
    assert_true(nsp__name_ready(first));
    assert_true(nsp__name_count() > second);

    char buffer[] = "firstly";
    assert_int_equal(nsp_intern(buffer, 5), first);
    nsp_name longer = nsp_intern(buffer, 7);
    assert_true(longer != first);
    memset(buffer, 'x', sizeof buffer); // the name is a copy, so the text may change
    assert_name(longer, "firstly", 7);

    assert_int_not_equal(nsp_intern("a\0b", 3), nsp_intern("a\0c", 3));
    assert_name(nsp_intern("a\0b", 3), "a\0b", 3);
    nsp_name empty = intern("");
    assert_true(empty > NSP_NAME_OVERFLOW);
    assert_name(empty, "", 0);
    assert_int_equal(nsp_intern(NULL, 0), empty);
    assert_int_equal(nsp_intern(NULL, 7), empty);
}

static void numbers_that_are_no_name(void **state)
{
    (void)state;
    const nsp_name none[] = {0, nsp__name_count(), NSP_NAME_MAX - 1, NSP_NAME_MAX, UINT32_MAX};
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        assert_false(nsp__name_ready(none[i]));
        assert_name(none[i], "", 0);
    }
    assert_name(NSP_NAME_OVERFLOW, "nanospan.names_full", 19);
    assert_int_equal(intern("nanospan.names_full"), NSP_NAME_OVERFLOW);
    assert_int_equal(nsp__name_overflowed(), 0);
}

static nsp_name name_in_function(void)
{
    return NSP_NAME("at a "
                    "site");
}

static void sites_keep_their_name(void **state)
{
    (void)state;
    nsp_name name = name_in_function();
    assert_int_equal(name_in_function(), name);
    assert_int_equal(NSP_KEY("at a site"), name);
    assert_int_equal(intern("at a site"), name);
    nsp_name site = 0;
    assert_int_equal(nsp__name_intern_site(&site, "at a site", 9), name);
    assert_int_equal(site, name);
}

// Where the linker has put the words of this program's call sites.
extern nsp_name __start_nsp_names[], __stop_nsp_names[];

static size_t words_filled(void)
{
    size_t filled = 0;
    for (const nsp_name *word = __start_nsp_names; word < __stop_nsp_names; word++)
        filled += *word != 0;
    return filled;
}

static void the_words_of_sites_lie_together(void **state)
{
    (void)state;
    size_t before = words_filled();
    assert_true(NSP_NAME("the first of two sites") != NSP_KEY("the second of two sites"));
    assert_int_equal(words_filled(), before + 2);
}

static void long_names_are_cut_at_a_character(void **state)
{
    (void)state;
    char text[NSP_NAME_LENGTH_MAX + 20];
    const struct {
        const char *character;
        size_t first, expected;
    } cases[] = {
        {"x", 1023, 1023},
        {"\xc3\xa9", 1022, 1022},
        {"\xc3\xa9", 1021, 1023},
        {"\xe2\x82\xac", 1021, 1021},
        {"\xe2\x82\xac", 1022, 1022},
        {"\xe2\x82\xac", 1020, 1023},
        {"\xf0\x9f\x98\x80", 1020, 1020},
        {"\xf0\x9f\x98\x80", 1022, 1022},
        {"\xf0\x9f\x98\x80", 1019, 1023},
        {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 1018, 1023}, // not UTF-8: cut at any byte
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(text, (int)('a' + i), sizeof text);
        memcpy(text + cases[i].first, cases[i].character, strlen(cases[i].character));
        nsp_name name = nsp_intern(text, sizeof text);
        size_t length;
        assert_memory_equal(nsp_name_text(name, &length), text, cases[i].expected);
        assert_int_equal(length, cases[i].expected);
        assert_int_equal(nsp_intern(text, length), name);
    }
    assert_int_equal(nsp__utf8_cut("abc", 3, 3), 3);
    assert_int_equal(nsp__utf8_cut("abc", 3, 0), 0);
    assert_int_equal(nsp__utf8_cut("\xc3\xa9", 2, 1), 0);
}

// Many threads intern the same texts, half of them in reverse order.

static char texts[TEXTS][24];
static nsp_name names_seen[THREADS][TEXTS];
static uint32_t hook_calls[NSP_NAME_MAX];
static pthread_barrier_t start_line;

static void count_hook(nsp_name name, const char *text, size_t length)
{
    // The text is complete, though the name may not be ready yet.
    if (strlen(text) == length)
        __atomic_fetch_add(&hook_calls[name], 1, __ATOMIC_RELAXED);
}

static void *intern_all(void *argument)
{
    uintptr_t self = (uintptr_t)argument;
    pthread_barrier_wait(&start_line);
    for (int i = 0; i < TEXTS; i++) {
        int which = self % 2 == 0 ? i : TEXTS - 1 - i;
        nsp_name name = intern(texts[which]);
        names_seen[self][which] = name;
        // For every id that a thread holds, the hook has been called and the text is there.
        must(__atomic_load_n(&hook_calls[name], __ATOMIC_RELAXED) > 0);
        must(strcmp(nsp_name_text(name, NULL), texts[which]) == 0);
    }
    return NULL;
}

static void check_concurrent(void)
{
    uint64_t random = 11;
    for (int i = 0; i < TEXTS; i++)
        snprintf(texts[i], sizeof texts[i], "%.*s%d", (int)(nsp__random_next(&random) % 17),
                 "abcdefghijklmnop", i);
    must(pthread_barrier_init(&start_line, NULL, THREADS) == 0);
    __atomic_store_n(&nsp__name_added, count_hook, __ATOMIC_RELEASE);
    uint32_t before = nsp__name_count();

    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, intern_all, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0);

    static uint32_t owners[NSP_NAME_MAX];
    for (int i = 0; i < TEXTS; i++) {
        nsp_name name = names_seen[0][i];
        must(name > NSP_NAME_OVERFLOW && ++owners[name] == 1);
        for (int k = 1; k < THREADS; k++)
            must(names_seen[k][i] == name);
    }
    // Lost races waste one or two ids a thread, not one for each name.
    must(nsp__name_count() - before <= TEXTS + 2 * THREADS);
    must(nsp__name_overflowed() == 0);
}

static void threads_agree_on_names(void **state)
{
    (void)state;
    run_in_child(check_concurrent);
}

static void check_full_table(void)
{
    char text[32];
    uint32_t count = 0;
    nsp_name site = 0;
    while (nsp__name_count() < NSP_NAME_MAX) {
        snprintf(text, sizeof text, "full %u", count++);
        must(intern(text) > NSP_NAME_OVERFLOW);
    }
    must(count > 8000);
    must(nsp__name_overflowed() == 0);
    must(intern("one too many") == NSP_NAME_OVERFLOW);
    must(nsp__name_intern_site(&site, "two too many", 12) == NSP_NAME_OVERFLOW);
    must(site == NSP_NAME_OVERFLOW); // for good, so that the site stays fast
    must(nsp__name_overflowed() == 2);
    must(nsp__name_count() == NSP_NAME_MAX);
    must(strcmp(nsp_name_text(intern("full 0"), NULL), "full 0") == 0);
    must(strcmp(nsp_name_text(intern(text), NULL), text) == 0);
    must(nsp__name_overflowed() == 2);
    for (int i = 0; i < 100000; i++)
        must(intern("again") == NSP_NAME_OVERFLOW);
    must(nsp__name_count() == NSP_NAME_MAX);
}

static void a_full_table_overflows(void **state)
{
    (void)state;
    run_in_child(check_full_table);
}

static void check_full_arena(void)
{
    char text[NSP_NAME_LENGTH_MAX];
    memset(text, 'x', sizeof text);
    uint32_t count = 0;
    for (;; count++) {
        snprintf(text, 8, "%u", count);
        text[strlen(text)] = ' ';
        if (nsp_intern(text, sizeof text) == NSP_NAME_OVERFLOW)
            break;
    }
    // 512 KiB minus what other tests have used
    must(count > 490 && count < 512);
    must(nsp__name_overflowed() == 1);
    // A shorter text still fits, and it gets the id that the long one did not get.
    uint32_t ids = nsp__name_count();
    must(intern("short") > NSP_NAME_OVERFLOW);
    must(nsp__name_count() == ids);
    must(strcmp(nsp_name_text(intern("short"), NULL), "short") == 0);
}

static void a_full_arena_overflows(void **state)
{
    (void)state;
    run_in_child(check_full_arena);
}

// A signal handler that interrupts an interning.

static nsp_name handler_known, handler_new, handler_site, handler_site_value;

static void intern_in_handler(int signal)
{
    (void)signal;
    handler_known = intern("known to the handler");
    handler_new = intern("new to the handler");
    handler_site_value = nsp__name_intern_site(&handler_site, "site in the handler", 19);
}

static void raise_in_hook(nsp_name name, const char *text, size_t length)
{
    (void)name;
    if (length == 11 && memcmp(text, "interrupted", length) == 0)
        raise(SIGUSR1);
}

static void check_signal(void)
{
    nsp_name known = intern("known to the handler");
    must(signal(SIGUSR1, intern_in_handler) != SIG_ERR);
    __atomic_store_n(&nsp__name_added, raise_in_hook, __ATOMIC_RELEASE);
    nsp_name interrupted = intern("interrupted");
    must(handler_known == known);
    must(handler_new == NSP_NAME_OVERFLOW && handler_site_value == NSP_NAME_OVERFLOW);
    must(handler_site == 0); // the next call at the site may succeed
    must(nsp__name_overflowed() == 2);
    must(interrupted > NSP_NAME_OVERFLOW && intern("interrupted") == interrupted);
    raise(SIGUSR1);
    must(handler_new > NSP_NAME_OVERFLOW);
    must(handler_site > NSP_NAME_OVERFLOW && handler_site == handler_site_value);
    must(nsp__name_overflowed() == 2);
}

static void a_handler_inside_interning_gets_overflow(void **state)
{
    (void)state;
    run_in_child(check_signal);
}

// A thread that stalls inside the hook does not stall others.

static int hook_entered, hook_released;

static void stall_first(nsp_name name, const char *text, size_t length)
{
    (void)name, (void)text, (void)length;
    if (__atomic_fetch_add(&hook_entered, 1, __ATOMIC_ACQ_REL) == 0)
        while (!__atomic_load_n(&hook_released, __ATOMIC_ACQUIRE))
            usleep(100);
}

static void *intern_stalled(void *argument)
{
    *(nsp_name *)argument = intern("stalled");
    return NULL;
}

static void check_stall(void)
{
    __atomic_store_n(&nsp__name_added, stall_first, __ATOMIC_RELEASE);
    nsp_name theirs = 0;
    pthread_t thread;
    must(pthread_create(&thread, NULL, intern_stalled, &theirs) == 0);
    while (__atomic_load_n(&hook_entered, __ATOMIC_ACQUIRE) == 0)
        usleep(100);
    uint32_t not_ready = nsp__name_count() - 1;
    must(!nsp__name_ready(not_ready));
    nsp_name mine = intern("stalled");
    must(mine == not_ready && nsp__name_ready(mine));
    must(__atomic_load_n(&hook_entered, __ATOMIC_ACQUIRE) == 2);
    __atomic_store_n(&hook_released, 1, __ATOMIC_RELEASE);
    must(pthread_join(thread, NULL) == 0);
    must(theirs == mine);
}

static void a_stalled_thread_holds_up_nobody(void **state)
{
    (void)state;
    run_in_child(check_stall);
}

// What the hook writes to is exchanged while threads intern: every name that they hold must be in the newest
// one.

static uint32_t current_table, replayed_table;
static uint8_t tables[64][NSP_NAME_MAX];
static bool replaying_done;

static void enter_in_table(nsp_name name, const char *text, size_t length)
{
    (void)text, (void)length;
    __atomic_store_n(&tables[__atomic_load_n(&current_table, __ATOMIC_ACQUIRE)][name], 1, __ATOMIC_RELAXED);
}

static void *intern_during_replays(void *argument)
{
    uintptr_t self = (uintptr_t)argument;
    char text[32];
    for (int i = 0; i < 2000 && !__atomic_load_n(&replaying_done, __ATOMIC_RELAXED); i++) {
        snprintf(text, sizeof text, "replay %d", (int)(self % 2) * 2000 + i);
        // The name must be in the table, unless the table was exchanged meanwhile.
        uint32_t table = __atomic_load_n(&replayed_table, __ATOMIC_ACQUIRE);
        nsp_name name = intern(text);
        bool entered = __atomic_load_n(&tables[table][name], __ATOMIC_RELAXED);
        must(entered || __atomic_load_n(&current_table, __ATOMIC_ACQUIRE) != table);
        if (i % 8 == 0)
            usleep(10);
    }
    return NULL;
}

static void check_replay(void)
{
    enum { WRITERS = 4, TABLES = 64 };
    nsp_name early = intern("early");
    __atomic_store_n(&nsp__name_added, enter_in_table, __ATOMIC_RELEASE);
    must(intern("early") == early && tables[0][early] == 0); // known before the hook was set
    pthread_t threads[WRITERS];
    for (uintptr_t i = 0; i < WRITERS; i++)
        must(pthread_create(&threads[i], NULL, intern_during_replays, (void *)i) == 0);
    for (uint32_t table = 1; table < TABLES; table++) {
        __atomic_store_n(&current_table, table, __ATOMIC_RELEASE);
        nsp__name_replay();
        __atomic_store_n(&replayed_table, table, __ATOMIC_RELEASE);
        usleep(500);
    }
    __atomic_store_n(&replaying_done, true, __ATOMIC_RELAXED);
    for (int i = 0; i < WRITERS; i++)
        must(pthread_join(threads[i], NULL) == 0);
    uint32_t in_table = 0;
    for (nsp_name name = 1; name < nsp__name_count(); name++) {
        must(!nsp__name_ready(name) || tables[TABLES - 1][name] == 1);
        in_table += tables[TABLES - 1][name];
    }
    must(in_table > 10 && tables[1][early] == 1 && tables[1][NSP_NAME_OVERFLOW] == 1);
}

static void enter_late(nsp_name name, const char *text, size_t length)
{
    uint32_t table = __atomic_load_n(&current_table, __ATOMIC_ACQUIRE);
    stall_first(name, text, length);
    __atomic_store_n(&tables[table][name], 1, __ATOMIC_RELAXED);
}

// The one interleaving that the test above may miss: the exchange happens while a name's first hook runs.
static void check_replay_during_hook(void)
{
    __atomic_store_n(&nsp__name_added, enter_late, __ATOMIC_RELEASE);
    nsp_name name = 0;
    pthread_t thread;
    must(pthread_create(&thread, NULL, intern_stalled, &name) == 0);
    while (__atomic_load_n(&hook_entered, __ATOMIC_ACQUIRE) == 0)
        usleep(100);
    __atomic_store_n(&current_table, 1, __ATOMIC_RELEASE);
    nsp__name_replay();
    __atomic_store_n(&hook_released, 1, __ATOMIC_RELEASE);
    must(pthread_join(thread, NULL) == 0);
    must(tables[0][name] == 1 && tables[1][name] == 1 && tables[1][NSP_NAME_OVERFLOW] == 1);
}

static void a_replay_misses_no_name(void **state)
{
    (void)state;
    run_in_child(check_replay);
    run_in_child(check_replay_during_hook);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_that_are_no_name),
        cmocka_unit_test(the_words_of_sites_lie_together),
        cmocka_unit_test(a_text_has_one_name),
        cmocka_unit_test(sites_keep_their_name),
        cmocka_unit_test(long_names_are_cut_at_a_character),
        cmocka_unit_test(threads_agree_on_names),
        cmocka_unit_test(a_full_table_overflows),
        cmocka_unit_test(a_full_arena_overflows),
        cmocka_unit_test(a_handler_inside_interning_gets_overflow),
        cmocka_unit_test(a_stalled_thread_holds_up_nobody),
        cmocka_unit_test(a_replay_misses_no_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
