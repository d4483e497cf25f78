// SPDX-License-Identifier: Apache-2.0
//
// Identifying a file by a number that may by now be another thread's: the answer is right, and under
// ThreadSanitizer asking is no race with the thread that opened it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/descriptor.h"

static bool same(const nsp__file_id *a, const nsp__file_id *b)
{
    return a->device == b->device && a->inode == b->inode;
}

// Relaxed, so that nothing but the number passes between the threads, as when a descriptor table is searched.
static int opened = -1, seen;

static void *open_socket(void *argument)
{
    (void)argument;
    __atomic_store_n(&opened, socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), __ATOMIC_RELAXED);
    while (!__atomic_load_n(&seen, __ATOMIC_RELAXED))
        sched_yield();
    return NULL;
}

static void another_thread_has_got_the_number(void **state)
{
    (void)state;
    int ours = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), theirs;
    nsp__file_id before, now;
    assert_true(nsp__file_identify(ours, &before));
    close(ours);

    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, open_socket, NULL), 0);
    while ((theirs = __atomic_load_n(&opened, __ATOMIC_RELAXED)) < 0)
        sched_yield();
    assert_int_equal(theirs, ours); // the lowest number that is free
    assert_true(nsp__file_identify(ours, &now));
    assert_false(same(&before, &now));
    __atomic_store_n(&seen, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    close(theirs);
}

static void what_is_not_open_has_no_identity(void **state)
{
    (void)state;
    nsp__file_id id;
    int fd = open("/", O_PATH | O_CLOEXEC);
    assert_true(nsp__file_identify(fd, &id));
    close(fd);
    assert_false(nsp__file_identify(fd, &id));
    assert_false(nsp__file_identify(-1, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_thread_has_got_the_number),
        cmocka_unit_test(what_is_not_open_has_no_identity),
    };
    return cmocka_run_group_tests_name("file_identify", tests, NULL, NULL);
}
