// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nanospan/inspect.h>
#include <nanospan/nanospan.h>

#include "harness/session.h"
#include "pipeline/outside.h"

static void run(const engine_plan *plan, int asked, int answers)
{
    char byte;
    if (nsp_init(&plan->config) != NSP_OK || nsp_thread_attach(NULL) != NSP_OK)
        _exit(1);
    while (read(asked, &byte, 1) == 1) {
        engine_answer answer = {0};
        plan->answer(plan, &answer);
        if (write(answers, &answer, sizeof answer) != (ssize_t)sizeof answer)
            break;
    }
    _exit(0);
}

bool engine_ask(const engine *from, engine_answer *answer, bench_result *out)
{
    if (write(from->ask, "", 1) == 1 &&
        read(from->answers, answer, sizeof *answer) == (ssize_t)sizeof *answer)
        return true;
    result_fail(out, "an engine has ended");
    return false;
}

bool engine_start(engine *from, engine_plan *plan, bench_result *out)
{
    int asked[2] = {-1, -1}, answers[2] = {-1, -1};
    engine_answer first;
    *from = (engine){-1, -1, -1};
    if (!folder_make_in_memory(plan->folder)) {
        plan->folder[0] = 0;
        result_fail(out, "cannot make a folder for a session");
        return false;
    }
    plan->config.shm_dir = plan->folder;
    if (pipe(asked) == 0 && pipe(answers) == 0) {
        fflush(NULL);
        from->process = fork();
        if (from->process == 0) {
            close(asked[1]);
            run(plan, asked[0], answers[1]);
        }
        from->ask = asked[1];
        from->answers = answers[0];
    }
    close(asked[0]);
    close(answers[1]);
    if (from->process > 0)
        return engine_ask(from, &first, out);
    result_fail(out, "an engine cannot be started");
    return false;
}

void engine_stop(const engine *from, const engine_plan *plan)
{
    if (from->process > 0) {
        kill(from->process, SIGKILL);
        waitpid(from->process, NULL, 0);
        close(from->ask);
        close(from->answers);
    }
    if (plan->folder[0] != 0)
        folder_remove(plan->folder);
}

static bool keep_directory(void *argument, const nsp_session *session)
{
    snprintf(argument, FOLDER_PATH, "%s", session->directory);
    return false;
}

nsp_drainer *engine_take_over(const engine_plan *plan, const nsp_config *config, const nsp_exporter *exporter,
                              bench_result *out)
{
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    nsp_drainer *drainer = NULL;
    char directory[FOLDER_PATH] = "", problem[NSP_DRAINED_PROBLEM_MAX] = "";
    options.config = config;
    options.exporter = exporter;
    if (nsp_drainer_open(&drainer, &options) == NSP_OK &&
        nsp_sessions_each(plan->folder, keep_directory, directory) == NSP_OK &&
        nsp_drainer_add(drainer, directory, problem, sizeof problem) == NSP_OK)
        return drainer;
    result_fail(out, "the session cannot be drained: %s", *problem ? problem : nsp_error_detail());
    nsp_drainer_close(drainer, 0);
    return NULL;
}
