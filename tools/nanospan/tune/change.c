// SPDX-License-Identifier: Apache-2.0
//
// Changes engines. What can be found out before is found out before, so that a mistake changes none of them.
#include "tune.h"

#include <stdlib.h>

static bool has_rule(const figures_engine *engine, const char *pattern)
{
    for (size_t i = 0; i < engine->seen.rule_count; i++)
        if (strcmp(engine->rules[i].pattern, pattern) == 0)
            return true;
    return false;
}

static void complain_no_rule(const figures_engine *engine, const char *pattern)
{
    text rules = {0};
    for (size_t i = 0; i < engine->seen.rule_count; i++)
        text_format(&rules, "%s%s", i != 0 ? ", " : "", engine->rules[i].pattern);
    complain("%s (pid %u): no rule has the pattern %s, and nothing was changed; %s%.*s", engine->service,
             engine->seen.pid, pattern, rules.length != 0 ? "its rules are: " : "it has no rules",
             (int)rules.length, rules.length != 0 ? rules.data : "");
    text_free(&rules);
}

static bool has_outlier(const figures_engine *engine, const char *pattern)
{
    for (size_t i = 0; i < engine->seen.outlier_count; i++)
        if (strcmp(engine->outliers[i].pattern, pattern) == 0)
            return true;
    return false;
}

// Whether there are too many outlier rules, or too many classes, is found out by the change itself.
static bool removes_outliers(const figures_engine *engine, const tune_options *o)
{
    for (size_t i = 0; i < o->count; i++) {
        const char *pattern = o->changes[i].pattern;
        if (o->changes[i].kind != NSP_TUNE_REMOVE_OUTLIER_RULE || has_outlier(engine, pattern))
            continue;
        text rules = {0};
        for (size_t k = 0; k < engine->seen.outlier_count; k++)
            text_format(&rules, "%s%s", k != 0 ? ", " : "", engine->outliers[k].pattern);
        complain("%s (pid %u): no outlier rule has the pattern %s, and nothing was changed; %s%.*s",
                 engine->service, engine->seen.pid, pattern,
                 rules.length != 0 ? "its outlier rules are: " : "it has no outlier rules", (int)rules.length,
                 rules.length != 0 ? rules.data : "");
        text_free(&rules);
        return false;
    }
    return true;
}

// False after a message: as far as can be seen, the engine cannot be changed in this way.
static bool possible(const figures_engine *engine, const tune_options *o)
{
    if (!removes_outliers(engine, o))
        return false;
    size_t rules = engine->seen.rule_count;
    for (size_t i = 0; i < o->count; i++)
        if (o->changes[i].kind == NSP_TUNE_REMOVE_RULE) {
            if (!has_rule(engine, o->changes[i].pattern)) {
                complain_no_rule(engine, o->changes[i].pattern);
                return false;
            }
            rules--;
        }
    for (size_t i = 0; i < o->count; i++) {
        const nsp_tune_change *change = &o->changes[i];
        if (change->kind != NSP_TUNE_RULE)
            continue;
        bool removed = false;
        for (size_t k = 0; k < i; k++)
            removed |= o->changes[k].kind == NSP_TUNE_REMOVE_RULE &&
                       strcmp(o->changes[k].pattern, change->pattern) == 0;
        rules += removed || !has_rule(engine, change->pattern);
    }
    if (rules <= NSP_SAMPLER_RULES_MAX)
        return true;
    complain(
        "%s (pid %u): it would have %zu rules, and at most %d are possible; nothing was changed: make room "
        "with --remove, or let one pattern stand for several names",
        engine->service, engine->seen.pid, rules, NSP_SAMPLER_RULES_MAX);
    return false;
}

static const char *what_to_do(nsp_status status)
{
    switch (status) {
    case NSP_ERR_TIMEOUT:
        return ": if that stays so, look for a `nanospan tune` of this user that is stopped";
    case NSP_ERR_UNSUPPORTED: return ": use the command `nanospan` of that version";
    default: return "";
    }
}

static void complain_of(const figures_engine *engine, nsp_status status, const char *problem,
                        const char *outcome)
{
    if (status == NSP_ERR_DAMAGED)
        outcome = "`--show` says whether something was changed";
    complain("%s (pid %u): %s; %s%s", engine->service, engine->seen.pid, problem, outcome,
             what_to_do(status));
}

static bool open_all(nsp_tune **opened, const tune_choice *choice)
{
    char problem[512];
    for (size_t i = 0; i < choice->count; i++) {
        const nsp_status status =
            nsp_tune_open(&opened[i], choice->engines[i]->directory, problem, sizeof problem);
        if (status != NSP_OK) {
            complain_of(choice->engines[i], status, problem, "nothing was changed");
            return false;
        }
    }
    return true;
}

// Rules may be set before their first root comes. But if no name fits, it may also be mistyped.
static void remark(const figures_engine *engine, nsp_tune *opened, const tune_options *o, nsp_tune_kind kind)
{
    text patterns = {0};
    for (size_t i = 0; i < o->count; i++)
        if (o->changes[i].kind == kind && !nsp_tune_matches(opened, o->changes[i].pattern))
            text_format(&patterns, "%s%s", patterns.length != 0 ? ", " : "", o->changes[i].pattern);
    if (patterns.length != 0)
        complain("%s (pid %u): it has no name so far that matches %.*s; %s takes back what is mistyped",
                 engine->service, engine->seen.pid, (int)patterns.length, patterns.data,
                 kind == NSP_TUNE_RULE ? "--remove" : "--remove-outlier");
    text_free(&patterns);
}

static bool apply_all(nsp_tune **opened, tune_choice *choice, const tune_options *o)
{
    const size_t count = choice->count;
    choice->count = 0;
    for (size_t i = 0; i < count; i++) {
        const nsp_status status = nsp_tune_apply(opened[i], o->changes, o->count, NULL);
        if (status == NSP_OK) {
            remark(choice->engines[i], opened[i], o, NSP_TUNE_RULE);
            remark(choice->engines[i], opened[i], o, NSP_TUNE_OUTLIER_RULE);
            choice->engines[choice->count++] = choice->engines[i];
        } else {
            complain_of(choice->engines[i], status, nsp_error_detail(),
                        count == 1 ? "nothing was changed" : "this engine was not changed");
        }
    }
    return choice->count == count;
}

bool tune_change(tune_choice *choice, const tune_options *o)
{
    const size_t count = choice->count;
    nsp_tune **opened = need_zeroes(count, sizeof(nsp_tune *));
    bool sound = true;
    for (size_t i = 0; i < count && sound; i++)
        sound = possible(choice->engines[i], o);
    sound = sound && open_all(opened, choice);
    if (!sound)
        choice->count = 0;
    sound = sound && apply_all(opened, choice, o);
    for (size_t i = 0; i < count; i++)
        nsp_tune_close(opened[i]);
    free(opened);
    return sound;
}
