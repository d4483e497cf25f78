// SPDX-License-Identifier: Apache-2.0
//
// Which process an engine is, by what it has mapped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "outside/drainer/engine_process.h"
#include "support/session_fixture.h"
#include "trace/trace_state.h"

enum { DIRECTORY = sizeof((nsp__session *)NULL)->directory };

// An engine, which says where its session is, or another program. Ends with this process.
static pid_t start(bool engine, int pipe_to)
{
    const pid_t child = fork();
    if (child != 0)
        return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    nsp_config config;
    if (!engine)
        execl("/bin/sleep", "sleep", "600", (char *)NULL);
    small_sessions(&config);
    if (nsp_init(&config) != NSP_OK ||
        write(pipe_to, nsp__trace_state.session->directory, DIRECTORY) != DIRECTORY)
        _exit(1);
    for (;;)
        pause();
}

static void end(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static void only_one_that_has_mapped_the_session(void **state)
{
    (void)state;
    int ends[2];
    char its[DIRECTORY], other[DIRECTORY + 1];
    assert_int_equal(pipe(ends), 0);
    const pid_t engine = start(true, ends[1]), stranger = start(false, ends[1]);
    assert_int_equal(read(ends[0], its, sizeof its), sizeof its);
    const char *name = strrchr(its, '/') + 1;
    assert_true(nsp__engine_process_is((uint32_t)engine, name));
    assert_false(nsp__engine_process_is((uint32_t)stranger, name));
    snprintf(other, sizeof other, "%s0", name);
    assert_false(nsp__engine_process_is((uint32_t)engine, other));
    assert_false(nsp__engine_process_is((uint32_t)getpid(), name)); // who drains has mapped it too
    end(stranger);
    end(engine);
    assert_false(nsp__engine_process_is((uint32_t)engine, name));
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_one_that_has_mapped_the_session, make_directory,
                                        remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
