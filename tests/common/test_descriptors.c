// SPDX-License-Identifier: Apache-2.0
//
// The library and the process's descriptors and limits. The library keeps no descriptor between its calls and
// takes none of the standard ones. What the application does to its own descriptors does not harm a session.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/testpoint.h"
#include "outside/prune.h"
#include "support/child.h"
#include "support/sanitizer.h"
#include "support/session_fixture.h"

static void configure(nsp_config *config)
{
    capture_config(config);
    config->shm_dir = directory;
    config->ring_bytes = 64 * 1024;
    config->batches = 2;
    config->batch_bytes = 64 * 1024;
    config->keep_sessions = 0;
}

static void start(void)
{
    nsp_config config;
    configure(&config);
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

static void record(void)
{
    nsp_span_end(nsp_span_begin(NSP_NAME("span")));
}

static void *record_and_look(void *argument)
{
    nsp_stats *stats = argument;
    record();
    CHILD_CHECK(nsp_stats_get(stats) == NSP_OK);
    return NULL;
}

// Records in a new thread. Returns how many threads have private memory while that one exists.
static unsigned record_in_new_thread(void)
{
    pthread_t thread;
    nsp_stats stats = NSP_STATS_INIT;
    CHILD_CHECK(pthread_create(&thread, NULL, record_and_look, &stats) == 0);
    pthread_join(thread, NULL);
    return stats.threads_private;
}

// Acts like another engine that starts and removes all sessions that seem dead.
static void prune(void *argument)
{
    (void)argument;
    char folder[SESSION_PATH_MAX];
    snprintf(folder, sizeof folder, "%.500s/nanospan-%u", directory, (unsigned)geteuid());
    CHILD_CHECK(nsp__session_prune(folder, 0, 0) == 0);
}

static unsigned open_descriptors(void)
{
    unsigned count = 0;
    DIR *list = opendir("/proc/self/fd");
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

// ---- descriptors that the application closes ----

enum { JOURNALS = 64 };
static const char entry[] = "an order that must not get lost\n";

// Opens application files under every number that the library's descriptors may have had.
static void open_journals(int journals[JOURNALS])
{
    char path[SESSION_PATH_MAX + 32];
    for (int i = 0; i < JOURNALS; i++) {
        snprintf(path, sizeof path, "%s/journal.%d", directory, i);
        journals[i] = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
        CHILD_CHECK(write(journals[i], entry, strlen(entry)) == (ssize_t)strlen(entry));
    }
}

static void check_journals(const int journals[JOURNALS])
{
    for (int i = 0; i < JOURNALS; i++) {
        char text[2 * sizeof entry] = "";
        CHILD_CHECK(pread(journals[i], text, sizeof text, 0) == (ssize_t)strlen(entry));
        CHILD_CHECK(strcmp(text, entry) == 0);
    }
}

static void daemon_that_closes_all(void *argument)
{
    (void)argument;
    int journals[JOURNALS];
    char session[SESSION_PATH_MAX];
    start();
    record();
    // What daemons do: change to another folder and close all descriptors.
    CHILD_CHECK(chdir("/") == 0);
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    open_journals(journals);
    CHILD_CHECK(record_in_new_thread() == 0);
    CHILD_CHECK(nsp_sampler_set_rule("quiet*", 0.5) == NSP_OK);
    CHILD_CHECK(child_run(prune, NULL, 60) == 0);
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(!session_dir_of(directory, getpid(), session));
    CHILD_CHECK(capture_count() == 2);
    check_journals(journals);
}

static void closed_descriptors(void **state)
{
    (void)state;
    assert_int_equal(child_run(daemon_that_closes_all, NULL, 60), 0);
}

static void no_descriptors_are_kept(void **state)
{
    (void)state;
    nsp_config config;
    configure(&config);
    unsigned before = open_descriptors();
    capture_start(&config);
    record();
    assert_int_equal(open_descriptors(), before);
    capture_settle();
    capture_end();
    assert_int_equal(open_descriptors(), before);
}

// ---- standard descriptors that are closed ----

static void check_standard(const char *name)
{
    (void)name;
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) != -1)
            _exit(97); // no descriptor is left to report it on
}

static void without_standard_descriptors(void *argument)
{
    (void)argument;
    for (int fd = 0; fd < 3; fd++)
        close(fd);
#ifdef NSP_TESTPOINTS
    __atomic_store_n(&nsp__testpoint_hook, check_standard,
                     __ATOMIC_RELEASE); // while the library has files open
#endif
    start();
    check_standard("after init");
    CHILD_CHECK(record_in_new_thread() == 0);
    CHILD_CHECK(nsp_sampler_set_rate(0.5) == NSP_OK);
    check_standard("after an attach");
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    check_standard("after shutdown");
}

static void closed_standard_descriptors(void **state)
{
    (void)state;
    assert_int_equal(child_run(without_standard_descriptors, NULL, 60), 0);
}

// ---- two copies of the library in one process ----

#define LIBRARY NSP_BUILD_DIR "/libnanospan.so"

static void find(void *handle, void *function, const char *name)
{
    void *address = dlsym(handle, name);
    CHILD_CHECK(address != NULL);
    *(void **)function = address;
}

static void with_second_copy(void *argument)
{
    (void)argument;
    void (*config_init)(nsp_config *, size_t);
    nsp_status (*init)(const nsp_config *);
    nsp_status (*shutdown)(uint64_t);
    start();
    void *copy = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    CHILD_CHECK(copy != NULL);
    find(copy, &config_init, "nsp__config_init");
    find(copy, &init, "nsp_init");
    find(copy, &shutdown, "nsp_shutdown");
    CHILD_CHECK(init != nsp_init);
    nsp_config config;
    config_init(&config, sizeof config);
    config.shm_dir = directory;
    config.exporter = "none";
    config.log_level = NSP_LOG_ERROR;
    config.keep_sessions = 0;
    CHILD_CHECK(init(&config) == NSP_OK);
    CHILD_CHECK(session_dir_count(directory) == 2); // the second copy has removed nothing,
    CHILD_CHECK(child_run(prune, NULL, 60) == 0);   // and has not released the first one's lock
    CHILD_CHECK(session_dir_count(directory) == 2);
    CHILD_CHECK(shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(child_run(prune, NULL, 60) == 0);
    CHILD_CHECK(session_dir_count(directory) == 1);
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
}

static void two_copies_of_the_library(void **state)
{
    (void)state;
    if (access(LIBRARY, R_OK) != 0)
        SKIP_BECAUSE("the shared library is not built");
    assert_int_equal(child_run(with_second_copy, NULL, 60), 0);
}

// ---- the limit of file sizes ----

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    CHILD_CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    CHILD_CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void small_files_only(void *argument)
{
    (void)argument;
    limit_file_size(100 * 1024);
    start();
    CHILD_CHECK(record_in_new_thread() == 1);
    CHILD_CHECK(session_dir_count(directory) == 0);
    CHILD_CHECK(capture_lines_with("ulimit -f") == 1);
    CHILD_CHECK(capture_lines_with("private memory") == 1);
    CHILD_CHECK(capture_lines() == 1 + capture_lines_with("tracing is on"));
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(capture_count() == 1);
}

static void no_larger_files_any_more(void *argument)
{
    (void)argument;
    char session[SESSION_PATH_MAX], path[SESSION_PATH_MAX + 16];
    struct stat status;
    start();
    record();
    CHILD_CHECK(session_dir_of(directory, getpid(), session));
    snprintf(path, sizeof path, "%s/threads", session);
    CHILD_CHECK(stat(path, &status) == 0);
    limit_file_size((rlim_t)status.st_size + 4096);
    CHILD_CHECK(record_in_new_thread() == 1);
    CHILD_CHECK(nsp_shutdown(10000000000u) == NSP_OK);
    CHILD_CHECK(capture_count() == 2);
    CHILD_CHECK(capture_lines_with("private rings") == 1);
}

static void limit_of_file_sizes(void **state)
{
    (void)state;
    assert_int_equal(child_run(small_files_only, NULL, 60), 0);
    assert_int_equal(child_run(no_larger_files_any_more, NULL, 60), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(closed_descriptors, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(no_descriptors_are_kept, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(closed_standard_descriptors, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(two_copies_of_the_library, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(limit_of_file_sizes, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
