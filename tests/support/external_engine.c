// SPDX-License-Identifier: Apache-2.0
#include "support/external_engine.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "support/child.h"
#include "support/scripted.h"

char external_folder[SESSION_PATH_MAX];
uint64_t external_exit_timeout_ns;
static int telling = -1; // in an engine

int external_folder_make(void **state)
{
    (void)state;
    session_dir_make(external_folder);
    external_exit_timeout_ns = 20000000;
    return 0;
}

int external_folder_remove(void **state)
{
    (void)state;
    session_dir_remove(external_folder);
    return 0;
}

void external_config(nsp_config *config)
{
    script_config(config);
    config->custom_exporter = NULL;
    config->collector = NSP_COLLECTOR_EXTERNAL;
    config->shm_dir = external_folder;
    config->ring_bytes = 65536;
    config->exporter = "otlp";
    config->endpoint = "http://127.0.0.1:4318";
    config->exit_timeout_ns = external_exit_timeout_ns;
}

void external_record(unsigned spans)
{
    for (unsigned i = 0; i < spans; i++)
        nsp_span_end(nsp_span_begin(NSP_NAME("external")));
}

void external_tell(void)
{
    CHILD_CHECK(write(telling, "!", 1) == 1);
}

void external_start(external_engine *engine, void (*body)(void *), void *argument)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    engine->pid = fork();
    if (engine->pid == 0) {
        nsp_config config;
        prctl(PR_SET_PDEATHSIG, SIGKILL); // for a test that fails
        telling = ends[1];
        close(ends[0]);
        script_reset();
        external_config(&config);
        CHILD_CHECK(nsp_init(&config) == NSP_OK);
        external_tell();
        body(argument);
        _exit(0);
    }
    close(ends[1]);
    engine->told = ends[0];
    external_await(engine);
    assert_true(session_dir_of(external_folder, engine->pid, engine->session));
}

void external_await(const external_engine *engine)
{
    char told;
    assert_true(read(engine->told, &told, 1) >= 0);
}

bool external_silent(const external_engine *engine)
{
    struct pollfd waiting = {.fd = engine->told, .events = POLLIN};
    return poll(&waiting, 1, 0) == 0;
}

static int join(external_engine *engine)
{
    int status = child_wait(engine->pid, 60);
    close(engine->told);
    return status;
}

void external_join(external_engine *engine)
{
    assert_int_equal(join(engine), 0);
}

void external_join_killed(external_engine *engine, int signal)
{
    int status = join(engine);
    assert_true(status >= 0 && WIFSIGNALED(status) && WTERMSIG(status) == signal);
}

void external_drain_until_end(external_engine *engine, outside_drainer *drainer)
{
    siginfo_t ended = {.si_pid = 0};
    while (waitid(P_PID, (id_t)engine->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid == 0) {
        outside_drainer_pass(drainer);
        test_sleep_ms(1);
    }
    outside_drainer_pass(drainer);
}
