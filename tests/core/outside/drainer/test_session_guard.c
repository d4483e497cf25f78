// SPDX-License-Identifier: Apache-2.0
//
// Mappings of files that are cut short while they are used: the one session is lost, and nothing else
// happens. All of it happens in children, since cmocka handles the signal too.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "outside/drainer/session_guard.h"
#include "support/child.h"

enum { PAGES = 4 };
static size_t page;

// A file of so many pages, each of them full of this byte.
static int file_of(size_t pages, uint8_t byte)
{
    int fd = memfd_create("guarded", MFD_CLOEXEC);
    CHILD_CHECK(fd >= 0);
    uint8_t bytes[256];
    memset(bytes, byte, sizeof bytes);
    for (size_t i = 0; i < pages * page / sizeof bytes; i++)
        CHILD_CHECK(write(fd, bytes, sizeof bytes) == sizeof bytes);
    return fd;
}

static volatile uint8_t *map_of(nsp__guard *guard, int fd, size_t pages)
{
    volatile uint8_t *bytes = nsp__guard_map(guard, fd, 0, pages * page);
    CHILD_CHECK(bytes != NULL);
    return bytes;
}

static nsp__guard *guard_of(void)
{
    CHILD_CHECK(nsp__guard_install());
    nsp__guard *guard = nsp__guard_take();
    CHILD_CHECK(guard != NULL);
    CHILD_CHECK(!nsp__guard_lost(guard));
    return guard;
}

static uint8_t byte_in(int fd, off_t at)
{
    uint8_t byte = 0;
    CHILD_CHECK(pread(fd, &byte, 1, at) == 1);
    return byte;
}

static void what_is_cut_short_reads_as_zeroes(void *nothing)
{
    (void)nothing;
    nsp__guard *guard = guard_of(), *other = guard_of();
    int one = file_of(PAGES, 1), two = file_of(PAGES, 2), three = file_of(PAGES, 3);
    volatile uint8_t *bytes = map_of(guard, one, PAGES), *neighbour = map_of(guard, two, PAGES),
                     *others = map_of(other, three, PAGES);
    bytes[0] = 11;
    CHILD_CHECK(byte_in(one, 0) == 11);
    CHILD_CHECK(ftruncate(one, (off_t)page) == 0);
    CHILD_CHECK(bytes[1] == 1); // the page that is still there
    CHILD_CHECK(!nsp__guard_lost(guard));

    CHILD_CHECK(bytes[page] == 0);
    CHILD_CHECK(nsp__guard_lost(guard));
    // All of its mappings, so that nothing is written to its files any more.
    CHILD_CHECK(bytes[1] == 0);
    CHILD_CHECK(neighbour[0] == 0);
    bytes[0] = neighbour[0] = bytes[(PAGES - 1) * page] = 77;
    CHILD_CHECK(bytes[0] == 77);
    CHILD_CHECK(byte_in(one, 0) == 11);
    CHILD_CHECK(byte_in(two, 0) == 2);
    // And of no other guard.
    CHILD_CHECK(!nsp__guard_lost(other));
    CHILD_CHECK(others[page] == 3);
    others[page] = 33;
    CHILD_CHECK(byte_in(three, (off_t)page) == 33);
    // What is mapped later belongs to a lost session too.
    CHILD_CHECK(map_of(guard, two, PAGES)[0] == 0);
    nsp__guard_give_back(guard);
    nsp__guard_give_back(other);
    close(one);
    close(two);
    close(three);
}

static void a_session_can_be_abandoned(void *nothing)
{
    (void)nothing;
    nsp__guard *guard = guard_of();
    int fd = file_of(PAGES, 5);
    volatile uint8_t *bytes = map_of(guard, fd, PAGES);
    nsp__guard_abandon(guard);
    CHILD_CHECK(nsp__guard_lost(guard));
    CHILD_CHECK(bytes[0] == 0);
    bytes[0] = 9;
    CHILD_CHECK(byte_in(fd, 0) == 5);
    nsp__guard_give_back(guard);
    close(fd);
}

static void a_guard_is_taken_again(void *nothing)
{
    (void)nothing;
    nsp__guard *first = guard_of();
    int fd = file_of(PAGES, 5);
    enum { MANY = 200 }; // more than one block holds
    volatile uint8_t *bytes[MANY];
    for (int round = 0; round < 3; round++) {
        nsp__guard *guard = round == 0 ? first : guard_of();
        CHILD_CHECK(guard == first);
        for (int i = 0; i < MANY; i++)
            bytes[i] = map_of(guard, fd, PAGES);
        CHILD_CHECK(bytes[MANY - 1][page] == 5);
        CHILD_CHECK(ftruncate(fd, (off_t)page) == 0);
        CHILD_CHECK(bytes[MANY - 1][page] == 0);
        for (int i = 0; i < MANY; i++)
            CHILD_CHECK(bytes[i][0] == 0);
        nsp__guard_give_back(guard);
        close(fd);
        fd = file_of(PAGES, 5);
    }
    close(fd);
}

static void *read_on_a_thread(void *argument)
{
    // As the library's threads begin: with all signals blocked.
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    nsp__guard_admit(NULL);
    volatile uint8_t *bytes = argument;
    for (size_t i = 0; i < PAGES * page; i += page)
        if (bytes[i] != 0)
            return (void *)1;
    return NULL;
}

static void what_was_given_back_is_let_alone(void *nothing)
{
    (void)nothing;
    nsp__guard *guard = guard_of();
    int fd = file_of(PAGES, 5);
    volatile uint8_t *before = map_of(guard, fd, PAGES);
    nsp__guard_give_back(guard);
    uint8_t *another = mmap((void *)before, page, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHILD_CHECK(another == before);
    another[0] = 1;
    CHILD_CHECK(guard_of() == guard);
    volatile uint8_t *bytes = map_of(guard, fd, PAGES);
    CHILD_CHECK(ftruncate(fd, 0) == 0);
    CHILD_CHECK(bytes[0] == 0);
    CHILD_CHECK(another[0] == 1);
    nsp__guard_give_back(guard);
    close(fd);
}

static void any_thread_may_find_it(void *nothing)
{
    (void)nothing;
    enum { THREADS = 4 };
    nsp__guard *guard = guard_of();
    int fd = file_of(PAGES, 5);
    volatile uint8_t *bytes = map_of(guard, fd, PAGES);
    CHILD_CHECK(ftruncate(fd, 0) == 0);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHILD_CHECK(pthread_create(&threads[i], NULL, read_on_a_thread, (void *)bytes) == 0);
    for (int i = 0; i < THREADS; i++) {
        void *wrong;
        CHILD_CHECK(pthread_join(threads[i], &wrong) == 0);
        CHILD_CHECK(wrong == NULL);
    }
    CHILD_CHECK(nsp__guard_lost(guard));
    nsp__guard_give_back(guard);
    close(fd);
}

// ---- what does not concern a guard ----

static int handled;
static sigjmp_buf back;

static void on_signal(int number)
{
    handled += number == SIGBUS;
    siglongjmp(back, 1);
}

static void on_signal_with_info(int number, siginfo_t *info, void *context)
{
    handled += number == SIGBUS && info->si_addr != NULL && context != NULL;
    siglongjmp(back, 1);
}

static void touch_what_nobody_guards(void)
{
    int fd = memfd_create("unguarded", MFD_CLOEXEC);
    volatile uint8_t *bytes = mmap(NULL, page, PROT_READ, MAP_SHARED, fd, 0);
    CHILD_CHECK(bytes != MAP_FAILED);
    if (sigsetjmp(back, 1) == 0) {
        volatile uint8_t byte = bytes[0];
        (void)byte;
    }
}

static void with_a_guard(void)
{
    CHILD_CHECK(nsp__guard_install());
    nsp__guard *guard = nsp__guard_take();
    CHILD_CHECK(guard != NULL);
    int fd = memfd_create("guarded", MFD_CLOEXEC);
    CHILD_CHECK(ftruncate(fd, (off_t)page) == 0 && nsp__guard_map(guard, fd, 0, page) != NULL);
    touch_what_nobody_guards();
    CHILD_CHECK(!nsp__guard_lost(guard));
}

static void pass_on_to_a_handler(void *with_info)
{
    struct sigaction before = {.sa_handler = on_signal};
    if (with_info != NULL) {
        before.sa_sigaction = on_signal_with_info;
        before.sa_flags = SA_SIGINFO;
    }
    CHILD_CHECK(sigaction(SIGBUS, &before, NULL) == 0);
    with_a_guard();
    CHILD_CHECK(handled == 1);
}

static void pass_on_by_default(void *nothing)
{
    (void)nothing;
    signal(SIGBUS, SIG_DFL);
    with_a_guard();
}

static void pass_on_what_was_sent(void *disposition)
{
    signal(SIGBUS, disposition != NULL ? SIG_IGN : SIG_DFL);
    CHILD_CHECK(nsp__guard_install());
    raise(SIGBUS);
}

static void other_faults_are_passed_on(void **state)
{
    (void)state;
    static int yes;
    int status = child_run(pass_on_to_a_handler, NULL, 60);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = child_run(pass_on_to_a_handler, &yes, 60);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    status = child_run(pass_on_by_default, NULL, 60);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = child_run(pass_on_what_was_sent, NULL, 60);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = child_run(pass_on_what_was_sent, &yes, 60);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void run(void (*body)(void *))
{
    int status = child_run(body, NULL, 60);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define RUNS(name)                                                                                           \
    static void test_##name(void **state)                                                                    \
    {                                                                                                        \
        (void)state;                                                                                         \
        run(name);                                                                                           \
    }

RUNS(what_is_cut_short_reads_as_zeroes)
RUNS(a_session_can_be_abandoned)
RUNS(a_guard_is_taken_again)
RUNS(what_was_given_back_is_let_alone)
RUNS(any_thread_may_find_it)

int main(void)
{
    page = (size_t)sysconf(_SC_PAGESIZE);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_cut_short_reads_as_zeroes),
        cmocka_unit_test(test_a_session_can_be_abandoned),
        cmocka_unit_test(test_a_guard_is_taken_again),
        cmocka_unit_test(test_what_was_given_back_is_let_alone),
        cmocka_unit_test(test_any_thread_may_find_it),
        cmocka_unit_test(other_faults_are_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
