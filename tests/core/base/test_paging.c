// SPDX-License-Identifier: Apache-2.0
//
// NSP_HUGE_PAGES and NSP_LOCK_MEMORY: what the kernel says about the session's memory, where the system refuses
// too, and the one line that says so.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <nanospan/inspect.h>

#include "base/paging.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/session_fixture.h"
#include "trace/trace_state.h"

static const char *const parts[] = {"/control", "/threads", "/detached", "/batches"};
enum { PARTS = sizeof parts / sizeof parts[0] };

static void record(int64_t number)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("span"));
    nsp_span_set_i64(span, NSP_KEY("number"), number);
    nsp_span_end(span);
}

// ---- what the kernel says ----

// A mapping, in KiB.
typedef struct mapped {
    uintptr_t from, to;
    unsigned long size, huge_file, huge_private, locked;
    char path[SESSION_PATH_MAX];
} mapped;

// Calls visit for each mapping of this process.
static void each_mapping(void (*visit)(const mapped *one, void *argument), void *argument)
{
    FILE *file = fopen("/proc/self/smaps", "r");
    assert_non_null(file);
    mapped one;
    char line[SESSION_PATH_MAX + 200];
    bool any = false;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long from, to, value;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %*s", &from, &to) == 2) {
            if (any)
                visit(&one, argument);
            any = true;
            memset(&one, 0, sizeof one);
            one.from = from;
            one.to = to;
            const char *path = strchr(line, '/');
            snprintf(one.path, sizeof one.path, "%.*s", path != NULL ? (int)strcspn(path, "\n") : 0,
                     path != NULL ? path : "");
        } else if (sscanf(line, "Size: %lu", &value) == 1) {
            one.size = value;
        } else if (sscanf(line, "ShmemPmdMapped: %lu", &value) == 1) {
            one.huge_file = value;
        } else if (sscanf(line, "AnonHugePages: %lu", &value) == 1) {
            one.huge_private = value;
        } else if (sscanf(line, "Locked: %lu", &value) == 1) {
            one.locked = value;
        }
    }
    if (any)
        visit(&one, argument);
    fclose(file);
}

// The session's files, part by part, of all mappings that there are.
typedef struct files {
    unsigned count;
    unsigned long size[PARTS], huge[PARTS], locked[PARTS];
} files;

static void add_file(const mapped *one, void *argument)
{
    files *sum = argument;
    for (size_t i = 0; i < PARTS; i++) {
        size_t length = strlen(one->path), part = strlen(parts[i]);
        if (strstr(one->path, directory) == NULL || length < part ||
            strcmp(one->path + length - part, parts[i]) != 0)
            continue;
        sum->count++;
        sum->size[i] += one->size;
        sum->huge[i] += one->huge_file;
        sum->locked[i] += one->locked;
    }
}

static files session_files(void)
{
    files sum;
    memset(&sum, 0, sizeof sum);
    each_mapping(add_file, &sum);
    return sum;
}

typedef struct search {
    uintptr_t address;
    mapped found;
} search;

static void look_for(const mapped *one, void *argument)
{
    search *me = argument;
    if (me->address - one->from < one->to - one->from)
        me->found = *one;
}

static mapped mapping_at(const void *address)
{
    search me = {.address = (uintptr_t)address};
    each_mapping(look_for, &me);
    return me.found;
}

// What the process has locked, in KiB.
static unsigned long locked_kib(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[200];
    unsigned long value = ~0ul;
    while (file != NULL && fgets(line, sizeof line, file) != NULL && sscanf(line, "VmLck: %lu", &value) != 1)
        ;
    if (file != NULL)
        fclose(file);
    return value;
}

// ---- threads that come later ----

// Each gets a slot of its own, because all of them are there at once.
static pthread_barrier_t together;

static void *record_together(void *argument)
{
    record(3);
    pthread_barrier_wait(&together);
    return argument;
}

static void threads_come(unsigned count)
{
    pthread_t threads[8];
    pthread_barrier_init(&together, NULL, count);
    for (unsigned i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, record_together, NULL) != 0)
            abort();
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&together);
}

// ---- what the machine has no room for ----

// Containers often have 64 MiB in /dev/shm, and other tests run at the same time. Each part takes 2 MiB or more,
// here or in a child.
static bool lacks_room(void)
{
    struct statvfs status;
    return statvfs(directory, &status) != 0 ||
           (uint64_t)status.f_bavail * status.f_frsize < 16 * NSP__HUGE_PAGE;
}

#define SKIP_WITHOUT_ROOM()                                                                                  \
    do {                                                                                                     \
        if (lacks_room())                                                                                    \
            SKIP_BECAUSE("less than 32 MiB are free in the shared memory");                                  \
    } while (0)

// Whether the library asked for huge pages, and the system would have given them had enough memory been free in
// one piece.
static bool memory_is_scarce(void)
{
    return capture_lines_with("no 2 MiB of memory were free") != 0;
}

// ---- by default ----

static void nothing_unless_asked_for(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the kernel's report about mappings is the emulator's");
    nsp_config config;
    small_sessions(&config);
    assert_false(config.huge_pages);
    assert_false(config.lock_memory);
    unsigned long before = locked_kib();
    capture_start(&config);
    record(1);
    files seen = session_files();
    assert_int_equal(seen.count, PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        assert_true(seen.size[i] < 2048);
        assert_int_equal(seen.locked[i], 0);
    }
    assert_int_equal(locked_kib(), before);
    assert_int_equal(capture_lines_with("in huge pages"), 0);
    assert_int_equal(capture_lines_with(", locked"), 0);
    capture_settle();
    capture_end();
}

// ---- huge pages ----

// What the library is to achieve here, found out without it: true if this system puts a huge page under a
// mapping of a file in the test's folder or, with fd -1, of private memory.
static bool system_gives_any(int fd)
{
    enum { COLLAPSE = 25 }; // MADV_COLLAPSE, which older headers lack
    char *start =
        mmap(NULL, 2 * NSP__HUGE_PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_ptr_not_equal(start, MAP_FAILED);
    char *place = start + (-(uintptr_t)start & (NSP__HUGE_PAGE - 1));
    int flags = (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED) | MAP_FIXED | MAP_POPULATE;
    assert_ptr_equal(mmap(place, NSP__HUGE_PAGE, PROT_READ | PROT_WRITE, flags, fd, 0), place);
    madvise(place, NSP__HUGE_PAGE, MADV_HUGEPAGE);
    bool given = madvise(place, NSP__HUGE_PAGE, COLLAPSE) == 0;
    munmap(start, 2 * NSP__HUGE_PAGE);
    return given;
}

static bool system_gives_any_in_files(void)
{
    char path[SESSION_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/a-huge-page", directory);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    bool given = posix_fallocate(fd, 0, (off_t)NSP__HUGE_PAGE) == 0 && system_gives_any(fd);
    close(fd);
    return given;
}

static void huge_pages_in_files(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the kernel's report about mappings is the emulator's");
    SKIP_WITHOUT_ROOM();
    nsp_config config;
    small_sessions(&config);
    config.huge_pages = true;
    capture_start(&config);
    record(1);
    threads_come(2);
    assert_int_equal(nsp_flush(60000000000u), NSP_OK);
    files seen = session_files();
    assert_true(seen.count >= PARTS);
    for (size_t i = 0; i < PARTS; i++) {
        assert_true(seen.size[i] != 0);
        assert_int_equal(seen.size[i] % 2048, 0);
    }
    assert_int_equal(seen.size[1], 3 * 2048); // three threads
    bool scarce = memory_is_scarce(), all = capture_lines_with("NSP_HUGE_PAGES: ") == 0;
    for (size_t i = 0; i < PARTS && all; i++)
        assert_int_equal(seen.huge[i], seen.size[i]);
    if (!scarce) {
        assert_true(all || !system_gives_any_in_files());
        assert_int_equal(capture_lines_with(", in huge pages"), all);
    }
    assert_int_equal(capture_lines_with("NSP_HUGE_PAGES: "), !all);
    assert_int_equal(capture_count(), 3);
    capture_end();
    seen = session_files();
    assert_int_equal(seen.count, 0);
    if (scarce)
        SKIP_BECAUSE("too little memory is free in pieces of 2 MiB; only sizes and the line were checked");
    if (!all)
        SKIP_BECAUSE(
            "this system gives no huge pages in shared memory; only sizes and the line were checked");
}

static void huge_pages_in_private_memory(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the kernel's report about mappings is the emulator's");
    nsp_config config;
    small_sessions(&config);
    config.shm_dir = "none";
    config.huge_pages = true;
    capture_start(&config);
    record(1);
    threads_come(2);
    const void *const memory[] = {nsp__trace_state.control,
                                  nsp__trace_state.session->batches,
                                  nsp__trace_state.pool.frames,
                                  nsp__trace_state.unsampled_pool.frames,
                                  nsp__slot_at(0),
                                  nsp__slot_at(2)};
    assert_int_equal(nsp_flush(60000000000u), NSP_OK); // what was refused to a thread is said by now
    bool scarce = memory_is_scarce(), all = capture_lines_with("NSP_HUGE_PAGES: ") == 0;
    if (!scarce)
        assert_true(all || !system_gives_any(-1));
    assert_int_equal(capture_lines_with("NSP_HUGE_PAGES: "), !all);
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
        mapped one = mapping_at(memory[i]);
        assert_true(one.size != 0);
        assert_int_equal(one.size % 2048, 0);
        if (all)
            assert_int_equal(one.huge_private, one.size);
    }
    // What has but a page of its own stays small.
    assert_true(mapping_at(nsp__producer_at(0)).huge_private == 0);
    capture_settle();
    capture_end();
    if (scarce)
        SKIP_BECAUSE("too little memory is free in pieces of 2 MiB; only sizes and the line were checked");
    if (!all)
        SKIP_BECAUSE("this system gives no huge pages; only sizes and the line were checked");
}

static void trace_without_huge_pages(void *argument)
{
    const bool *in_files = argument;
    nsp_config config;
    CHILD_CHECK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
    small_sessions(&config);
    if (!*in_files)
        config.shm_dir = "none";
    config.huge_pages = true;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(capture_lines_with("NSP_HUGE_PAGES: 0 of the session's ") == 1);
    CHILD_CHECK(capture_lines_with("PR_SET_THP_DISABLE") == 1);
    record(1);
    threads_come(3);
    capture_settle();
    CHILD_CHECK(capture_count() == 4);
    CHILD_CHECK(capture_lines_with("NSP_HUGE_PAGES: ") == 1); // whoever comes later does not say it again
    CHILD_CHECK(capture_lines_with(", in huge pages") == 0);
    capture_end();
}

static void a_system_that_gives_none(void **state)
{
    (void)state;
    SKIP_WITHOUT_ROOM();
    SKIP_ON_EMULATOR("prctl does not know PR_SET_THP_DISABLE");
    bool in_files = true;
    assert_int_equal(child_run(trace_without_huge_pages, &in_files, 60), 0);
    in_files = false;
    assert_int_equal(child_run(trace_without_huge_pages, &in_files, 60), 0);
}

// The parts are larger than this file size limit because they are rounded up.
static void trace_below_a_file_size_limit(void *argument)
{
    (void)argument;
    struct rlimit limit = {1024 * 1024, 1024 * 1024};
    nsp_config config;
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    small_sessions(&config);
    config.huge_pages = true;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(capture_lines_with("ulimit -f") == 1);
    CHILD_CHECK(capture_lines_with("private memory") == 1);
    record(1);
    capture_settle();
    CHILD_CHECK(capture_count() == 1);
    capture_end();
    config.huge_pages = false;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(capture_lines_with("private memory") == 0);
    capture_end();
}

static void sizes_count_against_the_file_size_limit(void **state)
{
    (void)state;
    SKIP_WITHOUT_ROOM();
    assert_int_equal(child_run(trace_below_a_file_size_limit, NULL, 60), 0);
}

// ---- locked memory ----

static bool locks_cannot_be_seen(void)
{
    return TEST_UNDER_ASAN || TEST_UNDER_TSAN; // their mlock does nothing
}

static void memory_is_locked(void **state)
{
    (void)state;
    SKIP_WITHOUT_ROOM();
    SKIP_ON_EMULATOR("the kernel's report about mappings is the emulator's");
    if (locks_cannot_be_seen())
        SKIP_BECAUSE("under a sanitizer, mlock does nothing");
    nsp_config config;
    unsigned long before = locked_kib();
    for (int session = 0; session < 2; session++) {
        small_sessions(&config);
        config.lock_memory = true;
        config.huge_pages = session == 1;
        capture_start(&config);
        record(1);
        threads_come(2);
        if (capture_lines_with("NSP_LOCK_MEMORY: ") != 0) {
            capture_settle();
            capture_end();
            SKIP_BECAUSE("this user may not lock enough memory");
        }
        assert_int_equal(capture_lines_with(", locked"), 1);
        files seen = session_files();
        for (size_t i = 0; i < PARTS; i++) {
            assert_true(seen.size[i] != 0);
            assert_int_equal(seen.locked[i], seen.size[i]);
        }
        mapped producer = mapping_at(nsp__producer_at(2));
        assert_true(producer.size != 0);
        assert_int_equal(producer.locked, producer.size);
        assert_true(mapping_at(nsp__trace_state.unsampled_pool.frames).locked != 0);
        assert_true(locked_kib() > before + seen.size[0] + seen.size[1]);
        capture_settle();
        capture_end();
        // A program that starts and stops tracing often does not run out of what it may lock.
        assert_int_equal(locked_kib(), before);
    }
}

// Becomes a user to whom the limit applies.
static void limit_locks(rlim_t bytes)
{
    struct rlimit limit = {bytes, bytes};
    CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
    if (geteuid() == 0) {
        CHILD_CHECK(chown(directory, 65534, 65534) == 0);
        CHILD_CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
    }
}

static void trace_without_locks(void *argument)
{
    const bool *in_files = argument;
    nsp_config config;
    limit_locks(0);
    small_sessions(&config);
    if (!*in_files)
        config.shm_dir = "none";
    config.lock_memory = true;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    static const char *const said[] = {"NSP_LOCK_MEMORY: 0 of the session's ",
                                       "RLIMIT_MEMLOCK is too low",
                                       "RLIMIT_MEMLOCK: 0 KiB; needed: ",
                                       "ulimit -l",
                                       "LimitMEMLOCK=",
                                       "CAP_IPC_LOCK"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        CHILD_CHECK(capture_lines_with(said[i]) == 1);
    CHILD_CHECK(capture_lines_with(", locked") == 0);
    record(1);
    threads_come(3);
    capture_settle();
    CHILD_CHECK(locked_kib() == 0);
    CHILD_CHECK(capture_count() == 4);
    CHILD_CHECK(capture_lines_with("NSP_LOCK_MEMORY: ") == 1);
    CHILD_CHECK(capture_lines_with("private memory") == 0); // unlocked, but shared
    capture_end();
}

static void nobody_may_lock(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the limit is the emulator's");
    if (locks_cannot_be_seen())
        SKIP_BECAUSE("under a sanitizer, mlock does nothing");
    bool in_files = true;
    assert_int_equal(child_run(trace_without_locks, &in_files, 60), 0);
    in_files = false;
    assert_int_equal(child_run(trace_without_locks, &in_files, 60), 0);
}

// The limit is such that the session fits, but no further thread.
static void trace_up_to_the_limit(void *argument)
{
    const unsigned long *enough = argument;
    nsp_config config;
    limit_locks(*enough * 1024);
    small_sessions(&config);
    config.lock_memory = true;
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(capture_lines_with("NSP_LOCK_MEMORY: ") == 0);
    CHILD_CHECK(capture_lines_with(", locked") == 1);
    CHILD_CHECK(locked_kib() == *enough);
    threads_come(3);
    for (int i = 0; i < 2000 && capture_lines_with("NSP_LOCK_MEMORY: ") == 0; i++)
        nanosleep(&(struct timespec){0, 5000000}, NULL);
    threads_come(5);
    capture_settle();
    capture_settle();
    CHILD_CHECK(capture_lines_with("NSP_LOCK_MEMORY: ") == 1);
    CHILD_CHECK(capture_count() == 8);
    capture_end();
}

static void measure_a_session(void *argument)
{
    unsigned long *kib = argument;
    nsp_config config;
    small_sessions(&config);
    config.lock_memory = true;
    capture_start(&config);
    *kib = locked_kib();
    capture_end();
}

static void a_thread_that_finds_the_limit_reached(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the limit is the emulator's");
    if (locks_cannot_be_seen())
        SKIP_BECAUSE("under a sanitizer, mlock does nothing");
    unsigned long kib = 0;
    measure_a_session(&kib);
    if (kib == 0)
        SKIP_BECAUSE("this user may not lock enough memory");
    assert_int_equal(child_run(trace_up_to_the_limit, &kib, 60), 0);
}

// ---- children, and readers from outside ----

static void child_traces(void *argument)
{
    const bool *locks = argument;
    record(1);
    files seen = session_files();
    CHILD_CHECK(seen.count == PARTS); // its own; the parent's are not there
    for (size_t i = 0; i < PARTS; i++) {
        CHILD_CHECK(seen.size[i] != 0 && seen.size[i] % 2048 == 0);
        if (*locks)
            CHILD_CHECK(seen.locked[i] == seen.size[i]);
    }
    capture_settle();
    CHILD_CHECK(capture_count() == 1);
    capture_end();
}

static void children_have_sessions_like_it(void **state)
{
    (void)state;
    SKIP_WITHOUT_ROOM();
    SKIP_WITHOUT_THREADS_IN_CHILDREN();
    nsp_config config;
    small_sessions(&config);
    config.lock_memory = config.huge_pages = true;
    capture_start(&config);
    record(1);
    capture_settle();
    files before = session_files();
    bool locks = !locks_cannot_be_seen() && capture_lines_with("NSP_LOCK_MEMORY: ") == 0;
    assert_int_equal(child_run(child_traces, &locks, 60), 0);
    files after = session_files();
    assert_memory_equal(&after, &before, sizeof after); // the fork took nothing apart
    capture_end();
}

static bool check_session(void *argument, const nsp_session *session)
{
    unsigned *count = argument;
    CHILD_CHECK(session->problem == NULL);
    CHILD_CHECK(session->alive);
    CHILD_CHECK(session->stats.attempted == 4 && session->stats.threads_private == 0);
    CHILD_CHECK(session->bytes % NSP__HUGE_PAGE == 0 && session->bytes >= 7 * NSP__HUGE_PAGE);
    ++*count;
    return true;
}

static void look_from_outside(void *argument)
{
    (void)argument;
    unsigned count = 0;
    CHILD_CHECK(nsp_sessions_each(directory, check_session, &count) == NSP_OK);
    CHILD_CHECK(count == 1);
}

static void others_can_read_it(void **state)
{
    (void)state;
    SKIP_WITHOUT_ROOM();
    nsp_config config;
    small_sessions(&config);
    config.lock_memory = config.huge_pages = true;
    capture_start(&config);
    record(1);
    threads_come(3);
    capture_settle();
    assert_int_equal(child_run(look_from_outside, NULL, 60), 0);
    capture_end();
}

// ---- hugetlbfs ----

static bool mount_hugetlbfs(void)
{
    static bool apart;
    if (!apart && (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
                   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0))
        return false;
    apart = true;
    return mount("hugetlbfs", directory, "hugetlbfs", 0, "pagesize=2M,mode=0700") == 0;
}

static unsigned long free_huge_pages(void)
{
    FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
    unsigned long count = 0;
    if (file == NULL || fscanf(file, "%lu", &count) != 1)
        count = 0;
    if (file != NULL)
        fclose(file);
    return count;
}

static void a_hugetlbfs_needs_the_setting(void **state)
{
    (void)state;
    if (!mount_hugetlbfs())
        SKIP_BECAUSE("a hugetlbfs can only be mounted by root, and needs a kernel that has it");
    nsp_config config;
    small_sessions(&config);
    capture_start(&config);
    record(1);
    capture_settle();
    assert_int_equal(capture_count(), 1);
    assert_int_equal(capture_lines_with("a hugetlbfs needs NSP_HUGE_PAGES=yes"), 1);
    assert_int_equal(session_dir_count(directory), 0);
    capture_end();
    assert_int_equal(umount(directory), 0);
}

static void a_session_in_a_hugetlbfs(void **state)
{
    (void)state;
    enum { NEEDED = 3 + 4 }; // control, detached, batches; four threads
    if (!mount_hugetlbfs())
        SKIP_BECAUSE("a hugetlbfs can only be mounted by root, and needs a kernel that has it");
    unsigned long pages = free_huge_pages();
    nsp_config config;
    small_sessions(&config);
    config.huge_pages = true;
    if (pages < NEEDED) {
        // The pool is too small, which is an error at the start and never a SIGBUS later.
        capture_start(&config);
        record(1);
        capture_settle();
        assert_int_equal(capture_lines_with("private memory"), 1);
        capture_end();
        assert_int_equal(umount(directory), 0);
        SKIP_BECAUSE("/proc/sys/vm/nr_hugepages is too small for a session");
    }
    config.lock_memory = true;
    capture_start(&config);
    record(1);
    threads_come(3);
    capture_settle();
    assert_int_equal(capture_lines_with("NSP_HUGE_PAGES: "), 0);
    assert_int_equal(capture_lines_with("private"), 0);
    assert_int_equal(free_huge_pages(), pages - NEEDED);
    assert_int_equal(child_run(look_from_outside, NULL, 60), 0);
    capture_end();
    assert_int_equal(session_dir_count(directory), 0);
    assert_int_equal(free_huge_pages(), pages);
    assert_int_equal(umount(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_unless_asked_for, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(huge_pages_in_files, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(huge_pages_in_private_memory, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_system_that_gives_none, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(sizes_count_against_the_file_size_limit, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(memory_is_locked, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(nobody_may_lock, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_thread_that_finds_the_limit_reached, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(children_have_sessions_like_it, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(others_can_read_it, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_hugetlbfs_needs_the_setting, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_session_in_a_hugetlbfs, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
