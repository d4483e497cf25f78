// SPDX-License-Identifier: Apache-2.0
#include "trace/policy_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/visible.h"
#include "context/threshold.h"
#include "trace/outlier_rules.h"

enum { PATTERN = 120, MORE = 24 }; // bytes of a pattern that are shown; for what does not fit

typedef struct differences {
    char *out;
    size_t size, used;
    unsigned left_out;
} differences;

__attribute__((format(printf, 2, 3))) static void add(differences *to, const char *format, ...)
{
    char item[PATTERN + 2 * NSP_OUTLIER_RULE_TEXT_MAX + 80];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(item, sizeof item, format, arguments);
    va_end(arguments);
    const size_t length = strlen(item), comma = to->used != 0 ? 2 : 0;
    if (to->left_out != 0 || to->used + comma + length + MORE > to->size) {
        to->left_out++;
        return;
    }
    to->used += (size_t)snprintf(to->out + to->used, to->size - to->used, "%s%s", comma ? ", " : "", item);
}

// The rule with this pattern, or 0.
static uint32_t find(const nsp__policy *policy, const char *pattern)
{
    for (uint32_t i = 1; i <= policy->rules; i++)
        if (strcmp(policy->patterns[i], pattern) == 0)
            return i;
    return 0;
}

// Four digits, or as many as it takes to tell it from 1, which says that nothing is left out.
static const char *rate_text(char out[32], uint64_t threshold)
{
    const double rate = nsp__threshold_rate(threshold);
    int digits = 4;
    do
        snprintf(out, 32, "%.*g", digits, rate);
    while (rate < 1 && strcmp(out, "1") == 0 && ++digits <= 17);
    return out;
}

static void add_rules(differences *to, const nsp__policy *before, const nsp__policy *now)
{
    char shown[PATTERN], it_was[32], it_is[32];
    uint32_t last = 0;
    bool moved = false;
    for (uint32_t i = 1; i <= before->rules; i++)
        if (find(now, before->patterns[i]) == 0)
            add(to, "rule %s removed", nsp__visible(shown, sizeof shown, before->patterns[i]));
    for (uint32_t i = 1; i <= now->rules; i++) {
        const uint32_t was = find(before, now->patterns[i]);
        rate_text(it_is, now->thresholds[i]);
        nsp__visible(shown, sizeof shown, now->patterns[i]);
        if (was == 0)
            add(to, "rule %s %s added", shown, it_is);
        else if (before->thresholds[was] != now->thresholds[i])
            add(to, "rule %s %s -> %s", shown, rate_text(it_was, before->thresholds[was]), it_is);
        moved |= was != 0 && was < last;
        last = was != 0 ? was : last;
    }
    if (moved)
        add(to, "rules in another order");
}

// The number of the outlier rule with this pattern, or 0.
static uint32_t find_outlier(const nsp__outliers *outliers, const char *pattern)
{
    for (uint32_t i = 1; i <= outliers->rules; i++)
        if (strcmp(outliers->rule[i].pattern, pattern) == 0)
            return i;
    return 0;
}

static const char *outlier_text(char out[NSP_OUTLIER_RULE_TEXT_MAX], const nsp__outlier *outlier)
{
    const nsp_outlier_rule rule = nsp__outlier_of(outlier);
    nsp_outlier_rule_text(&rule, out, NSP_OUTLIER_RULE_TEXT_MAX);
    return out;
}

static void add_outliers(differences *to, const nsp__outliers *before, const nsp__outliers *now)
{
    char shown[PATTERN], it_was[NSP_OUTLIER_RULE_TEXT_MAX], it_is[NSP_OUTLIER_RULE_TEXT_MAX];
    uint32_t last = 0;
    bool moved = false;
    for (uint32_t i = 1; i <= before->rules; i++)
        if (find_outlier(now, before->rule[i].pattern) == 0)
            add(to, "outlier rule %s removed", nsp__visible(shown, sizeof shown, before->rule[i].pattern));
    for (uint32_t i = 1; i <= now->rules; i++) {
        const uint32_t was = find_outlier(before, now->rule[i].pattern);
        outlier_text(it_is, &now->rule[i]);
        outlier_text(it_was, &before->rule[was]);
        nsp__visible(shown, sizeof shown, now->rule[i].pattern);
        if (was == 0)
            add(to, "outlier rule %s: %s added", shown, it_is);
        else if (strcmp(it_was, it_is) != 0)
            add(to, "outlier rule %s: %s -> %s", shown, it_was, it_is);
        moved |= was != 0 && was < last;
        last = was != 0 ? was : last;
    }
    if (moved)
        add(to, "outlier rules in another order");
}

static const char *parents(uint32_t policy)
{
    return policy == NSP_PARENT_DECIDE ? "decide" : "follow";
}

static void limit_text(char out[32], double limit)
{
    if (limit != 0)
        snprintf(out, 32, "%.6g/s", limit);
    else
        snprintf(out, 32, "none");
}

void nsp__policy_differences(char *out, size_t size, const nsp__policy_draft *before,
                             const nsp__policy_draft *now)
{
    differences to = {.out = out, .size = size};
    const nsp__policy *was = &before->policy, *is = &now->policy;
    char it_was[32], it_is[32];
    *out = 0;
    if (was->thresholds[0] != is->thresholds[0])
        add(&to, "rate %s -> %s", rate_text(it_was, was->thresholds[0]), rate_text(it_is, is->thresholds[0]));
    if (before->tuning.limit != now->tuning.limit) {
        char limits[2][32];
        limit_text(limits[0], before->tuning.limit);
        limit_text(limits[1], now->tuning.limit);
        add(&to, "limit %s -> %s", limits[0], limits[1]);
    }
    add_rules(&to, was, is);
    add_outliers(&to, &before->outliers, &now->outliers);
    if (was->parent_policy != is->parent_policy)
        add(&to, "remote parents %s -> %s", parents(was->parent_policy), parents(is->parent_policy));
    if (to.left_out != 0)
        snprintf(out + to.used, size - to.used, " and %u more", to.left_out);
}
