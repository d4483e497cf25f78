// SPDX-License-Identifier: Apache-2.0
//
// The session's directory: who may see it, what it contains, what happens without it, and when it is removed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/time.h"
#include "shm/speculation.h"
#include "support/child.h"
#include "support/sanitizer.h"
#include "support/session_fixture.h"
#include "trace/thread_state.h"

static void record(int64_t number)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_i64(span, NSP_KEY("number"), number);
    nsp_span_end(span);
}

// ---- signals ----

// An older kernel beside a fast timer: as long as the signal may arrive, the space is never reserved.
static bool timer_runs;
static unsigned interrupted;

int posix_fallocate(int fd, off_t offset, off_t length)
{
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    if (timer_runs && sigismember(&blocked, SIGALRM) != 1)
        return ++interrupted < 100 ? EINTR : ENOSPC;
    return syscall(SYS_fallocate, fd, 0, offset, length) == 0 ? 0 : errno;
}

static void a_timer_does_not_keep_it_from_starting(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    timer_runs = true;
    capture_start(&config);
    record(1);
    timer_runs = false;
    assert_true(interrupted > 0);
    sigset_t blocked;
    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    assert_int_equal(sigismember(&blocked, SIGALRM), 0);
    assert_int_equal(session_dir_count(directory), 1);
    assert_int_equal(capture_lines_with("shared memory"), 0);
    capture_settle();
    assert_int_equal(capture_balance().threads_private, 0);
    capture_end();
}

// ---- files of a session ----

static void check_permissions_and_files(mode_t creation_mask)
{
    nsp_config config;
    small_sessions(&config);
    config.service_name = "../My Engine/ä";
    mode_t mask = umask(creation_mask);
    capture_start(&config);
    umask(mask);
    record(1);
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 32];
    assert_true(session_dir_of(directory, getpid(), session));
    assert_non_null(strstr(session, "/___My_Engine___"));
    struct stat status;
    snprintf(path, sizeof path, "%s/nanospan-%u", directory, (unsigned)geteuid());
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(stat(session, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    static const char *const names[] = {"control", "threads", "detached", "batches", "alive", "consumer"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", session, names[i]);
        assert_int_equal(lstat(path, &status), 0);
        assert_int_equal(status.st_mode, S_IFREG | 0600);
        // All blocks are allocated, so none can be missing later.
        assert_true((uint64_t)status.st_blocks * 512 >= (uint64_t)status.st_size);
        assert_int_equal(status.st_size == 0,
                         strcmp(names[i], "alive") == 0 || strcmp(names[i], "consumer") == 0);
    }
    capture_settle();
    capture_end();
    assert_int_equal(session_dir_count(directory), 0);
    assert_true(capture_lines_with("shared memory") == 0);
}

// This does not depend on the umask.
static void permissions_and_files(void **state)
{
    (void)state;
    check_permissions_and_files(0);
    check_permissions_and_files(0077);
}

static void a_umask_that_takes_everything(void **state)
{
    (void)state;
    char path[SESSION_PATH_MAX + 32];
    check_permissions_and_files(0777);
    // An earlier process left the folder in this state.
    snprintf(path, sizeof path, "%s/nanospan-%u", directory, (unsigned)geteuid());
    assert_int_equal(chmod(path, 0), 0);
    check_permissions_and_files(0777);
}

// Runs as a user to whom file modes apply.
static void ordinary_user(void *argument)
{
    (void)argument;
    if (geteuid() == 0) {
        CHILD_CHECK(chmod(directory, 0700) == 0 && chown(directory, 12345, 12345) == 0);
        CHILD_CHECK(setresgid(12345, 12345, 12345) == 0 && setresuid(12345, 12345, 12345) == 0);
    }
    a_umask_that_takes_everything(NULL);
}

static void ordinary_user_with_such_a_umask(void **state)
{
    (void)state;
    assert_int_equal(child_run(ordinary_user, NULL, 60), 0);
}

static void header(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 32];
    assert_true(session_dir_of(directory, getpid(), session));
    snprintf(path, sizeof path, "%s/control", session);
    int fd = open(path, O_RDONLY);
    nsp__control *control = malloc(sizeof *control);
    assert_non_null(control);
    assert_int_equal(pread(fd, control, sizeof *control, 0), sizeof *control);
    close(fd);
    assert_true(control->magic == NSP__SESSION_MAGIC);
    assert_int_equal(control->version, NSP__SESSION_VERSION);
    assert_int_equal(control->pid, getpid());
    assert_int_equal(control->control_bytes, sizeof *control);
    assert_int_equal(control->threads_max, config.threads);
    assert_int_equal(control->record_bytes, 512);
    assert_true(control->start_unix_ns / 1000000000u - (uint64_t)time(NULL) + 60 < 120);
    assert_non_null(memmem(control->resource, control->resource_bytes, "\1service.name\0test", 19));
    free(control);
    capture_end();
}

// From another process.
static void look_at_locks(void *argument)
{
    const char *session = argument;
    static const char *const names[] = {"alive", "consumer"};
    for (int i = 0; i < 2; i++) {
        char path[SESSION_PATH_MAX + 32];
        snprintf(path, sizeof path, "%s/%s", session, names[i]);
        int fd = open(path, O_RDWR);
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        CHILD_CHECK(fd >= 0);
        CHILD_CHECK(fcntl(fd, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES));
        // The lock does not belong to the process, or another copy of the library in it could release it.
        CHILD_CHECK(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK && lock.l_pid == -1);
        close(fd);
    }
}

static void locks_show_who_lives(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    char session[SESSION_PATH_MAX];
    assert_true(session_dir_of(directory, getpid(), session));
    assert_int_equal(child_run(look_at_locks, session, 30), 0);
    // The first child opened and closed the files, traced nothing, and was forked from the owner: the locks
    // are still held.
    assert_int_equal(child_run(look_at_locks, session, 30), 0);
    capture_end();
}

// ---- without shared memory ----

static void private_but_working(nsp_config *config)
{
    config->log_level = NSP_LOG_WARN; // counts complaints only
    capture_start(config);
    record(1);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_lines_with("private memory"), 1);
    assert_int_equal(capture_lines(), 1);
    capture_end();
}

static void forbidden_directories(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    char path[SESSION_PATH_MAX + 32], target[SESSION_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/nanospan-%u", directory, (unsigned)geteuid());

    config.shm_dir = "/proc/self/no-such-place";
    private_but_working(&config);
    config.shm_dir = "/proc"; // nobody may write there
    private_but_working(&config);

    config.shm_dir = directory;
    // Others may write to it.
    assert_int_equal(mkdir(path, 0770), 0);
    assert_int_equal(chmod(path, 0770), 0);
    private_but_working(&config);
    assert_int_equal(rmdir(path), 0);
    // It is a link to another folder.
    snprintf(target, sizeof target, "%s/elsewhere", directory);
    assert_int_equal(mkdir(target, 0700), 0);
    assert_int_equal(symlink(target, path), 0);
    private_but_working(&config);
    assert_int_equal(unlink(path), 0);
    // It is not a directory.
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    private_but_working(&config);
    assert_int_equal(unlink(path), 0);
    if (geteuid() == 0) { // it belongs to another user
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chown(path, 12345, 12345), 0);
        private_but_working(&config);
        assert_int_equal(rmdir(path), 0);
    }
    // Afterwards it works again.
    capture_start(&config);
    assert_int_equal(session_dir_count(directory), 1);
    assert_int_equal(capture_lines(), 0);
    capture_end();
}

static void none_is_not_a_complaint(void **state)
{
    (void)state;
    nsp_config config;
    small_sessions(&config);
    config.shm_dir = "none";
    config.log_level = NSP_LOG_WARN;
    capture_start(&config);
    record(1);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_lines(), 0);
    assert_int_equal(session_dir_count(directory), 0);
    capture_end();
}

// ---- too little shared memory ----

// Mounts a file system of this size on the test's directory, in a private mount namespace.
static bool mount_small(const char *size)
{
    char options[64];
    snprintf(options, sizeof options, "size=%s,mode=0700", size);
    static bool apart;
    if (!apart && (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
                   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
        return false;
    apart = true;
    return mount("tmpfs", directory, "tmpfs", 0, options) == 0;
}

static void full_file_system(void **state)
{
    (void)state;
    if (!mount_small("64k"))
        SKIP_BECAUSE("a small file system can only be mounted by root");
    nsp_config config;
    small_sessions(&config);
    private_but_working(&config);
    assert_int_equal(session_dir_count(directory), 0); // no incomplete session is left
    assert_int_equal(umount(directory), 0);
}

static pthread_barrier_t together;

static void *record_some(void *argument)
{
    record(1);
    pthread_barrier_wait(&together);
    for (int i = 0; i < 50; i++)
        record(i);
    pthread_barrier_wait(&together);
    return argument;
}

// A container has 64 MiB of shared memory: the rings that no longer fit are private, thread by thread.
static void a_container_with_200_threads(void **state)
{
    (void)state;
    enum { THREADS = 200, SPANS = THREADS * 51 };
    if (!mount_small("64m"))
        SKIP_BECAUSE("a small file system can only be mounted by root");
    nsp_config config;
    capture_config(&config); // with rings of the default size
    config.shm_dir = directory;
    uint64_t begin = nsp__monotonic_ns();
    capture_start(&config);
    pthread_t threads[THREADS];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 256 * 1024);
    pthread_barrier_init(&together, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], &attributes, record_some, NULL), 0);
    pthread_barrier_wait(&together);
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    assert_int_equal(stats.threads, THREADS);
    assert_in_range(stats.threads_private, THREADS / 2, THREADS - 10);
    pthread_barrier_wait(&together);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
    pthread_attr_destroy(&attributes);
    capture_settle();
    stats = capture_balance();
    assert_int_equal(stats.exported, SPANS);
    assert_int_equal(stats.dropped, 0);
    assert_int_equal(capture_count(), SPANS);
    capture_await_line_with("private rings");
    // Rate limited, not one a thread. On a slow machine the threads come over a time for which there are
    // more.
    assert_in_range(capture_lines(), 1, 6 + (nsp__monotonic_ns() - begin) / UINT64_C(10000000000));
    capture_end();
    assert_int_equal(umount(directory), 0);
}

// ---- dead sessions ----

static void engine_that_is_killed(void *argument)
{
    const uint32_t *keep = argument;
    nsp_config config;
    small_sessions(&config);
    config.keep_sessions = *keep;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(1);
    raise(SIGKILL);
}

static void make_dead(unsigned count)
{
    uint32_t keep = 1000;
    for (unsigned i = 0; i < count; i++)
        assert_true(WIFSIGNALED(child_run(engine_that_is_killed, &keep, 60)));
}

// The number of sessions after an engine has started with these limits, not counting its own.
static size_t left_after(uint32_t keep_sessions, uint64_t keep_bytes)
{
    nsp_config config;
    small_sessions(&config);
    config.keep_sessions = keep_sessions;
    config.keep_bytes = keep_bytes;
    capture_start(&config);
    char session[SESSION_PATH_MAX];
    assert_true(session_dir_of(directory, getpid(), session));
    size_t left = session_dir_count(directory) - 1;
    capture_end();
    return left;
}

static uint64_t bytes_of_session(void)
{
    nsp_config config;
    small_sessions(&config);
    return sizeof(nsp__control) + config.batches * config.batch_bytes + NSP__SPECULATION_OFFSET +
           sizeof(nsp__speculation) + config.ring_bytes + config.outlier_bytes;
}

static void dead_sessions_are_pruned(void **state)
{
    (void)state;
    make_dead(5);
    assert_int_equal(session_dir_count(directory), 5);
    assert_int_equal(left_after(8, UINT64_C(1) << 40), 5);
    assert_int_equal(left_after(3, UINT64_C(1) << 40), 3);
    assert_int_equal(left_after(3, 5 * bytes_of_session() / 2), 2);
    assert_int_equal(left_after(3, 3 * bytes_of_session() / 2), 1);
    assert_int_equal(left_after(0, UINT64_C(1) << 40), 0);
}

static void wait_for_word(void *argument)
{
    int *pipes = argument;
    nsp_config config;
    char byte = 0;
    small_sessions(&config);
    config.keep_sessions = 1000;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    record(1);
    CHILD_CHECK(write(pipes[1], &byte, 1) == 1);
    CHILD_CHECK(read(pipes[2], &byte, 1) == 1);
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(capture_count() == 1);
}

static void live_sessions_are_left_alone(void **state)
{
    (void)state;
    int pipes[4];
    char byte = 0;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(pipe(pipes + 2), 0);
    pid_t child = fork();
    if (child == 0) {
        wait_for_word(pipes);
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    make_dead(2);
    // Files and folders of others as well.
    char path[SESSION_PATH_MAX + 64], other[SESSION_PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/nanospan-%u/not-a-session", directory, (unsigned)geteuid());
    snprintf(other, sizeof other, "%s/nanospan-%u/a.file.here", directory, (unsigned)geteuid());
    assert_int_equal(mkdir(path, 0700), 0);
    close(open(other, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(session_dir_count(directory), 5);
    assert_int_equal(left_after(0, 0), 3); // the live one and what is not a session
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(write(pipes[3], &byte, 1), 1);
    assert_int_equal(child_wait(child, 60), 0);
    for (int i = 0; i < 4; i++)
        close(pipes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_timer_does_not_keep_it_from_starting, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(permissions_and_files, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_umask_that_takes_everything, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(ordinary_user_with_such_a_umask, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(header, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(locks_show_who_lives, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(forbidden_directories, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(none_is_not_a_complaint, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(full_file_system, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_container_with_200_threads, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(dead_sessions_are_pruned, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(live_sessions_are_left_alone, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
