// SPDX-License-Identifier: Apache-2.0
//
// The life of an agent: its start, its loop and its end.
#include "agent.h"

#include "command.h"
#include "notify.h"
#include "owner.h"
#include "say.h"
#include "support/destination.h"
#include "support/units.h"
#include "common/time.h"
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_NS NSP__SECOND                 // what the kernel did not say about the folder is found then
#define LOOK_MIN_NS (10 * NSP__MILLISECOND) // however much happens there
#define FOLLOW_NS (100 * NSP__MILLISECOND)
#define ONCE_DELAY_NS                                                                                        \
    (100 * NSP__MILLISECOND) // the longest that a span waits for its batch to fill, with --once

// ---- its start ----

// Lines of the library, such as those about a receiver that is away. They come from its sender thread, too.
static void show_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    say_problem("%s", line);
}

// Signals are read from a descriptor. Threads that start later inherit that they are blocked.
static int catch_signals(sigset_t *caught)
{
    sigemptyset(caught);
    sigaddset(caught, SIGINT);
    sigaddset(caught, SIGTERM);
    sigaddset(caught, SIGHUP); // the terminal that it was started from is closed
    sigaddset(caught, SIGCHLD);
    sigprocmask(SIG_BLOCK, caught, NULL);
    signal(SIGPIPE, SIG_IGN);
    int fd = signalfd(-1, caught, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        complain("cannot create a signal descriptor: %s", strerror(errno));
    return fd;
}

// Each session takes a few descriptors, and the soft limit is low for the sake of programs that use select.
static void allow_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool configure(agent *a)
{
    const agent_options *o = a->options;
    nsp_config_init(&a->config);
    a->config.log = show_line;
    if (o->quiet && a->config.log_level > NSP_LOG_WARN)
        a->config.log_level = NSP_LOG_WARN;
    if (o->shm_dir != NULL)
        a->config.shm_dir = o->shm_dir;
    if (o->once && a->config.schedule_delay_ns > ONCE_DELAY_NS)
        a->config.schedule_delay_ns = ONCE_DELAY_NS;
    if (strcmp(a->config.shm_dir, "none") == 0) {
        complain(
            "%s is none, so there are no sessions: set it to the folder of the engines' sessions, such as "
            "/dev/shm",
            o->shm_dir != NULL ? "--shm-dir" : "NSP_SHM_DIR");
        return false;
    }
    if (!destination_choose(&a->config, o->endpoint)) {
        const char *bad = destination_unusable();
        if (bad != NULL)
            complain("%s cannot be used; `nanospan doctor` says why", bad);
        complain("where should the spans go? --endpoint http://HOST:4318 sends them to a receiver (or set "
                 "OTLP_ENDPOINT, as for an engine)");
        return false;
    }
    return destination_check(&a->config);
}

static bool open_drainer(agent *a)
{
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    options.config = &a->config;
    options.in_doubt = a->options->in_doubt;
    options.sessions_max = AGENT_SESSIONS_MAX;
    options.living_only = true;
    nsp_status status = nsp_drainer_open(&a->drainer, &options);
    if (status != NSP_OK) {
        const char *detail = nsp_error_detail();
        complain("cannot start: %s", *detail ? detail : nsp_status_str(status));
    }
    return status == NSP_OK;
}

// ---- its loop ----

static void show_status(const agent *a)
{
    static size_t shown = SIZE_MAX;
    size_t count = agent_sessions_drained(a);
    char lines[80];
    if (count == shown)
        return;
    snprintf(lines, sizeof lines, "STATUS=draining %zu engine%s", count, count == 1 ? "" : "s");
    notify_send(lines);
    shown = count;
}

// Sleeps until then, or until a signal or, if that is wanted, a change of the folder arrives.
static void wait_until(const agent *a, int signals, uint64_t then_ns, bool changes_wanted, bool *changed,
                       bool *signalled)
{
    uint64_t now = nsp__monotonic_ns();
    struct timespec left = nsp__timespec_of(then_ns > now ? then_ns - now : 0);
    struct pollfd watched[] = {{.fd = signals, .events = POLLIN},
                               {.fd = changes_wanted ? a->watch.fd : -1, .events = POLLIN}};
    bool any = ppoll(watched, 2, &left, NULL) > 0;
    *signalled = any && watched[0].revents != 0;
    *changed = any && watched[1].revents != 0;
}

// True if one of them ends the agent. The end of a child is looked for anyway.
static bool read_signals(int signals)
{
    struct signalfd_siginfo signal;
    bool ends = false;
    while (read(signals, &signal, sizeof signal) == (ssize_t)sizeof signal)
        ends = ends || signal.ssi_signo != SIGCHLD;
    return ends;
}

// Returns when it is told to end or, with --once, when there is nothing left to do.
static void serve(agent *a, int signals, uint64_t limit_ns)
{
    uint64_t looked_ns = 0, follow_ns = 0;
    bool changed = true, signalled = true, left;
    while (!signalled || !read_signals(signals)) {
        uint64_t now = nsp__monotonic_ns();
        if (changed || now >= nsp__after(looked_ns, LOOK_NS)) {
            agent_watch_renew(&a->watch);
            agent_sessions_look(a);
            owner_look(a->config.shm_dir, destination_endpoint(&a->config));
            looked_ns = now;
            follow_ns = now;
        }
        uint64_t pause = 0;
        if (agent_sessions_drained(a) != 0)
            nsp_drainer_work(a->drainer, &pause);
        if (now >= follow_ns) {
            agent_sessions_follow(a, now);
            show_status(a);
            notify_alive(now);
            follow_ns = nsp__earlier(now + FOLLOW_NS, agent_sessions_next(a));
            if (a->options->once && (now >= limit_ns || agent_sessions_done(a, &left)))
                return;
        }
        // A pass over what is drained comes often enough for the rest.
        bool soon = now >= looked_ns + LOOK_MIN_NS, drains = agent_sessions_drained(a) != 0;
        uint64_t then = drains ? now + pause : a->count != 0 ? follow_ns : looked_ns + LOOK_NS;
        wait_until(a, signals, soon ? then : nsp__earlier(then, looked_ns + LOOK_MIN_NS), soon, &changed,
                   &signalled);
    }
}

// ---- its end ----

// What is said last.
static void tell_end(const agent *a, bool left, uint64_t rejected, uint64_t unconfirmed)
{
    char refused[UNITS_SIZE], unsure[UNITS_SIZE];
    units_count(refused, rejected);
    units_count(unsure, unconfirmed);
    if (a->options->once && *a->watch.told)
        say_problem("ended; what is in %s is not sent", a->watch.folder);
    else if (left)
        say_problem("ended; spans are left in shared memory, for the next agent or `nanospan recover`");
    else if (rejected != 0 || unconfirmed != 0)
        say_problem("ended; nothing is left to send, but the receiver refused %s spans, and may not have %s "
                    "others",
                    refused, unsure);
    else
        say_event("ended; everything that it has drained is sent");
}

// From here on a signal ends it at once. Nothing is lost by that. True if everything was sent, and nothing is
// left.
static bool end(agent *a, const sigset_t *caught, uint64_t deadline_ns, bool left)
{
    uint64_t now = nsp__monotonic_ns(), rejected, unconfirmed;
    notify_send("STOPPING=1\nSTATUS=sending what is left");
    sigprocmask(SIG_UNBLOCK, caught, NULL);
    left = left || agent_sessions_dead(a);
    agent_recovery_stop(&a->recovery, nsp__earlier(deadline_ns, nsp__after(now, NSP__SECOND)));
    agent_sessions_lost(a, &rejected, &unconfirmed);
    now = nsp__monotonic_ns();
    nsp_status status = nsp_drainer_close(a->drainer, deadline_ns > now ? deadline_ns - now : 1);
    left = left || status != NSP_OK;
    tell_end(a, left, rejected, unconfirmed);
    return !left && rejected == 0 && unconfirmed == 0;
}

// A host on which no engine has run yet has no folder of sessions, but the folder above it is there. If not,
// an agent that stays can wait for it, as for a file system that is mounted later. One that does not has
// been told the wrong one. False after a message: it ends.
static bool check_above(const agent *a)
{
    if (access(a->watch.above, F_OK) == 0)
        return true;
    const int error = errno;
    const bool missing = error == ENOENT || error == ENOTDIR;
    if (!missing && !a->options->once)
        say_problem("%s cannot be reached: %s; no engine can be found until it can", a->watch.above,
                    strerror(error));
    else if (!missing)
        complain("%s cannot be reached: %s, so nothing was looked for", a->watch.above, strerror(error));
    else if (!a->options->once)
        say_problem("there is no folder %s: no engine can be found until there is one", a->watch.above);
    else
        complain("there is no folder %s, so nothing was looked for: correct %s, or leave out --once to wait "
                 "for it",
                 a->watch.above, a->options->shm_dir != NULL ? "--shm-dir" : "NSP_SHM_DIR");
    return !a->options->once;
}

static int start(agent *a, int signals, const sigset_t *caught)
{
    uint64_t limit_ns = nsp__after(nsp__monotonic_ns(), a->options->timeout_ns);
    if (!configure(a))
        return EXIT_USAGE;
    if (!owner_check(a->config.shm_dir, destination_endpoint(&a->config)) ||
        !agent_watch_open(&a->watch, a->config.shm_dir))
        return EXIT_PROBLEM;
    int result = EXIT_PROBLEM;
    if (check_above(a) && open_drainer(a)) {
        bool left = false;
        say_event("started; draining the engines in %s, sending to %s", a->watch.folder,
                  destination_name(&a->config));
        notify_send("READY=1");
        serve(a, signals, limit_ns);
        if (a->options->once)
            left = !agent_sessions_done(a, &left) || left || *a->watch.told;
        else
            limit_ns = nsp__after(nsp__monotonic_ns(), a->options->timeout_ns);
        bool sent = end(a, caught, limit_ns, left);
        result = !a->options->once || sent ? EXIT_GOOD : EXIT_PROBLEM;
    }
    agent_watch_close(&a->watch);
    return result;
}

int agent_run(const agent_options *options)
{
    agent a = {.options = options, .recovery = AGENT_RECOVERY_NONE};
    sigset_t caught;
    notify_open();
    allow_descriptors();
    if (options->quiet)
        say_only_problems();
    int signals = catch_signals(&caught);
    if (signals < 0)
        return EXIT_PROBLEM;
    int result = start(&a, signals, &caught);
    free(a.sessions);
    close(signals);
    return result;
}
