// SPDX-License-Identifier: Apache-2.0
#include "sampling.h"

#include "json_text.h"
#include "trace_notes.h"
#include "units.h"
#include "common/time.h"
#include <stdio.h>
#include <stdlib.h>

const char *sampling_source(nsp_sampler_source source)
{
    switch (source) {
    case NSP_SAMPLER_DEFAULT: return "default";
    case NSP_SAMPLER_ENVIRONMENT: return "environment";
    case NSP_SAMPLER_CODE: return "code";
    case NSP_SAMPLER_TUNE: return "tune";
    case NSP_SAMPLER_UNKNOWN: break;
    }
    return "unknown";
}

const char *sampling_parents(nsp_parent_policy policy)
{
    return policy == NSP_PARENT_DECIDE ? "decide" : "follow";
}

const char *sampling_share(char out[SAMPLING_SHARE], double rate, double whole)
{
    int digits = 4;
    do
        snprintf(out, SAMPLING_SHARE, "%.*g", digits, rate * whole);
    while (rate < 1 && strtod(out, NULL) >= whole && ++digits <= 17);
    return out;
}

void sampling_limit(text *out, double limit)
{
    if (limit != 0)
        text_format(out, "%.6g/s", limit);
    else
        text_put(out, "none");
}

void sampling_outlier(text *out, const nsp_session_outlier *outlier)
{
    char conditions[NSP_OUTLIER_RULE_TEXT_MAX];
    nsp_outlier_rule_text(&outlier->rule, conditions, sizeof conditions);
    trace_notes_plain(out, nsp__slice_of(outlier->pattern));
    text_format(out, ": %s", conditions);
}

void sampling_changed(text *out, const nsp_session *session)
{
    char age[UNITS_SIZE];
    const uint64_t now = nsp__clock_ns(CLOCK_REALTIME), then = session->changed_unix_ns;
    units_age(age, now > then ? now - then : 0);
    switch (session->changed_by) {
    case NSP_SAMPLER_UNKNOWN: return;
    case NSP_SAMPLER_DEFAULT:
    case NSP_SAMPLER_ENVIRONMENT: text_put(out, "not since the engine began"); return;
    case NSP_SAMPLER_CODE: text_put(out, "by the engine's code"); break;
    case NSP_SAMPLER_TUNE:
        text_format(out, "by process %u (", session->changed_pid);
        trace_notes_plain(out, nsp__slice_of(session->changed_process));
        text_char(out, ')');
        break;
    }
    text_format(out, ", %s ago", age);
}

// ---- JSON ----

static void put_number(text *out, const char *key, double value)
{
    text_format(out, ",\"%s\":", key);
    json_double(out, value);
}

static void put_source(text *out, const char *key, nsp_sampler_source source)
{
    text_format(out, ",\"%s\":\"%s\"", key, sampling_source(source));
}

static void put_rules(text *out, const nsp_session *session)
{
    text_put(out, ",\"rules\":[");
    for (size_t i = 0; i < session->rule_count; i++) {
        const nsp_session_rule *rule = &session->rules[i];
        text_put(out, i != 0 ? ",{\"pattern\":" : "{\"pattern\":");
        json_string(out, nsp__slice_of(rule->pattern));
        put_number(out, "rate", rule->rate);
        put_source(out, "source", rule->source);
        text_char(out, '}');
    }
    text_char(out, ']');
}

static void put_outliers(text *out, const nsp_session *session)
{
    text_put(out, ",\"outliers\":[");
    for (size_t i = 0; i < session->outlier_count; i++) {
        const nsp_session_outlier *outlier = &session->outliers[i];
        const nsp_outlier_rule *rule = &outlier->rule;
        text_put(out, i != 0 ? ",{\"pattern\":" : "{\"pattern\":");
        json_string(out, nsp__slice_of(outlier->pattern));
        if (rule->slower_ns != 0) {
            text_put(out, ",\"slower_ns\":");
            json_unsigned(out, rule->slower_ns);
        }
        if (rule->slowest != 0)
            put_number(out, "slowest", rule->slowest);
        text_format(out, "%s%s%s", rule->errors ? ",\"errors\":true" : "",
                    rule->asked ? ",\"asked\":true" : "", rule->measure ? ",\"measure\":true" : "");
        if (rule->limit != 0)
            put_number(out, "limit", rule->limit);
        if (rule->history_ns != 0) {
            text_put(out, ",\"history_ns\":");
            json_unsigned(out, rule->history_ns);
        }
        put_source(out, "source", outlier->source);
        text_char(out, '}');
    }
    text_char(out, ']');
}

void sampling_json(text *out, const nsp_session *session)
{
    text_put(out, "\"rate\":");
    json_double(out, session->rate);
    put_source(out, "rate_source", session->rate_source);
    put_rules(out, session);
    put_outliers(out, session);
    text_format(out, ",\"parent_policy\":\"%s\",\"limit\":", sampling_parents(session->parent_policy));
    if (session->limit != 0)
        json_double(out, session->limit);
    else
        text_put(out, "null");
    put_source(out, "limit_source", session->limit_source);
    put_number(out, "limit_factor", session->limit_factor);
    put_source(out, "changed_by", session->changed_by);
    text_format(out, ",\"changed_pid\":%u,\"changed_unix_ns\":", session->changed_pid);
    json_unsigned(out, session->changed_unix_ns);
    text_put(out, ",\"changed_process\":");
    json_string(out, nsp__slice_of(session->changed_process));
}
