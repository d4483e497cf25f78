// SPDX-License-Identifier: Apache-2.0
//
// `nanospan snapshot`: exports what a running engine's threads did just now and did not keep. Its options, and the order of
// its steps.
#include "snapshot.h"

#include "command.h"
#include "support/complain.h"
#include "support/destination.h"
#include "support/options.h"
#include "support/session_match.h"
#include "common/time.h"
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OPTION_JSON = 256, OPTION_SHM_DIR };

static const struct argp_option OPTIONS[] = {
    {"before", 'b', "TIME", 0,
     "How far back: traces whose local root ended in this time, such as 10ms (default: 0, which is all that "
     "lies in the buffers)",
     1},
    {"endpoint", 'e', "URL", 0,
     "Send the spans to this receiver, such as http://localhost:4318 (default: as the environment says, for "
     "instance OTLP_ENDPOINT)",
     1},
    {"output", 'o', "FILE", 0,
     "Write the spans to this file as OTLP JSON lines; it must not exist, and only this user may read it", 1},
    {"timeout", 't', "TIME", 0, "The longest that sending may take, 100ms to 1440m (default 60s)", 2},
    {"shm-dir", OPTION_SHM_DIR, "FOLDER", 0,
     "The folder of sessions (default: NSP_SHM_DIR, otherwise /dev/shm)", 2},
    {"json", OPTION_JSON, NULL, 0, "Write one JSON object", 2},
    {0},
};

static const char DOC[] =
    "Exports the history of a running engine: what its threads did just now under "
    "outlier rules with `history`, and did "
    "not keep. It is read from outside and sent by this command, with the engine's own "
    "resource; the engine goes on, and "
    "nothing is written into its session. Local roots get nanospan.kept = snapshot."
    "\v"
    "SESSION is a service name, a process id, or a session's directory or its name, of "
    "one engine that runs. What an "
    "engine that died left, `nanospan recover --speculative` sends.\n\n"
    "A thread that overwrites its history faster than it is read loses the oldest of "
    "it to that; it is counted as "
    "overtaken. A second snapshot exports what still lies there again.\n\n"
    "Exit codes: 0 everything that was found was exported; 1 something was not, or no "
    "such engine runs, or no rule keeps "
    "history, and a message says what to do; 2 wrong command line, or no receiver is named.\n\n"
    "Examples:\n"
    "  nanospan tune execution --outlier 'order*: slower=500us, history=10ms'\n"
    "  nanospan snapshot execution --before 10ms --endpoint http://localhost:4318\n"
    "  nanospan snapshot execution --output now.jsonl && nanospan view now.jsonl\n";

static bool timeout_of(const char *given, snapshot_options *o)
{
    if (!option_duration("timeout", given, &o->timeout_ns))
        return false;
    if (o->timeout_ns >= NSP__SECOND / 10 && o->timeout_ns <= 86400 * NSP__SECOND)
        return true;
    complain("--timeout takes 100ms to 1440m, not '%s'", given);
    return false;
}

static bool set_option(snapshot_options *o, int key, const char *given)
{
    switch (key) {
    case 'b': return option_duration("before", given, &o->before_ns);
    case 'e': return option_text("endpoint", given, &o->endpoint);
    case 'o': return option_text("output", given, &o->output);
    case 't': return timeout_of(given, o);
    case OPTION_SHM_DIR: return option_text("shm-dir", given, &o->shm_dir);
    case OPTION_JSON: o->json = true; return true;
    default: return false;
    }
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    snapshot_options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->wanted != NULL)
            argp_error(state, "one SESSION is enough: %s and %s are two", o->wanted, given);
        o->wanted = given;
        return 0;
    case ARGP_KEY_END:
        if (o->wanted == NULL || !*o->wanted)
            argp_error(
                state,
                "no SESSION is given: name a service, a process id or a directory; `nanospan top` shows "
                "which engines run");
        if (o->endpoint != NULL && o->output != NULL)
            argp_error(state, "--endpoint and --output exclude each other: choose one");
        return 0;
    default: break;
    }
    if (!option_listed(OPTIONS, key))
        return ARGP_ERR_UNKNOWN;
    if (!set_option(o, key, given))
        exit(EXIT_USAGE);
    return 0;
}

// ---- the steps ----

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static bool goes_on(void *argument, const nsp_recovery_account *account)
{
    (void)argument;
    (void)account;
    return !stopped;
}

static void show_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    complain("%s", line);
}

static bool configure(nsp_config *config, const snapshot_options *o)
{
    nsp_config_init(config);
    config->log = show_line;
    config->log_level = config->log_level < NSP_LOG_WARN ? config->log_level : NSP_LOG_WARN;
    nsp_log_configure(config->log_level, config->log, NULL);
    if (o->output != NULL) {
        config->exporter = "file";
        config->file = o->output;
        struct stat status;
        if (lstat(o->output, &status) != 0)
            return true;
        complain("%s exists; name another FILE", o->output);
        return false;
    }
    if (destination_choose(config, o->endpoint))
        return destination_check(config);
    complain("where should the spans go? --endpoint http://HOST:4318 sends them to a receiver (or set "
             "OTLP_ENDPOINT, as for the engine), and --output FILE writes them to a file");
    return false;
}

// The file, so far empty, that the exporter will append to; only this user may read it.
static bool create(const char *output)
{
    const int fd = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        complain("cannot create %s: %s", output, strerror(errno));
        return false;
    }
    close(fd);
    return true;
}

static bool take(const figures_engine *engine, const snapshot_options *o, const nsp_config *config)
{
    if (o->output != NULL && !create(o->output))
        return false;
    char problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    snapshot_result me = {.engine = engine, .account = NSP_HISTORY_ACCOUNT_INIT, .json = o->json};
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = config;
    options.timeout_ns = o->timeout_ns;
    options.progress = goes_on;
    const nsp_status status = nsp_history_export(engine->directory, o->before_ns, &options, &me.account,
                                                 snapshot_add_thread, &me, problem, sizeof problem);
    // If it failed before anything was found, no number is known.
    const bool known = status == NSP_OK || me.account.spans != 0;
    const bool printed =
        !known || snapshot_print(&me, o->output != NULL ? o->output : destination_name(config));
    const bool sound = snapshot_say_problems(&me, status, problem);
    struct stat file;
    if (o->output != NULL && !sound && stat(o->output, &file) == 0 && file.st_size == 0)
        unlink(o->output); // it would be in the way of the next try
    text_free(&me.threads);
    return printed && sound;
}

int command_snapshot(int argc, char **argv)
{
    snapshot_options o = {.timeout_ns = 60 * NSP__SECOND, .argc = argc, .argv = argv};
    static const struct argp parser = {
        .options = OPTIONS, .parser = parse, .args_doc = "SESSION", .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    struct sigaction ending = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &ending, NULL);
    sigaction(SIGTERM, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    nsp_config config;
    if (!configure(&config, &o))
        return EXIT_USAGE;
    session_place place;
    const char *wanted = o.wanted;
    if (session_may_be_directory(wanted)) {
        if (!session_place_of(&place, wanted))
            return EXIT_PROBLEM;
        if (place.user != geteuid()) {
            snapshot_point_to_other_user(&o, wanted, place.user, NULL);
            return EXIT_PROBLEM;
        }
        o.shm_dir = place.folder;
        wanted = place.name;
    }
    figures seen = {0};
    if (figures_look(&seen, o.shm_dir) != NSP_OK) {
        complain("the sessions of this user cannot be read: %s", nsp_error_detail());
        return EXIT_PROBLEM;
    }
    const figures_engine *engine = snapshot_choose(&seen, &o, wanted);
    const bool sound = engine != NULL && take(engine, &o, &config);
    figures_free(&seen);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}
