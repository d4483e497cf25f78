// SPDX-License-Identifier: Apache-2.0
//
// Log lines about settings that cannot be used.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "common/visible.h"
#include "config/environment.h"
#include "config/exporter_set.h"

static void report_one(const nsp__variable *variable, const nsp_config *used)
{
    char problem[700], shown[256];
    switch (nsp__environment_judge(variable, used, problem, sizeof problem)) {
    case NSP__FINE: break;
    case NSP__PARTLY: nsp__log(NSP_LOG_WARN, variable->name, "%s: %s", variable->name, problem); break;
    case NSP__BAD:
        nsp__visible(shown, sizeof shown,
                     nsp__variable_shown(variable, nsp__environment_text(variable->name)));
        nsp__log(NSP_LOG_WARN, variable->name, "%s=%.200s %s", variable->name, shown, problem);
    }
}

static const char *text_member(const nsp__variable *variable, const nsp_config *config)
{
    const char *text;
    memcpy(&text, (const char *)config + variable->offset, sizeof text);
    return text;
}

// True for what only concerns libnanospan's exporters. Their members lie together.
static bool of_exporters(const nsp__variable *variable)
{
    return variable->offset >= offsetof(nsp_config, exporter) &&
           variable->offset <= offsetof(nsp_config, file);
}

// True if the application has set this text itself; it does not come from the environment.
static bool text_given(const nsp__variable *variable, const nsp_config *given, const nsp_config *used)
{
    // The struct of an older caller may end before the member.
    if (given == NULL || !variable->kind->text || variable->offset + sizeof(char *) > given->size ||
        (variable > nsp__variables && variable[-1].offset == variable->offset))
        return false;
    const char *text = text_member(variable, given), *from_environment = text_member(variable, used);
    return text != NULL && *text != 0 && (from_environment == NULL || strcmp(text, from_environment) != 0);
}

static void add_name(char *names, size_t size, const char *before, const char *name)
{
    size_t length = strlen(names);
    snprintf(names + length, size - length, "%s%s%s", length == 0 ? "" : ", ", before, name);
}

static bool exporter_given(const nsp_config *given)
{
    return given != NULL && given->size >= offsetof(nsp_config, custom_exporter) + sizeof(void *) &&
           given->custom_exporter != NULL;
}

// One line about everything that was set for exporters that are not there.
static void report_unused(const nsp_config *given, const nsp_config *used)
{
    static int said;
    char names[1024] = "", missing[200];
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        if (!of_exporters(variable))
            continue;
        if (nsp__environment_text(variable->name) != NULL)
            add_name(names, sizeof names, "", variable->name);
        if (text_given(variable, given, used))
            add_name(names, sizeof names, "nsp_config.", variable->member);
    }
    if (*names != 0 && !__atomic_exchange_n(&said, 1, __ATOMIC_RELAXED))
        nsp__log(NSP_LOG_WARN, "",
                 "ignored, because only exporters use it: %s; %s. `nanospan agent` sends the spans of this "
                 "engine, so "
                 "set it in the agent's environment",
                 names, nsp__exporters_missing(missing, sizeof missing, ""));
}

void nsp__environment_report(const nsp_config *given)
{
    static int queue_size_said;
    nsp_config used;
    nsp__environment_read(&used);
    // The program's own exporter may use them.
    bool unused = nsp__exporters() == NULL && !exporter_given(given);
    if (unused)
        report_unused(given, &used);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        if (unused && of_exporters(variable))
            continue;
        if (variable->kind != &nsp__kind_ignored)
            report_one(variable, &used);
        else if (nsp__environment_text(variable->name) != NULL &&
                 !__atomic_exchange_n(&queue_size_said, 1, __ATOMIC_RELAXED))
            nsp__log(NSP_LOG_INFO, "", "%s is ignored: it %s", variable->name, variable->meaning);
    }
    // Values that the application itself has set come from no variable.
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        char problem[700];
        if (variable->kind->left_out == NULL || (unused && of_exporters(variable)) ||
            !text_given(variable, given, &used))
            continue;
        nsp__variable_left_out(variable, text_member(variable, given), problem, sizeof problem);
        if (*problem)
            nsp__log(NSP_LOG_WARN, variable->member, "%s: %s", variable->member, problem);
    }
}
