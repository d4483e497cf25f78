// SPDX-License-Identifier: Apache-2.0
//
// `nanospan snapshot`: exports what a running engine's threads did just now and did not keep.
#include "command.h"
#include "support/complain.h"
#include "support/destination.h"
#include "support/figures.h"
#include "support/json_text.h"
#include "support/options.h"
#include "support/other_users.h"
#include "support/session_match.h"
#include "support/shell_word.h"
#include "support/text.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include "common/user_name.h"
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <nanospan/recover.h>
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

typedef struct snapshot_options {
    const char *wanted, *endpoint, *output, *shm_dir;
    uint64_t before_ns, timeout_ns;
    bool json;
    int argc;
    char **argv;
} snapshot_options;

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

// ---- which engine ----

static bool fits(const figures_engine *engine, const char *given, bool exactly)
{
    return exactly ? session_is(engine->directory, engine->seen.pid, given)
                   : session_of_service(engine->directory, engine->service, given);
}

// The only one that fits and runs. *count: how many do; *ended: one that fits and does not run.
static const figures_engine *find(const figures *seen, const char *given, bool exactly, size_t *count,
                                  const figures_engine **ended)
{
    const figures_engine *found = NULL;
    *count = 0;
    for (size_t i = 0; i < seen->count; i++) {
        const figures_engine *engine = &seen->engines[i];
        if (!fits(engine, given, exactly))
            continue;
        if (engine->seen.alive) {
            found = engine;
            ++*count;
        } else {
            *ended = engine;
        }
    }
    return found;
}

static void say_several(const figures *seen, const char *given)
{
    text names = {0};
    for (size_t i = 0; i < seen->count; i++)
        if (fits(&seen->engines[i], given, false) && seen->engines[i].seen.alive)
            text_format(&names, "%s%" PRIu32, names.length != 0 ? ", " : "", seen->engines[i].seen.pid);
    complain("several engines of the service %s run: name one by its process id: %.*s", given,
             (int)names.length, names.data);
    text_free(&names);
}

// ---- other users ----

static void point_to_other_user(const snapshot_options *o, const char *owned, uid_t user, const char *shm_dir)
{
    char name[NSP__USER_NAME_MAX];
    text command = {0};
    other_users_command(&command, user, shm_dir);
    text_put(&command, " snapshot");
    for (int i = 1; i < o->argc; i++) {
        text_char(&command, ' ');
        shell_word(&command, o->argv[i]);
    }
    complain("%s belongs to the user %s, and only that user may read it%s%.*s", owned,
             nsp__user_name(user, name),
             geteuid() == 0 ? ": " : "; root may become that user: ", (int)command.length, command.data);
    text_free(&command);
}

// An engine that this user does not have may be another user's.
static void hint_others(const snapshot_options *o)
{
    struct stat status;
    char process[64];
    nsp_config config;
    snprintf(process, sizeof process, "/proc/%.20s", o->wanted);
    if (!session_is_number(o->wanted) || stat(process, &status) != 0 || status.st_uid == geteuid())
        return;
    nsp_config_init(&config);
    snprintf(process, sizeof process, "the process %.20s", o->wanted);
    point_to_other_user(o, process, status.st_uid, o->shm_dir != NULL ? o->shm_dir : config.shm_dir);
}

// ---- the choice ----

// NULL after a message.
static const figures_engine *choose(const figures *seen, const snapshot_options *o, const char *given)
{
    const figures_engine *ended = NULL;
    size_t count;
    const figures_engine *found = find(seen, given, true, &count, &ended);
    if (found == NULL && ended == NULL)
        found = find(seen, given, false, &count, &ended);
    if (count > 1) {
        say_several(seen, given);
        return NULL;
    }
    if (found != NULL && found->problem != NULL) {
        complain("%s (pid %" PRIu32 "): %s", found->service, found->seen.pid, found->problem);
        return NULL;
    }
    if (found == NULL && ended != NULL) {
        complain("%s (pid %" PRIu32
                 "): its engine has ended, or died; `nanospan recover --speculative %" PRIu32
                 "` sends what it has left",
                 ended->service, ended->seen.pid, ended->seen.pid);
    } else if (found == NULL) {
        complain("no engine of this user fits %s; `nanospan top` shows which run", given);
        hint_others(o);
    }
    return found;
}

// ---- what it did ----

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

// Adds "1 trace", "1,234 traces".
static void add_count(text *out, uint64_t count, const char *what)
{
    char number[UNITS_SIZE];
    units_count(number, count);
    text_format(out, "%s %s%s", number, what, count == 1 ? "" : "s");
}

typedef struct result {
    const figures_engine *engine;
    nsp_history_account account;
    text threads;      // the lines, or objects, of threads
    uint64_t reach_ns; // of the thread whose buffer reaches back the furthest
    bool json;
} result;

static void add_thread(void *argument, const nsp_history_thread *thread)
{
    result *me = argument;
    me->reach_ns = thread->reach_ns > me->reach_ns ? thread->reach_ns : me->reach_ns;
    char reach[UNITS_SIZE];
    if (me->json) {
        text_format(&me->threads, "%s{\"name\":", me->threads.length != 0 ? "," : "");
        json_string(&me->threads, nsp__slice_of(thread->name));
        text_format(&me->threads,
                    ",\"tid\":%" PRIu32 ",\"traces\":%" PRIu64 ",\"spans\":%" PRIu64 ",\"overtaken\":%" PRIu64
                    ",\"reach_ns\":%" PRIu64 ",\"buffer_bytes\":%" PRIu64 "}",
                    thread->tid, thread->traces, thread->spans, thread->overtaken, thread->reach_ns,
                    thread->buffer_bytes);
        return;
    }
    units_duration(reach, thread->reach_ns);
    text_format(&me->threads, "  thread %" PRIu32 " ", thread->tid);
    trace_notes_plain(&me->threads, nsp__slice_of(thread->name));
    text_put(&me->threads, ": ");
    add_count(&me->threads, thread->traces, "trace");
    text_put(&me->threads, ", ");
    add_count(&me->threads, thread->spans, "span");
    if (thread->reach_ns != 0)
        text_format(&me->threads, "; its buffer reaches back %s", reach);
    else
        text_put(&me->threads, "; its buffer holds no history");
    if (thread->overtaken != 0) {
        text_put(&me->threads, "; ");
        add_count(&me->threads, thread->overtaken, "record");
        text_put(&me->threads, thread->overtaken == 1 ? " was overtaken" : " were overtaken");
    }
    text_char(&me->threads, '\n');
}

static bool print(const result *me, const char *target)
{
    const nsp_history_account *a = &me->account;
    text out = {0};
    if (me->json) {
        text_put(&out, "{\"service\":");
        json_string(&out, nsp__slice_of(me->engine->service));
        text_format(&out,
                    ",\"pid\":%" PRIu32 ",\"rules\":%" PRIu64 ",\"traces\":%" PRIu64 ",\"spans\":%" PRIu64
                    ",\"exported\":%" PRIu64 ",\"rejected\":%" PRIu64 ",\"unconfirmed\":%" PRIu64
                    ",\"invalid\":%" PRIu64 ",\"overtaken\":%" PRIu64 ",\"threads\":[%.*s]}\n",
                    me->engine->seen.pid, a->rules, a->traces, a->spans, a->exported, a->rejected,
                    a->unconfirmed, a->invalid, a->overtaken, (int)me->threads.length,
                    me->threads.data != NULL ? me->threads.data : "");
    } else {
        trace_notes_plain(&out, nsp__slice_of(me->engine->service));
        text_format(&out, " (pid %" PRIu32 "): ", me->engine->seen.pid);
        add_count(&out, a->traces, "trace");
        text_put(&out, ", ");
        add_count(&out, a->spans, "span");
        text_put(&out, "; ");
        add_count(&out, a->exported, "span");
        text_format(&out, " exported to %s\n", target);
        text_format(&out, "%.*s", (int)me->threads.length, me->threads.data != NULL ? me->threads.data : "");
    }
    const bool sound = text_print(&out);
    if (!sound)
        complain("what it did cannot be written to standard output: %s", strerror(errno));
    text_free(&out);
    return sound;
}

// A new rule comes last, so where there is one that keeps anything it is that one which is to have history.
static void say_no_rule(const figures_engine *engine)
{
    char conditions[NSP_OUTLIER_RULE_TEXT_MAX] = "slower=1ms";
    const char *pattern = "*";
    for (size_t i = engine->seen.outlier_count; i-- > 0;) {
        const nsp_outlier_rule *rule = &engine->outliers[i].rule;
        if (rule->slower_ns == 0 && rule->slowest == 0 && !rule->errors && !rule->asked)
            continue;
        pattern = engine->outliers[i].pattern;
        nsp_outlier_rule_text(rule, conditions, sizeof conditions);
    }
    text with = {0}, word = {0};
    text_format(&with, "%s: %s, history=10ms", pattern, conditions);
    text_char(&with, 0);
    shell_word(&word, with.data);
    complain("%s (pid %u): no outlier rule keeps history, so there is nothing to export; this sets one: "
             "nanospan tune %u --outlier %.*s",
             engine->service, engine->seen.pid, engine->seen.pid, (int)word.length, word.data);
    text_free(&word);
    text_free(&with);
}

static bool say_problems(const result *me, nsp_status status, const char *problem)
{
    const nsp_history_account *a = &me->account;
    const char *service = me->engine->service;
    const unsigned pid = me->engine->seen.pid;
    if (status != NSP_OK) {
        const char *detail = *problem ? problem : nsp_error_detail();
        complain("%s (pid %u): %s", service, pid, *detail ? detail : nsp_status_str(status));
        return false;
    }
    if (a->rules == 0 && me->reach_ns == 0) {
        say_no_rule(me->engine);
        return false;
    }
    if (a->spans == 0 && me->reach_ns != 0)
        complain("%s (pid %u): no trace in history ended in the time of --before", service, pid);
    else if (a->spans == 0)
        complain("%s (pid %u): no trace lies in history", service, pid);
    if (a->rejected + a->unconfirmed + a->invalid != 0)
        complain("%s (pid %u): not all spans were accepted; they still lie there, until they are overwritten",
                 service, pid);
    return a->rejected + a->unconfirmed + a->invalid == 0;
}

// ---- the steps ----

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
    result me = {.engine = engine, .account = NSP_HISTORY_ACCOUNT_INIT, .json = o->json};
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = config;
    options.timeout_ns = o->timeout_ns;
    options.progress = goes_on;
    const nsp_status status = nsp_history_export(engine->directory, o->before_ns, &options, &me.account,
                                                 add_thread, &me, problem, sizeof problem);
    // If it failed before anything was found, no number is known.
    const bool known = status == NSP_OK || me.account.spans != 0;
    const bool printed = !known || print(&me, o->output != NULL ? o->output : destination_name(config));
    const bool sound = say_problems(&me, status, problem);
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
            point_to_other_user(&o, wanted, place.user, NULL);
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
    const figures_engine *engine = choose(&seen, &o, wanted);
    const bool sound = engine != NULL && take(engine, &o, &config);
    figures_free(&seen);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}
