// SPDX-License-Identifier: Apache-2.0
//
// nsp_settings_each: what each variable of the table in environment.c says, and whether it is in force.
#include <nanospan/inspect.h>

#include <stdio.h>
#include <string.h>

#include "base/call.h"
#include "base/log.h"
#include "config/environment.h"

enum { PROBLEM_SIZE = 700 };

// True if the variable sets its member: it is set, and either accepted or one that hides variables of lower
// precedence even when it is bad.
static bool sets_member(const nsp__variable *variable, const nsp_config *used)
{
    char problem[PROBLEM_SIZE];
    return !variable->kind->sets_nothing && nsp__environment_text(variable->name) != NULL &&
           (variable->kind->keeps_its_place ||
            nsp__environment_judge(variable, used, problem, sizeof problem) != NSP__BAD);
}

// The variable of highest precedence that sets the same member, or NULL if none does.
static const nsp__variable *winner_of(const nsp__variable *variable, const nsp_config *used)
{
    for (size_t i = 0; i < nsp__variable_count; i++)
        if (nsp__variables[i].offset == variable->offset && sets_member(&nsp__variables[i], used))
            return &nsp__variables[i];
    return NULL;
}

static void judge(const nsp__variable *variable, const nsp_config *used, nsp_setting *out, char *problem,
                  size_t size)
{
    const nsp__variable *winner = winner_of(variable, used);
    out->is_default = winner == NULL;
    out->state = NSP_SETTING_UNSET;
    if (out->text == NULL)
        return;
    out->state = NSP_SETTING_IN_FORCE;
    nsp__verdict verdict = nsp__environment_judge(variable, used, problem, size);
    if (verdict == NSP__BAD) {
        out->state = NSP_SETTING_BAD;
    } else if (variable->kind == &nsp__kind_ignored) {
        out->state = NSP_SETTING_WITHOUT_EFFECT;
        snprintf(problem, size, "is ignored: it %s", variable->meaning);
    } else if (variable->kind == &nsp__kind_sampler_argument) {
        const char *sampler =
            winner != NULL && winner->kind == &nsp__kind_sampler ? nsp__environment_text(winner->name) : NULL;
        if (sampler != NULL && strcasestr(sampler, "traceidratio") != NULL)
            return;
        out->state = NSP_SETTING_WITHOUT_EFFECT;
        snprintf(problem, size,
                 "is used only if OTEL_TRACES_SAMPLER is traceidratio or parentbased_traceidratio");
    } else if (winner != NULL && winner != variable) {
        out->state = NSP_SETTING_BEATEN;
        out->beaten_by = winner->name;
        return;
    }
    if (out->state != NSP_SETTING_IN_FORCE || verdict == NSP__PARTLY)
        out->problem = problem;
}

nsp_status nsp_settings_each(nsp_setting_visit visit, void *argument)
{
    NSP__NO_CANCEL;
    if (visit == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_settings_each: visit is NULL");
    nsp_config used;
    nsp__environment_read(&used);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        char accepts[160], value[256], problem[PROBLEM_SIZE];
        const char *text = nsp__environment_text(variable->name);
        nsp_setting setting = {
            .size = sizeof setting,
            .variable = variable->name,
            .member = variable->member,
            .accepted = accepts,
            .fallback = nsp__environment_default(variable),
            .meaning = variable->meaning,
            .text = text != NULL ? nsp__variable_shown(variable, text) : NULL,
            .value = value,
        };
        nsp__variable_accepts(variable, false, accepts, sizeof accepts);
        nsp__variable_value(variable, false, &used, value, sizeof value);
        setting.secret = variable->secret || setting.text != text;
        judge(variable, &used, &setting, problem, sizeof problem);
        if (!visit(argument, &setting))
            break;
    }
    return NSP_OK;
}
