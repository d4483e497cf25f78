// SPDX-License-Identifier: Apache-2.0
#include "recovery.h"

#include "command.h"
#include "support/text.h"
#include "common/descriptor.h"
#include "common/json_read.h"
#include "common/time.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

// ---- starting ----

// Standard output goes into the pipe, or where the agent's own goes; messages go into a file in memory.
static int spawn(pid_t *pid, char *const arguments[], int output, int messages)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, ignored;
    sigemptyset(&none);
    sigemptyset(&ignored);
    sigaddset(&ignored, SIGPIPE);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    int error = posix_spawnattr_setsigmask(&attributes, &none);
    error = error ? error : posix_spawnattr_setsigdefault(&attributes, &ignored);
    error =
        error ? error : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    error = error ? error : posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    error = error ? error : posix_spawn_file_actions_adddup2(&files, messages, STDERR_FILENO);
    if (output >= 0)
        error = error ? error : posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    // The program that runs, also if another one has been installed in its place meanwhile.
    error = error ? error : posix_spawn(pid, "/proc/self/exe", &files, &attributes, arguments, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return error;
}

enum { ARGUMENTS_MAX = 12 };

static void compose(char *arguments[ARGUMENTS_MAX], const char *directory,
                    const agent_recovery_options *options)
{
    const char *given[ARGUMENTS_MAX] = {"nanospan",
                                        "recover",
                                        "--json",
                                        "--timeout",
                                        "60s",
                                        "--in-doubt",
                                        options->in_doubt == NSP_IN_DOUBT_SKIP ? "skip" : "send",
                                        directory};
    size_t count = 8;
    if (options->speculative)
        given[count++] = "--speculative";
    if (options->endpoint != NULL) {
        given[count++] = "--endpoint";
        given[count++] = options->endpoint;
    }
    memcpy(arguments, given, sizeof given);
}

bool agent_recovery_start(agent_recovery *recovery, const char *directory,
                          const agent_recovery_options *options, const nsp_config *config)
{
    // An exporter that writes to standard output has that for itself.
    bool read_output = config->exporter == NULL || strstr(config->exporter, "console") == NULL;
    char *arguments[ARGUMENTS_MAX];
    compose(arguments, directory, options);
    int ends[2] = {-1, -1}, messages = memfd_create("messages", MFD_CLOEXEC);
    int error = messages < 0 || (read_output && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) ? errno : 0;
    error = error ? error : spawn(&recovery->pid, arguments, ends[1], messages);
    nsp__close(ends[1]);
    if (error != 0) {
        nsp__close(ends[0]);
        nsp__close(messages);
        *recovery = (agent_recovery)AGENT_RECOVERY_NONE;
        errno = error;
        return false;
    }
    recovery->output = ends[0];
    recovery->messages = messages;
    return true;
}

// ---- what it said ----

static void read_account(nsp__json_reader *json, agent_recovered *out)
{
    nsp__slice name;
    nsp__json_enter(json, '{');
    out->known = !json->missing;
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "exported"))
            out->exported = nsp__json_number(json);
        else if (nsp__slice_is(name, "unfinished"))
            out->unfinished = nsp__json_number(json);
        else if (nsp__slice_is(name, "lost_at_crash"))
            out->lost = nsp__json_number(json);
        else if (nsp__slice_is(name, "left"))
            out->left = nsp__json_number(json);
        else if (nsp__slice_is(name, "left_foreign"))
            out->foreign = nsp__json_number(json);
        else if (nsp__slice_is(name, "left_out_history"))
            out->history = nsp__json_number(json);
        else if (nsp__slice_is(name, "left_out_speculative"))
            out->undecided = nsp__json_number(json);
        else
            nsp__json_skip(json);
    }
}

static void read_session(char *line, size_t length, agent_recovered *out)
{
    nsp__json_reader json;
    nsp__slice name, problem;
    nsp__json_begin(&json, line, length);
    nsp__json_enter(&json, '{');
    while (nsp__json_key(&json, &name)) {
        if (nsp__slice_is(name, "account"))
            read_account(&json, out);
        else if (!nsp__slice_is(name, "problem"))
            nsp__json_skip(&json);
        else if (nsp__json_string(&json, &problem) && problem.text != NULL)
            snprintf(out->problem, sizeof out->problem, "%.*s", (int)problem.length, problem.text);
    }
}

// The last of its messages without the command's name, for a child that has not said what is wrong with the session.
static void read_messages(const agent_recovery *recovery, agent_recovered *out)
{
    char said[2048];
    off_t size = lseek(recovery->messages, 0, SEEK_END), from = size - (off_t)sizeof said + 1;
    ssize_t length = pread(recovery->messages, said, sizeof said - 1, from > 0 ? from : 0);
    if (length <= 0 || *out->problem)
        return;
    while (length > 0 && said[length - 1] == '\n')
        length--;
    said[length] = '\0';
    const char *line = strrchr(said, '\n');
    line = line != NULL ? line + 1 : said;
    const char *name = strstr(line, ": ");
    snprintf(out->problem, sizeof out->problem, "%.290s", name != NULL ? name + 2 : line);
}

// The child has ended, so all of it is there: one line, far less than a pipe holds.
static void read_output(agent_recovery *recovery, agent_recovered *out)
{
    char line[8192];
    ssize_t length = recovery->output >= 0 ? read(recovery->output, line, sizeof line) : 0;
    if (length > 0)
        read_session(line, (size_t)length, out);
    read_messages(recovery, out);
    nsp__close(recovery->output);
    nsp__close(recovery->messages);
    *recovery = (agent_recovery)AGENT_RECOVERY_NONE;
}

bool agent_recovery_ended(agent_recovery *recovery, agent_recovered *out)
{
    int status = 0;
    pid_t ended = waitpid(recovery->pid, &status, WNOHANG);
    if (ended == 0 || (ended < 0 && errno == EINTR))
        return false;
    *out = (agent_recovered){0};
    read_output(recovery, out);
    if (ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_GOOD) {
        out->complete = true;
        return true;
    }
    if (ended > 0 && WIFSIGNALED(status))
        snprintf(out->problem, sizeof out->problem, "the recovery was ended by signal %d", WTERMSIG(status));
    else if (!*out->problem)
        snprintf(out->problem, sizeof out->problem, "the recovery failed with exit code %d",
                 WEXITSTATUS(status));
    return true;
}

// ---- the end ----

void agent_recovery_stop(agent_recovery *recovery, uint64_t deadline_ns)
{
    agent_recovered ignored;
    if (recovery->pid == 0)
        return;
    kill(recovery->pid, SIGTERM);
    while (!agent_recovery_ended(recovery, &ignored)) {
        if (nsp__monotonic_ns() >= deadline_ns)
            kill(recovery->pid, SIGKILL);
        poll(NULL, 0, 5);
    }
}
