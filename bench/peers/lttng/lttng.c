// SPDX-License-Identifier: Apache-2.0
//
// LTTng-UST as a peer: it starts its own session daemon and recording session. User space buffers are those
// that `lttng enable-event` makes; the consumer daemon writes the trace to the current folder. The interface
// is ../peer.h.
#define _GNU_SOURCE
#define LTTNG_UST_TRACEPOINT_DEFINE
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#include "tracepoints.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peers/loops.h"

static pid_t daemon_process; // 0: another daemon was running already
static char session[64];
static bool recording;
static int64_t events_discarded = -1;
static uint64_t spans; // recorded or discarded

// ---- the tools ----

static void run_program(char *const *arguments, int output)
{
    int nowhere = open("/dev/null", O_RDWR);
    dup2(nowhere, STDIN_FILENO);
    dup2(output >= 0 ? output : nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(arguments[0], arguments);
    _exit(127);
}

static void sleep_ms(long ms)
{
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

// Runs a program and returns its exit code. Its output goes into text, cut off at size.
static int call(char *const *arguments, char *text, size_t size)
{
    int pipe_ends[2];
    if (pipe(pipe_ends) != 0)
        return -1;
    pid_t process = fork();
    if (process == 0)
        run_program(arguments, pipe_ends[1]);
    close(pipe_ends[1]);
    size_t length = 0;
    char chunk[512];
    for (ssize_t got; (got = read(pipe_ends[0], chunk, sizeof chunk)) > 0;) {
        size_t fits = text == NULL ? 0 : (size_t)got < size - 1 - length ? (size_t)got : size - 1 - length;
        if (fits != 0)
            memcpy(text + length, chunk, fits);
        length += fits;
    }
    if (text != NULL)
        text[length] = '\0';
    close(pipe_ends[0]);
    int status = -1;
    if (process < 0 || waitpid(process, &status, 0) != process || !WIFEXITED(status))
        return -1;
    return WEXITSTATUS(status);
}

#define LTTNG(...) call((char *[]){"lttng", "--no-sessiond", __VA_ARGS__, NULL}, NULL, 0)

// ---- the daemon ----

static bool daemon_answers(void)
{
    return LTTNG("list") == 0;
}

static bool daemon_start(void)
{
    if (daemon_answers())
        return true;
    daemon_process = fork();
    if (daemon_process == 0)
        run_program((char *[]){"lttng-sessiond", "--no-kernel", "--quiet", NULL}, -1);
    for (int i = 0; i < 100 && daemon_process > 0; i++) {
        sleep_ms(50);
        if (daemon_answers())
            return true;
    }
    return false;
}

static void daemon_stop(void)
{
    if (daemon_process > 0 && kill(daemon_process, SIGTERM) == 0)
        waitpid(daemon_process, NULL, 0);
    daemon_process = 0;
}

// ---- the session ----

static bool session_start(void)
{
    char folder[256], output[272];
    if (getcwd(folder, sizeof folder) == NULL)
        return false;
    snprintf(session, sizeof session, "nanospan-bench-%d", (int)getpid());
    snprintf(output, sizeof output, "--output=%s", folder);
    recording = LTTNG("create", session, output) == 0;
    return recording && LTTNG("enable-event", "--userspace", "nanospan_bench:*") == 0 && LTTNG("start") == 0;
}

// The number after this label, or -1.
static int64_t number_of(const char *text, const char *label)
{
    const char *at = strstr(text, label);
    return at != NULL ? strtoll(at + strlen(label), NULL, 10) : -1;
}

static void session_end(void)
{
    static char text[16384];
    if (recording) {
        LTTNG("stop", session);
        if (call((char *[]){"lttng", "--no-sessiond", "list", session, NULL}, text, sizeof text) == 0)
            events_discarded = number_of(text, "Discarded events: ");
        LTTNG("destroy", session);
        recording = false;
    }
}

// ---- the interface ----

// Waits until the daemon has enabled the events in this process, which it does by itself.
static bool wait_enabled(void)
{
    for (int i = 0; i < 200; i++) {
        if (lttng_ust_tracepoint_enabled(nanospan_bench, begin0) &&
            lttng_ust_tracepoint_enabled(nanospan_bench, end0) &&
            lttng_ust_tracepoint_enabled(nanospan_bench, begin3) &&
            lttng_ust_tracepoint_enabled(nanospan_bench, end3))
            return true;
        sleep_ms(50);
    }
    return false;
}

const char *peer_start(const char *endpoint, int mode)
{
    (void)endpoint; // it writes a trace and has no OTLP
    if (mode != PEER_SAMPLED)
        return NULL;
    const char *problem = !daemon_start()    ? "lttng-sessiond cannot be started"
                          : !session_start() ? "lttng cannot create a session"
                          : !wait_enabled()  ? "the events were not enabled within 10 s"
                                             : NULL;
    if (problem != NULL)
        peer_stop();
    return problem;
}

static inline void span0(void)
{
    lttng_ust_tracepoint(nanospan_bench, begin0);
    lttng_ust_tracepoint(nanospan_bench, end0);
}

static inline void span3(int64_t quantity)
{
    lttng_ust_tracepoint(nanospan_bench, begin3);
    lttng_ust_tracepoint(nanospan_bench, end3, "BTCUSDT", 101.25, quantity);
}

void peer_run(int operation, size_t count)
{
    spans += count;
    peer_run_loop(operation, count, span0, span3);
}

void peer_sample(int operation, uint32_t *ticks, size_t count)
{
    spans += count;
    peer_sample_loop(operation, ticks, count, span0, span3);
}

void peer_stop(void)
{
    session_end();
    daemon_stop();
}

// Events are lost one by one, and a span is lost if one of its two events is. So at least half as many spans
// are lost as events, rounded up.
void peer_count(peer_counts *out)
{
    int64_t lost = events_discarded >= 0 ? (events_discarded + 1) / 2 : -1;
    *out = (peer_counts){.exported = lost >= 0 ? spans - (uint64_t)lost : 0, .dropped = lost};
}
