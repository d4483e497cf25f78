// SPDX-License-Identifier: Apache-2.0
//
// `nanospan recover`: its options, the order of its steps, and its exit code.
#include "recover.h"

#include "command.h"
#include "support/options.h"
#include "support/units.h"
#include "common/time.h"
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTION_IN_DOUBT = 256, OPTION_JSON, OPTION_KEEP, OPTION_SPECULATIVE };

static const struct argp_option OPTIONS[] = {
    {"endpoint", 'e', "URL", 0,
     "Send the spans to this receiver, such as http://localhost:4318 (default: as the environment says, for "
     "instance OTLP_ENDPOINT)",
     1},
    {"output", 'o', "FILE", 0,
     "Write the spans to this file as OTLP JSON lines; it must not exist. It is written as FILE.part and "
     "gets its name when it is complete",
     1},
    {"list", 'l', NULL, 0, "Only show the sessions, also those of living engines", 1},
    {"keep", OPTION_KEEP, NULL, 0, "Do not remove the sessions whose spans were recovered", 2},
    {"speculative", OPTION_SPECULATIVE, NULL, 0,
     "Also send the traces of which an outlier rule would have decided at their end: those that were open, "
     "and those that lie in history (see docs/outliers.md). Without it they are counted, and removed with "
     "the session",
     2},
    {"in-doubt", OPTION_IN_DOUBT, "WHAT", 0,
     "What to do with spans that the receiver may already have, because the engine died while it sent them: "
     "send them again (send, the default), or leave them out (skip)",
     2},
    {"timeout", 't', "TIME", 0,
     "The longest that the whole run may take, 100ms to 1440m, which is a day (default 60s); what is left "
     "then stays for the "
     "next run",
     2},
    {"json", OPTION_JSON, NULL, 0, "Write one JSON object for each session", 2},
    {0},
};

static const char DOC[] =
    "Sends the spans that engines have recorded and not sent when they were killed or crashed. They lie in "
    "shared memory, in the engine's session. Each is sent once, except those in doubt (see --in-doubt) and a "
    "request that was in flight when an earlier recovery was killed, with the engine's own resource; spans "
    "that were not finished get the attribute nanospan.unfinished. Then the "
    "session is removed."
    "\v"
    "SESSION is a service name, a process id, or a session's directory or its name. Without one, all dead "
    "sessions of "
    "this user are recovered. Sessions of living engines are never touched: the engines send their spans "
    "themselves, or `nanospan agent` does (NSP_COLLECTOR=external).\n\n"
    "The variables that configure an engine decide where and how the spans are sent. At the end there is an "
    "account for each session of all spans that its engine began.\n\n"
    "A receiver that refuses a request (404, 401 ...) may be the wrong one, and a disk may be full: the "
    "spans "
    "stay in the session, and a message says why. --output FILE takes them out of it without a receiver.\n\n"
    "What is damaged in a session stays there, and all else is recovered. A session that two recoveries "
    "could "
    "not read or found damaged is set aside: it is left out unless it is named by its process id or "
    "directory.\n\n"
    "Root recovers only what root's engines have left, and says which command to use for other users. If, "
    "without a "
    "SESSION, only other users have sessions, the exit code is 1.\n\n"
    "Exit codes: 0 everything was recovered, or there was nothing to recover; 1 something is left, or the "
    "receiver has rejected spans of a request that it took, and a message says why; 2 wrong command line, "
    "and "
    "nothing was done.\n\n"
    "Examples:\n"
    "  nanospan recover --list\n"
    "  nanospan recover --output crashed.jsonl\n"
    "  nanospan recover --endpoint http://localhost:4318 execution\n"
    "  ExecStartPre=-nanospan recover --speculative execution\n\n"
    "The last one is for a systemd unit; the - lets the engine start even if the recovery fails, and "
    "--speculative matters only with outlier rules (NSP_OUTLIERS).\n";

static bool timeout_of(const char *given, recover_options *o)
{
    const uint64_t least = NSP__SECOND / 10, most = 86400 * NSP__SECOND;
    if (!option_duration("timeout", given, &o->timeout_ns))
        return false;
    if (o->timeout_ns >= least && o->timeout_ns <= most)
        return true;
    complain("--timeout takes 100ms to 1440m, not '%s'", given);
    return false;
}

static bool text_of(const char *option, const char *given, const char **out)
{
    if (*out == NULL)
        return option_text(option, given, out);
    complain("--%s is given twice: %s and %s", option, *out, given);
    return false;
}

static bool output_of(const char *given, recover_options *o)
{
    if (strcmp(given, "-") != 0)
        return text_of("output", given, &o->output);
    complain(
        "--output takes a file that is renamed when it is complete, so it cannot be standard output; ./- is "
        "a file of that name");
    return false;
}

static bool set_option(recover_options *o, int key, const char *given)
{
    switch (key) {
    case 'e': return text_of("endpoint", given, &o->endpoint);
    case 'o': return output_of(given, o);
    case 'l': o->list = true; return true;
    case 't': return timeout_of(given, o);
    case OPTION_IN_DOUBT: return option_in_doubt(given, &o->in_doubt);
    case OPTION_JSON: o->json = true; return true;
    case OPTION_KEEP: o->keep = true; return true;
    case OPTION_SPECULATIVE: o->speculative = true; return true;
    default: return false;
    }
}

static void add_wanted(recover_options *o, char *given, struct argp_state *state)
{
    static size_t capacity;
    if (!*given)
        argp_error(state, "a SESSION is empty: name a service, a process id or a directory");
    o->wanted = need_room(o->wanted, o->wanted_count, &capacity, sizeof *o->wanted);
    o->wanted[o->wanted_count++] = given;
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    recover_options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG: add_wanted(o, given, state); return 0;
    case ARGP_KEY_END:
        if (o->endpoint != NULL && o->output != NULL)
            argp_error(state, "--endpoint and --output exclude each other: choose one");
        if (o->list && (o->endpoint != NULL || o->output != NULL || o->keep || o->speculative))
            argp_error(state, "--list only shows the sessions; leave out the other options");
        return 0;
    default: break;
    }
    if (!option_listed(OPTIONS, key))
        return ARGP_ERR_UNKNOWN;
    if (!set_option(o, key, given))
        exit(EXIT_USAGE);
    return 0;
}

// ---- signals ----

static void stop(int number)
{
    (void)number;
    recover_stopped = 1;
}

// The first signal ends the run in order, a second one at once.
static void stop_on_signals(void)
{
    struct sigaction ending = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &ending, NULL);
    sigaction(SIGTERM, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
}

// ---- the steps ----

// what: was to be written.
static bool written(bool sound, const char *what)
{
    if (!sound)
        complain("%s cannot be written to standard output: %s", what, strerror(errno));
    return sound;
}

const char *recover_living(size_t living, size_t external, size_t undrained)
{
    if (undrained != 0)
        return living == 1
                   ? ", and nobody drains it: start `nanospan agent`, which sends its spans"
                   : ", and nobody drains some of them: start `nanospan agent`, which sends their spans";
    if (external != 0)
        return living == 1 ? ", and an agent sends its spans" : ", and they or an agent send their spans";
    return living == 1 ? " and sends its spans itself" : " and send their spans themselves";
}

// Without a name everything is meant, and if all that there is belongs to other users, none of it was recovered.
static int say_nothing_to_do(const recover_options *o, const recover_choice *choice)
{
    const char *living = recover_living(choice->living, choice->living_external, choice->living_undrained);
    if (choice->living == 1)
        complain("there is nothing to recover: its engine is running%s", living);
    else if (choice->living != 0)
        complain("there is nothing to recover: %zu engines of that name are running%s", choice->living,
                 living);
    else if (o->wanted_count == 0) // otherwise each name was complained about
        complain("there is nothing to recover: this user has no dead session");
    bool others = choice->living == 0 && recover_hint_other_users(o);
    return others && choice->none && o->wanted_count == 0 ? EXIT_PROBLEM : EXIT_GOOD;
}

static int list(const recover_options *o)
{
    recover_choice choice;
    if (!recover_choose(&choice, o, true))
        return EXIT_PROBLEM;
    if (choice.count == 0 && o->wanted_count == 0)
        complain("there are no sessions of this user");
    if (choice.count == 0)
        recover_hint_other_users(o);
    const char *no_colour = getenv("NO_COLOR");
    bool coloured = isatty(STDOUT_FILENO) && !(no_colour != NULL && *no_colour);
    bool sound = written(recover_print_list(&choice, o->json, coloured), "the list") && choice.missing == 0;
    for (size_t i = 0; i < choice.count; i++) {
        const recover_session *session = &choice.sessions[i];
        if (session->alive && session->external && !session->drained && session->problem == NULL)
            complain("%s (pid %" PRIu32 "): nobody drains it: start `nanospan agent`", session->service,
                     session->pid);
        if (!session->alive && session->ended && !session->drained && session->problem == NULL)
            complain("%s (pid %" PRIu32 "): has ended and left its session: start `nanospan agent`, or this "
                     "sends what is in it: nanospan recover %" PRIu32,
                     session->service, session->pid, session->pid);
    }
    recover_choice_free(&choice);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}

// Of a session that was not opened, only what it said when the command looked at it is known. What a living engine
// has, it sends itself.
static uint64_t left_in(const recover_result *result)
{
    if (result->opened)
        return result->account.left;
    return result->gone || result->busy || result->session->alive ? 0 : result->session->unsent;
}

// The messages stand beside the accounts, for those who read only the log. named: FILE has its name now.
static void tell_problems(const recover_result *results, size_t count, bool named)
{
    uint64_t left = 0, again = 0;
    for (size_t i = 0; i < count; i++) {
        const recover_result *result = &results[i];
        left += left_in(result);
        again += result->again ? left_in(result) - result->account.left_foreign : 0;
        if (result->gone)
            complain("%s (pid %" PRIu32 "): another process has recovered or removed it in the meantime",
                     result->session->service, result->session->pid);
        if (*result->problem)
            complain("%s (pid %" PRIu32 "): %s", result->session->service, result->session->pid,
                     result->problem);
        if (result->account.left_foreign != 0) {
            char foreign[UNITS_SIZE];
            units_count(foreign, result->account.left_foreign);
            complain("%s (pid %" PRIu32 "): %s spans are in batches of an exporter of a program's own, which "
                     "only that can read; they "
                     "stay in %s until you remove it",
                     result->session->service, result->session->pid, foreign, result->session->directory);
        }
        if (result->opened && !recover_balanced(&result->account))
            complain("%s (pid %" PRIu32
                     "): the account is not balanced: the session is damaged, or this is a "
                     "fault of nanospan",
                     result->session->service, result->session->pid);
    }
    if (left != 0) {
        char count_left[UNITS_SIZE];
        units_count(count_left, left);
        complain("%s %s left in shared memory%s%s", count_left, left == 1 ? "span is" : "spans are",
                 again == left ? "; nothing of them is lost: run the command again"
                 : again != 0  ? "; running the command again may recover a part of them"
                               : "",
                 again != 0 && named ? ", with a new FILE, since this one holds what was recovered" : "");
    }
}

static int recover_chosen(const recover_options *o, const recover_choice *choice)
{
    part_file output = {.fd = -1, .folder = -1};
    nsp_config config;
    if (o->output != NULL && !part_file_open(&output, o->output))
        return EXIT_PROBLEM;
    if (!recover_configure(&config, o, &output)) {
        part_file_close(&output);
        return EXIT_USAGE;
    }
    if (choice->count == 0) {
        part_file_close(&output);
        return choice->missing == 0 ? say_nothing_to_do(o, choice) : EXIT_PROBLEM;
    }
    recover_result *results = need_zeroes(choice->count, sizeof *results);
    bool complete = recover_sessions(results, choice, o, &config, &output);
    bool sound = written(recover_print_results(results, choice->count, o->json, recover_target(o, &config)),
                         complete ? "everything was recovered, but the account" : "the account");
    tell_problems(results, choice->count, output.fd >= 0 && output.part == NULL);
    part_file_close(&output);
    free(results);
    return complete && sound && choice->missing == 0 ? EXIT_GOOD : EXIT_PROBLEM;
}

int command_recover(int argc, char **argv)
{
    recover_options o = {.timeout_ns = 60 * NSP__SECOND};
    static const struct argp parser = {
        .options = OPTIONS, .parser = parse, .args_doc = "[SESSION...]", .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    int result = EXIT_PROBLEM;
    recover_choice choice;
    stop_on_signals();
    if (o.list) {
        result = list(&o);
    } else if (recover_choose(&choice, &o, false)) {
        result = recover_chosen(&o, &choice);
        recover_choice_free(&choice);
    }
    free(o.wanted);
    return result;
}
