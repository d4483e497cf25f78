// SPDX-License-Identifier: Apache-2.0
//
// `nanospan tune`: its options, and the order of its steps.
#include "tune.h"

#include "command.h"
#include "support/options.h"
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OPTION_REMOVE = 256,
    OPTION_PARENT,
    OPTION_LIMIT,
    OPTION_OUTLIER,
    OPTION_REMOVE_OUTLIER,
    OPTION_ALL,
    OPTION_SHOW,
    OPTION_JSON,
    OPTION_SHM_DIR
};

static const struct argp_option OPTIONS[] = {
    {"remove", OPTION_REMOVE, "PATTERN", 0, "Remove the rule with exactly this pattern; may be repeated", 1},
    {"limit", OPTION_LIMIT, "N/s", 0,
     "Begin at most so many traces a second, such as 500/s, by lowering all rates while there would be more; "
     "none: no limit",
     1},
    {"parent", OPTION_PARENT, "POLICY", 0,
     "follow: traces of a remote parent are recorded if the parent was (the default of engines); decide: the "
     "engine's rate decides about them too",
     1},
    {"outlier", OPTION_OUTLIER, "RULES", 0,
     "Keep traces that are not sampled all the same: 'PATTERN: CONDITION, ...' with slower=TIME, "
     "slowest=SHARE, errors, "
     "asked, measure, limit=N/s and history=TIME; several rules are separated by ;. May be repeated",
     1},
    {"remove-outlier", OPTION_REMOVE_OUTLIER, "PATTERN", 0,
     "Remove the outlier rule with exactly this pattern; may be repeated", 1},
    {"all", OPTION_ALL, NULL, 0, "Change all running engines that SESSION fits, not just one", 2},
    {"show", OPTION_SHOW, NULL, 0, "Print what is in force, after the change if there is one", 2},
    {"json", OPTION_JSON, NULL, 0, "Print one line of JSON for each engine", 2},
    {"shm-dir", OPTION_SHM_DIR, "FOLDER", 0,
     "The folder of sessions (default: NSP_SHM_DIR, otherwise /dev/shm)", 2},
    {0},
};

static const char DOC[] =
    "Shows and changes what a running engine samples, from outside and at no cost to it: each thread obeys "
    "at "
    "its next trace. Only the engine's user may do so."
    "\v"
    "SESSION is a service name, a process id, or a session's directory or its name. RATE is the share of "
    "traces that are recorded, 0 to 1; PATTERN=RATE sets that of traces whose root's name matches a shell "
    "pattern (* ? [...]), to be quoted so that the shell leaves it alone (behind -- if it begins with a "
    "dash). If several patterns match, the "
    "first "
    "rule wins; a new rule is the last one, and one that is set again keeps its place.\n\n"
    "All that is given changes at once or not at all, removals first. Without a change, or with --show, what "
    "is in force is printed, with its source: default, environment, code (of the engine), or tune. What was "
    "set "
    "last is in force, whoever has set it, until the engine ends.\n\n"
    "Root can tune only what root's engines do; to tune others it becomes their user: sudo -u USER nanospan "
    "tune ...\n\n"
    "Exit codes: 0 success; 1 an engine was not found or not changed, and a message says why; 2 wrong "
    "command "
    "line, and nothing was done.\n\n"
    "Examples:\n"
    "  nanospan tune execution                    show what is in force\n"
    "  nanospan tune execution 0.1                record one trace in ten\n"
    "  nanospan tune execution 0.01 'risk_*'=1    all of these, 1 % of others\n"
    "  nanospan tune 4711 --remove 'risk_*' --limit 500/s\n"
    "  nanospan tune execution --outlier 'order*: slower=50us, errors'\n";

static void add(tune_options *o, nsp_tune_change change)
{
    o->changes = need_room(o->changes, o->count, &o->capacity, sizeof *o->changes);
    o->changes[o->count++] = change;
}

static const nsp_tune_change *given_already(const tune_options *o, nsp_tune_kind kind, const char *pattern)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->changes[i].kind == kind && (pattern == NULL || strcmp(o->changes[i].pattern, pattern) == 0))
            return &o->changes[i];
    return NULL;
}

static bool twice(const tune_options *o, nsp_tune_kind kind, const char *pattern, const char *what)
{
    if (given_already(o, kind, pattern) == NULL)
        return false;
    complain("%s%s%s is given twice", what, pattern != NULL ? " " : "", pattern != NULL ? pattern : "");
    return true;
}

static bool pattern_of(const char *given)
{
    if (*given && strlen(given) <= NSP_SAMPLER_PATTERN_MAX)
        return true;
    if (!*given)
        complain("a pattern is empty: it is that of the names of roots, such as 'risk_*'");
    else
        complain("a pattern has at most %d bytes; this one has %zu: %s", NSP_SAMPLER_PATTERN_MAX,
                 strlen(given), given);
    return false;
}

static bool remove_outlier_of(char *given, tune_options *o)
{
    if (!pattern_of(given) || twice(o, NSP_TUNE_REMOVE_OUTLIER_RULE, given, "--remove-outlier"))
        return false;
    add(o, (nsp_tune_change){.kind = NSP_TUNE_REMOVE_OUTLIER_RULE, .pattern = given});
    // Removals come first, wherever they stand.
    const nsp_tune_change last = o->changes[o->count - 1];
    memmove(&o->changes[1], &o->changes[0], (o->count - 1) * sizeof last);
    o->changes[0] = last;
    return true;
}

static bool outlier_of(const char *given, tune_options *o)
{
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    const size_t before = o->count;
    size_t at = 0;
    nsp_status status = NSP_OK;
    while (status == NSP_OK) {
        nsp_outlier_rule rule = NSP_OUTLIER_RULE_INIT;
        status = nsp_outlier_rule_read(given, &at, pattern, &rule);
        if (status != NSP_OK)
            break;
        if (twice(o, NSP_TUNE_OUTLIER_RULE, pattern, "the outlier rule of"))
            return false;
        nsp_outlier_rule *kept = need_zeroes(1, sizeof *kept);
        *kept = rule;
        add(o,
            (nsp_tune_change){.kind = NSP_TUNE_OUTLIER_RULE, .pattern = need_copy(pattern), .outlier = kept});
    }
    if (status != NSP_ERR_NOT_FOUND)
        complain("--outlier '%s': %s", given, nsp_error_detail());
    else if (o->count == before)
        complain("--outlier is empty: it takes a rule such as 'order*: slower=50us'");
    return status == NSP_ERR_NOT_FOUND && o->count != before;
}

static bool remove_of(char *given, tune_options *o)
{
    if (!pattern_of(given) || twice(o, NSP_TUNE_REMOVE_RULE, given, "--remove"))
        return false;
    add(o, (nsp_tune_change){.kind = NSP_TUNE_REMOVE_RULE, .pattern = given});
    return true;
}

// RATE or PATTERN=RATE. A pattern may have a = in it, a rate has none.
static bool rate_of(char *given, tune_options *o)
{
    char *equals = strrchr(given, '=');
    double rate = 0;
    if (!option_rate(equals != NULL ? equals + 1 : given, &rate))
        return false;
    if (equals == NULL) {
        if (twice(o, NSP_TUNE_RATE, NULL, "the rate"))
            return false;
        add(o, (nsp_tune_change){.kind = NSP_TUNE_RATE, .value = rate});
        return true;
    }
    *equals = '\0';
    if (!pattern_of(given) || twice(o, NSP_TUNE_RULE, given, "the rate of"))
        return false;
    add(o, (nsp_tune_change){.kind = NSP_TUNE_RULE, .pattern = given, .value = rate});
    return true;
}

static bool parent_of(const char *given, tune_options *o)
{
    const bool decide = strcmp(given, "decide") == 0;
    if (!decide && strcmp(given, "follow") != 0) {
        complain("--parent takes follow or decide, not '%s'", given);
        return false;
    }
    if (twice(o, NSP_TUNE_PARENT_POLICY, NULL, "--parent"))
        return false;
    add(o, (nsp_tune_change){.kind = NSP_TUNE_PARENT_POLICY,
                             .parent_policy = decide ? NSP_PARENT_DECIDE : NSP_PARENT_FOLLOW});
    return true;
}

static bool limit_of(const char *given, tune_options *o)
{
    double limit = 0;
    if (strcmp(given, "none") != 0 &&
        !option_per_second("limit", given, NSP_SAMPLER_LIMIT_MIN, NSP_SAMPLER_LIMIT_MAX, &limit))
        return false;
    if (twice(o, NSP_TUNE_LIMIT, NULL, "--limit"))
        return false;
    add(o, (nsp_tune_change){.kind = NSP_TUNE_LIMIT, .value = limit});
    return true;
}

static bool argument_of(char *given, tune_options *o)
{
    if (o->wanted != NULL)
        return rate_of(given, o);
    o->wanted = given;
    if (!*given)
        complain("SESSION is empty: name a service, a process id or a directory");
    return *given;
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    tune_options *o = state->input;
    bool right = true;
    switch (key) {
    case OPTION_REMOVE: right = remove_of(given, o); break;
    case OPTION_PARENT: right = parent_of(given, o); break;
    case OPTION_LIMIT: right = limit_of(given, o); break;
    case OPTION_OUTLIER: right = outlier_of(given, o); break;
    case OPTION_REMOVE_OUTLIER: right = remove_outlier_of(given, o); break;
    case OPTION_ALL: o->all = true; break;
    case OPTION_SHOW: o->show = true; break;
    case OPTION_JSON: o->json = true; break;
    case OPTION_SHM_DIR: right = option_text("shm-dir", given, &o->shm_dir); break;
    case ARGP_KEY_ARG: right = argument_of(given, o); break;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "no SESSION is given: name a service, a process id or a directory; `nanospan top` "
                          "shows which engines run");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (!right)
        exit(EXIT_USAGE);
    return 0;
}

static void free_changes(tune_options *o)
{
    for (size_t i = 0; i < o->count; i++)
        if (o->changes[i].kind == NSP_TUNE_OUTLIER_RULE) {
            free((void *)(uintptr_t)o->changes[i].pattern);
            free((void *)(uintptr_t)o->changes[i].outlier);
        }
    free(o->changes);
}

static bool change_and_show(tune_choice *choice, const tune_options *o)
{
    tune_choice now;
    if (o->count == 0)
        return tune_show(choice, NULL, o);
    const bool changed = tune_change(choice, o);
    if (choice->count == 0)
        return changed;
    // With --all, some may be changed although one of them could not be.
    const bool shown = tune_look_again(&now, choice) && tune_show(&now, choice, o);
    tune_choice_free(&now);
    return changed && shown;
}

int command_tune(int argc, char **argv)
{
    tune_options o = {.argc = argc};
    static const struct argp parser = {
        .options = OPTIONS, .parser = parse, .args_doc = "SESSION [RATE] [PATTERN=RATE...]", .doc = DOC};
    // Parsing moves them, and cuts rules in two.
    o.argv = need_zeroes((size_t)argc + 1, sizeof *o.argv);
    for (int i = 0; i < argc; i++)
        o.argv[i] = need_copy(argv[i]);
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    tune_choice choice;
    const bool sound = tune_choose(&choice, &o) && change_and_show(&choice, &o);
    tune_choice_free(&choice);
    for (int i = 0; i < argc; i++)
        free(o.argv[i]);
    free(o.argv);
    free_changes(&o);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}
