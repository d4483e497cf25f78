// SPDX-License-Identifier: Apache-2.0
//
// What is in force, and what a change has changed.
#include "tune.h"

#include "support/json_text.h"
#include "support/sampling.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include <errno.h>
#include <stdio.h>

static void add_name(text *out, const figures_engine *engine)
{
    trace_notes_plain(out, nsp__slice_of(engine->service));
    text_format(out, " (pid %u)", engine->seen.pid);
}

// ---- what is in force ----

static void add_row(text *out, const char *what, const char *value, const char *source)
{
    text_format(out, "  %-8s  %-9s  %-11s", what, value, source);
}

// Nothing is behind the last column that has something in it.
static void end_row(text *out)
{
    while (out->data[out->length - 1] == ' ')
        out->length--;
    text_char(out, '\n');
}

static void add_rate_row(text *out, const char *what, double rate, nsp_sampler_source source)
{
    char value[SAMPLING_SHARE];
    add_row(out, what, sampling_share(value, rate, 1), sampling_source(source));
}

// A limit is kept by whoever drains.
static bool kept_by_nobody(const figures_engine *engine)
{
    return engine->seen.limit != 0 && strcmp(figures_state(engine), "nobody") == 0;
}

static void add_limit_row(text *out, const figures_engine *engine)
{
    const nsp_session *seen = &engine->seen;
    text limit = {0};
    sampling_limit(&limit, seen->limit);
    text_char(&limit, '\0');
    add_row(out, "limit", limit.data, sampling_source(seen->limit_source));
    text_free(&limit);
    if (seen->limit != 0)
        text_format(out, "  now all rates are multiplied by %.4g%s", seen->limit_factor,
                    kept_by_nobody(engine)
                        ? ", and that stays so while nobody drains it: start `nanospan agent`"
                        : "");
    end_row(out);
}

static void add_state(text *out, const figures_engine *engine)
{
    const nsp_session *seen = &engine->seen;
    char age[UNITS_SIZE];
    const uint64_t now = nsp__clock_ns(CLOCK_REALTIME);
    units_age(age, now > seen->start_unix_ns ? now - seen->start_unix_ns : 0);
    add_name(out, engine);
    text_format(out, ", which has run for %s\n", age);
    add_rate_row(out, "rate", seen->rate, seen->rate_source);
    end_row(out);
    for (size_t i = 0; i < seen->rule_count; i++) {
        add_rate_row(out, i == 0 ? "rules" : "", engine->rules[i].rate, engine->rules[i].source);
        text_put(out, "  ");
        trace_notes_plain(out, nsp__slice_of(engine->rules[i].pattern));
        text_char(out, '\n');
    }
    for (size_t i = 0; i < seen->outlier_count; i++) {
        add_row(out, i == 0 ? "outliers" : "", "", sampling_source(engine->outliers[i].source));
        text_put(out, "  ");
        sampling_outlier(out, &engine->outliers[i]);
        text_char(out, '\n');
    }
    add_limit_row(out, engine);
    text_format(out, "  %-8s  %s\n", "parents",
                seen->parent_policy == NSP_PARENT_DECIDE
                    ? "decide: the rate decides about traces of a remote parent too"
                    : "follow: traces of a remote parent are recorded if the parent was");
    if (seen->changed_by == NSP_SAMPLER_UNKNOWN)
        return;
    text_format(out, "  %-8s  ", "changed");
    sampling_changed(out, seen);
    text_char(out, '\n');
}

// ---- what a change has changed ----

static const nsp_session_rule *find_rule(const figures_engine *engine, const char *pattern)
{
    for (size_t i = 0; i < engine->seen.rule_count; i++)
        if (strcmp(engine->rules[i].pattern, pattern) == 0)
            return &engine->rules[i];
    return NULL;
}

static text *item(text *out, size_t begin)
{
    if (out->length != begin)
        text_put(out, ", ");
    return out;
}

static void add_rule_item(text *out, size_t begin, const char *pattern)
{
    text_put(item(out, begin), "rule ");
    trace_notes_plain(out, nsp__slice_of(pattern));
}

static void add_rule_changes(text *out, size_t begin, const figures_engine *was, const figures_engine *is)
{
    const nsp_session_rule *last = NULL;
    char it_was[SAMPLING_SHARE], is_now[SAMPLING_SHARE];
    bool moved = false;
    for (size_t i = 0; i < was->seen.rule_count; i++)
        if (find_rule(is, was->rules[i].pattern) == NULL) {
            add_rule_item(out, begin, was->rules[i].pattern);
            text_put(out, " removed");
        }
    for (size_t i = 0; i < is->seen.rule_count; i++) {
        const nsp_session_rule *rule = &is->rules[i], *before = find_rule(was, rule->pattern);
        moved |= before != NULL && last != NULL && before < last;
        last = before != NULL ? before : last;
        if (before != NULL && before->rate == rule->rate)
            continue;
        add_rule_item(out, begin, rule->pattern);
        if (before == NULL)
            text_format(out, " %s added", sampling_share(is_now, rule->rate, 1));
        else
            text_format(out, " %s -> %s", sampling_share(it_was, before->rate, 1),
                        sampling_share(is_now, rule->rate, 1));
    }
    if (moved)
        text_put(item(out, begin), "rules in another order");
}

static const nsp_session_outlier *find_outlier(const figures_engine *engine, const char *pattern)
{
    for (size_t i = 0; i < engine->seen.outlier_count; i++)
        if (strcmp(engine->outliers[i].pattern, pattern) == 0)
            return &engine->outliers[i];
    return NULL;
}

static void add_outlier_changes(text *out, size_t begin, const figures_engine *was, const figures_engine *is)
{
    const nsp_session_outlier *last = NULL;
    bool moved = false;
    for (size_t i = 0; i < was->seen.outlier_count; i++)
        if (find_outlier(is, was->outliers[i].pattern) == NULL) {
            text_put(item(out, begin), "outlier rule ");
            trace_notes_plain(out, nsp__slice_of(was->outliers[i].pattern));
            text_put(out, " removed");
        }
    for (size_t i = 0; i < is->seen.outlier_count; i++) {
        const nsp_session_outlier *outlier = &is->outliers[i], *before = find_outlier(was, outlier->pattern);
        char it_was[NSP_OUTLIER_RULE_TEXT_MAX] = "", is_now[NSP_OUTLIER_RULE_TEXT_MAX];
        nsp_outlier_rule_text(&outlier->rule, is_now, sizeof is_now);
        if (before != NULL)
            nsp_outlier_rule_text(&before->rule, it_was, sizeof it_was);
        moved |= before != NULL && last != NULL && before < last;
        last = before != NULL ? before : last;
        if (strcmp(it_was, is_now) == 0)
            continue;
        text_put(item(out, begin), "outlier rule ");
        trace_notes_plain(out, nsp__slice_of(outlier->pattern));
        if (before == NULL)
            text_format(out, ": %s added", is_now);
        else
            text_format(out, ": %s -> %s", it_was, is_now);
    }
    if (moved)
        text_put(item(out, begin), "outlier rules in another order");
}

static void add_changes(text *out, const figures_engine *was, const figures_engine *is)
{
    const nsp_session *before = &was->seen, *now = &is->seen;
    char it_was[SAMPLING_SHARE], is_now[SAMPLING_SHARE];
    add_name(out, is);
    text_put(out, ": ");
    const size_t begin = out->length;
    if (before->rate != now->rate)
        text_format(item(out, begin), "rate %s -> %s", sampling_share(it_was, before->rate, 1),
                    sampling_share(is_now, now->rate, 1));
    if (before->limit != now->limit) {
        text_put(item(out, begin), "limit ");
        sampling_limit(out, before->limit);
        text_put(out, " -> ");
        sampling_limit(out, now->limit);
        text_put(out, kept_by_nobody(is) ? " (once somebody drains it: nobody does)" : "");
    }
    add_rule_changes(out, begin, was, is);
    add_outlier_changes(out, begin, was, is);
    if (before->parent_policy != now->parent_policy)
        text_format(item(out, begin), "remote parents %s -> %s", sampling_parents(before->parent_policy),
                    sampling_parents(now->parent_policy));
    text_put(out, out->length == begin ? "all of this was in force already\n" : "\n");
}

// ---- JSON ----

static void add_json(text *out, const figures_engine *engine, const figures_engine *before)
{
    text_put(out, "{\"service\":");
    json_string(out, nsp__slice_of(engine->service));
    text_format(out, ",\"pid\":%u,\"session\":", engine->seen.pid);
    json_string(out, nsp__slice_of(engine->name));
    text_char(out, ',');
    sampling_json(out, &engine->seen);
    if (before != NULL) {
        text_put(out, ",\"before\":{");
        sampling_json(out, &before->seen);
        text_char(out, '}');
    }
    text_put(out, "}\n");
}

// ---- all of it ----

static const figures_engine *find(const tune_choice *choice, const char *name)
{
    for (size_t i = 0; choice != NULL && i < choice->count; i++)
        if (strcmp(choice->engines[i]->name, name) == 0)
            return choice->engines[i];
    return NULL;
}

static bool print(const text *out, bool changed)
{
    const bool written = text_print(out);
    if (!written)
        complain("%scannot write to standard output: %s", changed ? "the change was made, but " : "",
                 strerror(errno));
    return written;
}

bool tune_show(const tune_choice *now, const tune_choice *before, const tune_options *o)
{
    text out = {0};
    for (size_t i = 0; i < now->count; i++) {
        const figures_engine *engine = now->engines[i], *was = find(before, engine->name);
        if (o->json) {
            add_json(&out, engine, was);
            continue;
        }
        if (was != NULL)
            add_changes(&out, was, engine);
        if (was == NULL || o->show)
            add_state(&out, engine);
    }
    for (size_t i = 0; before != NULL && i < before->count; i++)
        if (find(now, before->engines[i]->name) == NULL)
            complain("%s (pid %u): it was changed, and has ended since", before->engines[i]->service,
                     before->engines[i]->seen.pid);
    const bool sound = print(&out, before != NULL);
    text_free(&out);
    return sound;
}
