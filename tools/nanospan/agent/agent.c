// SPDX-License-Identifier: Apache-2.0
//
// `nanospan agent`: its options.
#include "agent.h"

#include "command.h"
#include "support/options.h"
#include "common/time.h"
#include <argp.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_SHM_DIR = 256, OPTION_IN_DOUBT, OPTION_ONCE, OPTION_SPECULATIVE };

static const struct argp_option OPTIONS[] = {
    {"endpoint", 'e', "URL", 0,
     "Send the spans to this receiver, such as http://localhost:4318 (default: as the environment says, for "
     "instance OTLP_ENDPOINT)",
     1},
    {"shm-dir", OPTION_SHM_DIR, "FOLDER", 0,
     "The folder of sessions (default: NSP_SHM_DIR, otherwise /dev/shm); the engines need the same one", 1},
    {"in-doubt", OPTION_IN_DOUBT, "WHAT", 0,
     "What to do with spans that the receiver may already have, because an engine or another agent died "
     "while it sent them: send them again (send, the default), or leave them out (skip)",
     2},
    {"speculative", OPTION_SPECULATIVE, NULL, 0,
     "When an engine dies, also send the traces of which an outlier rule would have decided at their end: "
     "those "
     "that were open, and those that lie in history (as `nanospan recover --speculative` does). Without it "
     "they are counted, and removed with the session",
     2},
    {"timeout", 't', "TIME", 0,
     "How long the agent may take to end, 100ms to 60m (default 5s), or with --once the whole run (default "
     "60s). What is not sent then stays in shared memory",
     2},
    {"once", OPTION_ONCE, NULL, 0, "Send what is there now, recover what has died, and end", 2},
    {"quiet", 'q', NULL, 0, "Say only what is wrong", 2},
    {0},
};

static const char DOC[] =
    "Drains the engines of this user from outside: those that run with NSP_COLLECTOR=external, and so have "
    "no "
    "thread and no connection of nanospan's. Finds their sessions in shared memory as they come, sends their "
    "spans with each engine's own resource, recovers the sessions of engines that die, and removes those of "
    "engines that have ended."
    "\v"
    "The variables that configure an engine's exporter decide where and how the spans are sent. There is one "
    "line on stderr for each event. SIGTERM, SIGINT or SIGHUP ends the agent in order; a second signal ends "
    "it "
    "at once. However it ends, what was not sent waits in the sessions, for the next agent or for "
    "`nanospan recover`, and at most the batch that was being sent is sent twice. Spans of a running engine "
    "that the receiver refuses, because of a wrong path for instance, are lost, as with an engine's own "
    "collector.\n\n"
    "Several agents may run: each session is drained by one of them, and the others take over when it "
    "ends.\n\n"
    "An agent serves the user that it runs as. As root it refuses the sessions of others: run one for each "
    "user, for instance with systemctl start nanospan-agent@USER.\n\n"
    "Exit codes: 0 it was told to end, or with --once everything was sent; 1 it could not start, or with "
    "--once "
    "something is left or was refused, and a message says why; 2 wrong command line, or no receiver is "
    "configured.\n\n"
    "Examples:\n"
    "  nanospan agent --endpoint http://localhost:4318\n"
    "  nanospan agent --once --timeout 20s\n"
    "  systemctl enable --now nanospan-agent@trading\n";

static bool timeout_of(const char *given, agent_options *o)
{
    if (!option_duration("timeout", given, &o->timeout_ns))
        return false;
    if (o->timeout_ns >= NSP__SECOND / 10 && o->timeout_ns <= 3600 * NSP__SECOND)
        return true;
    complain("--timeout takes 100ms to 60m, not '%s'", given);
    return false;
}

static bool set_option(agent_options *o, int key, const char *given)
{
    switch (key) {
    case 'e': return option_text("endpoint", given, &o->endpoint);
    case 't': return timeout_of(given, o);
    case 'q': o->quiet = true; return true;
    case OPTION_SHM_DIR: return option_text("shm-dir", given, &o->shm_dir);
    case OPTION_IN_DOUBT: return option_in_doubt(given, &o->in_doubt);
    case OPTION_SPECULATIVE: o->speculative = true; return true;
    default: o->once = true; return true;
    }
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected argument '%s'; agent takes only options", given);
    if (!option_listed(OPTIONS, key))
        return ARGP_ERR_UNKNOWN;
    if (!set_option(state->input, key, given))
        exit(EXIT_USAGE);
    return 0;
}

int command_agent(int argc, char **argv)
{
    agent_options o = {.in_doubt = NSP_IN_DOUBT_SEND};
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    if (o.timeout_ns == 0)
        o.timeout_ns = (o.once ? 60 : 5) * NSP__SECOND;
    return agent_run(&o);
}
