// SPDX-License-Identifier: Apache-2.0
//
// Changes of the sampler's rules while another process or thread holds the lock on the control file.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/testpoint.h"
#include "common/time.h"
#include "shm/session.h"
#include "support/capture.h"
#include "support/child.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

enum { PATIENCE_MS = 100 };

// The lock, taken in the way of another process: on a separate open file description.
static int lock_control(void)
{
    int fd = nsp__session_open_control(nsp__trace_state.session);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    return fd;
}

static void a_lock_that_is_never_given_up_ends_in_a_timeout(void **state)
{
    (void)state;
    capture_begin(1);
    assert_int_equal(nsp_sampler_set_rule("kept", 1), NSP_OK);
    int fd = lock_control();
    uint64_t before = nsp__monotonic_ns();
    assert_int_equal(nsp_sampler_set_rate(0), NSP_ERR_TIMEOUT);
    uint64_t waited = nsp__monotonic_ns() - before;
    assert_true(waited >= PATIENCE_MS * NSP__MILLISECOND && waited < 20 * NSP__SECOND);
    assert_int_equal(nsp_sampler_set_rule("other", 0), NSP_ERR_TIMEOUT);
    assert_int_equal(nsp_sampler_remove_rule("kept"), NSP_ERR_TIMEOUT);
    assert_int_equal(nsp_sampler_set_parent_policy(NSP_PARENT_DECIDE), NSP_ERR_TIMEOUT);
    assert_true(nsp_sampler_rate() == 1.0);
    close(fd);

    assert_int_equal(nsp_sampler_remove_rule("other"), NSP_ERR_NOT_FOUND);
    assert_int_equal(nsp_sampler_remove_rule("kept"), NSP_OK);
    assert_int_equal(nsp_sampler_set_rate(0), NSP_OK);
    assert_true(nsp_sampler_rate() == 0.0);
    capture_end();
}

static void *unlock_later(void *fd)
{
    usleep(20 * 1000);
    close(*(int *)fd);
    return NULL;
}

static void a_lock_that_is_given_up_in_time_is_waited_for(void **state)
{
    (void)state;
    capture_begin(1);
    nsp_status status = NSP_ERR_TIMEOUT;
    // On a busy machine the other thread may give it up too late.
    for (int tries = 0; tries < 200 && status == NSP_ERR_TIMEOUT; tries++) {
        int fd = lock_control();
        pthread_t other;
        assert_int_equal(pthread_create(&other, NULL, unlock_later, &fd), 0);
        status = nsp_sampler_set_rate(0);
        pthread_join(other, NULL);
    }
    assert_int_equal(status, NSP_OK);
    assert_true(nsp_sampler_rate() == 0.0);
    capture_end();
}

// Threads that wait for the mutex behind that lock wait no longer than the first.
static void *set_rate(void *status)
{
    *(nsp_status *)status = nsp_sampler_set_rate(0);
    return NULL;
}

static void several_threads_wait_no_longer_than_one(void **state)
{
    (void)state;
    enum { THREADS = 32 };
    pthread_t threads[THREADS];
    nsp_status status[THREADS];
    capture_begin(1);
    int fd = lock_control();
    uint64_t limit = THREADS / 2 * PATIENCE_MS * NSP__MILLISECOND, promptest = UINT64_MAX;
    for (int tries = 0; tries < 20 && promptest >= limit; tries++) {
        uint64_t before = nsp__monotonic_ns();
        for (int i = 0; i < THREADS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, set_rate, &status[i]), 0);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_int_equal(status[i], NSP_ERR_TIMEOUT);
        }
        promptest = nsp__earlier(promptest, nsp__monotonic_ns() - before);
    }
    assert_true(promptest < limit);
    close(fd);
    capture_end();
}

#ifdef NSP_TESTPOINTS
// ---- a writer in another process that stands still ----

static int locked[2];
static char control_path[600];
static pthread_barrier_t waiting;

// Another process, since a lock of this one would be gone after the child of a fork has closed its copy.
static void hold_and_stop(void)
{
    int fd = open(control_path, O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (fd < 0 || fcntl(fd, F_OFD_SETLK, &lock) != 0 || write(locked[1], "", 1) != 1)
        _exit(1);
    raise(SIGSTOP);
    _exit(0);
}

// Once, the thread that waits for that process stands still itself.
static void wait_in_vain(const char *point)
{
    static __thread bool done;
    if (strcmp(point, "policy: another process is changing it") != 0 || done)
        return;
    done = true;
    pthread_barrier_wait(&waiting);
    pthread_barrier_wait(&waiting);
}

// Without a timeout of their own, fork and shutdown would not return here if either waited for the writer.
static void fork_and_shutdown_do_not_wait_for_a_stopped_writer(void **state)
{
    (void)state;
    char byte;
    capture_begin(1);
    snprintf(control_path, sizeof control_path, "%s/control", nsp__trace_state.session->directory);
    assert_int_equal(pipe(locked), 0);
    pid_t stopped = child_fork();
    if (stopped == 0)
        hold_and_stop();
    assert_int_equal(read(locked[0], &byte, 1), 1);
    int how;
    assert_int_equal(waitpid(stopped, &how, WUNTRACED), stopped);
    assert_true(WIFSTOPPED(how));

    pthread_t other;
    nsp_status status = NSP_OK;
    pthread_barrier_init(&waiting, NULL, 2);
    __atomic_store_n(&nsp__testpoint_hook, wait_in_vain, __ATOMIC_RELEASE);
    assert_int_equal(pthread_create(&other, NULL, set_rate, &status), 0);
    pthread_barrier_wait(&waiting);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(nsp_sampler_rate() == 1.0);
    capture_end();
    pthread_barrier_wait(&waiting);
    pthread_join(other, NULL);
    __atomic_store_n(&nsp__testpoint_hook, NULL, __ATOMIC_RELEASE);
    assert_true(status == NSP_ERR_TIMEOUT || status == NSP_ERR_NOT_INITIALISED);
    pthread_barrier_destroy(&waiting);
    kill(stopped, SIGKILL);
    assert_int_equal(waitpid(stopped, &how, 0), stopped);
    close(locked[0]);
    close(locked[1]);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lock_that_is_never_given_up_ends_in_a_timeout),
        cmocka_unit_test(a_lock_that_is_given_up_in_time_is_waited_for),
        cmocka_unit_test(several_threads_wait_no_longer_than_one),
#ifdef NSP_TESTPOINTS
        cmocka_unit_test(fork_and_shutdown_do_not_wait_for_a_stopped_writer),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
