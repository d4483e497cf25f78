// SPDX-License-Identifier: Apache-2.0
//
// A process whose engine is drained from outside has no thread and no descriptor of ours.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "support/child.h"
#include "support/external_engine.h"

static unsigned entries(pid_t pid, const char *folder)
{
    char path[64];
    unsigned count = 0;
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, folder);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}

static void stays(void *argument)
{
    (void)argument;
    external_record(10);
    CHILD_CHECK(nsp_flush(1000000) == NSP_ERR_TIMEOUT);
    external_tell();
    for (;;)
        pause();
}

// As many as a process of the same parent has that does not trace.
static void it_has_no_thread_and_no_descriptor_of_ours(void **state)
{
    (void)state;
    external_engine engine;
    external_start(&engine, stays, NULL);
    external_await(&engine);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t plain = fork();
    if (plain == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(engine.told); // the engine has the other end of its pipe, and this one `ends[1]`
        close(ends[0]);
        CHILD_CHECK(write(ends[1], "!", 1) == 1);
        for (;;)
            pause();
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], (char[1]){0}, 1), 1);
    unsigned threads = entries(engine.pid, "task"), descriptors = entries(engine.pid, "fd");
    assert_int_equal(threads, entries(plain, "task"));
    assert_int_equal(descriptors, entries(plain, "fd"));
    kill(plain, SIGKILL);
    assert_int_equal(waitpid(plain, NULL, 0), plain);
    close(ends[0]);
    kill(engine.pid, SIGKILL);
    external_join_killed(&engine, SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_has_no_thread_and_no_descriptor_of_ours, external_folder_make,
                                        external_folder_remove),
    };
    return cmocka_run_group_tests_name("external_process", tests, NULL, NULL);
}
