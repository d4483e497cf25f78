// SPDX-License-Identifier: Apache-2.0
#include "trace/outlier_rules.h"

#include <string.h>

#include "base/log.h"
#include "base/words.h"
#include "common/fnv.h"
#include "trace/outlier_text.h"
#include "trace/sampler.h"

// ---- what is to be changed ----

static bool tail_is_zero(const void *start, size_t known, size_t size)
{
    const unsigned char *bytes = start;
    for (size_t i = known; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

nsp_status nsp__outlier_check(const char *pattern, const nsp_outlier_rule *given, nsp_outlier_rule *out)
{
    const size_t length = pattern != NULL ? strlen(pattern) : 0;
    char problem[160];
    if (length == 0 || length > NSP_SAMPLER_PATTERN_MAX)
        return nsp__fail(NSP_ERR_INVALID, "a pattern must have 1 to %d bytes; this one has %zu",
                         NSP_SAMPLER_PATTERN_MAX, length);
    if (given == NULL)
        return nsp__fail(NSP_ERR_INVALID, "the outlier rule is NULL");
    const size_t size = given->size != 0 ? given->size : sizeof *given;
    if (size < sizeof *given || size > 16 * sizeof *given || !tail_is_zero(given, sizeof *given, size))
        return nsp__fail(
            NSP_ERR_INVALID,
            "size: an nsp_outlier_rule of %zu bytes is not known to this library, whose own has %zu", size,
            sizeof *given);
    *out = *given;
    out->size = sizeof *out;
    return nsp__outlier_rule_valid(out, problem, sizeof problem) ? NSP_OK
                                                                 : nsp__fail(NSP_ERR_INVALID, "%s", problem);
}

static uint32_t conditions_of(const nsp_outlier_rule *rule)
{
    return (rule->slower_ns != 0 ? NSP__OUTLIER_SLOWER : 0u) |
           (rule->slowest != 0 ? NSP__OUTLIER_SLOWEST : 0u) | (rule->errors ? NSP__OUTLIER_ERRORS : 0u) |
           (rule->asked ? NSP__OUTLIER_ASKED : 0u) | (rule->measure ? NSP__OUTLIER_MEASURE : 0u);
}

nsp_outlier_rule nsp__outlier_of(const nsp__outlier *rule)
{
    return (nsp_outlier_rule){.size = sizeof(nsp_outlier_rule),
                              .slower_ns = rule->slower_ns,
                              .slowest = rule->slowest,
                              .errors = (rule->conditions & NSP__OUTLIER_ERRORS) != 0,
                              .asked = (rule->conditions & NSP__OUTLIER_ASKED) != 0,
                              .measure = (rule->conditions & NSP__OUTLIER_MEASURE) != 0,
                              .limit = rule->limit,
                              .history_ns = rule->history_ns};
}

static uint32_t find(const nsp__outliers *outliers, const char *pattern)
{
    for (uint32_t i = 1; i <= outliers->rules; i++)
        if (strcmp(outliers->rule[i].pattern, pattern) == 0)
            return i;
    return 0;
}

nsp_status nsp__outlier_set(nsp__outliers *outliers, const char *pattern, const nsp_outlier_rule *rule,
                            uint32_t source)
{
    uint32_t number = find(outliers, pattern);
    if (number == 0 && outliers->rules == NSP_OUTLIER_RULES_MAX)
        return nsp__fail(NSP_ERR_FULL, "there are already %d outlier rules, which is the limit",
                         NSP_OUTLIER_RULES_MAX);
    number = number != 0 ? number : ++outliers->rules;
    nsp__outlier *its = &outliers->rule[number];
    memset(its, 0, sizeof *its);
    its->conditions = conditions_of(rule);
    its->source = source;
    its->slower_ns = rule->slower_ns;
    its->slowest = rule->slowest;
    its->limit = rule->limit;
    its->history_ns = rule->history_ns;
    memcpy(its->pattern, pattern, strlen(pattern));
    return NSP_OK;
}

nsp_status nsp__outlier_remove(nsp__outliers *outliers, const char *pattern)
{
    const uint32_t number = find(outliers, pattern);
    if (number == 0)
        return nsp__fail(NSP_ERR_NOT_FOUND, "no outlier rule has the pattern \"%s\"", pattern);
    memmove(&outliers->rule[number], &outliers->rule[number + 1],
            (outliers->rules - number) * sizeof outliers->rule[0]);
    outliers->rules--;
    return NSP_OK;
}

nsp_status nsp__outliers_replace(nsp__outliers *outliers, const char *text, uint32_t source)
{
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1], problem[320];
    nsp_outlier_rule rule;
    nsp_status status = NSP_OK;
    outliers->rules = 0;
    for (size_t at = 0; status == NSP_OK && text != NULL;) {
        const nsp__outlier_found found =
            nsp__outlier_text_next(text, &at, pattern, &rule, problem, sizeof problem);
        if (found == NSP__OUTLIER_END)
            break;
        status = found == NSP__OUTLIER_RULE ? nsp__outlier_set(outliers, pattern, &rule, source)
                                            : nsp__fail(NSP_ERR_INVALID, "%s", problem);
    }
    return status;
}

// ---- classes ----

// What is known of all names that a pattern matches: how they begin, or, if it has no wildcard, what they are.
typedef struct beginning {
    const char *text;
    size_t length;
    bool whole;
} beginning;

static beginning beginning_of(const char *pattern)
{
    const size_t length = strcspn(pattern, "*?[\\");
    return (beginning){pattern, length, pattern[length] == 0};
}

// True if a pattern certainly matches every name with this beginning.
static bool covers(const char *pattern, const beginning *names)
{
    const beginning own = beginning_of(pattern);
    if (names->whole)
        return nsp__pattern_match(pattern, names->text, names->length);
    return pattern[own.length] == '*' && pattern[own.length + strspn(pattern + own.length, "*")] == 0 &&
           own.length <= names->length && memcmp(own.text, names->text, own.length) == 0;
}

// False if no name matches both patterns. *both: what is known of the names that do.
static bool share_names(const char *one, const char *other, beginning *both)
{
    const beginning a = beginning_of(one), b = beginning_of(other);
    if (memcmp(a.text, b.text, a.length < b.length ? a.length : b.length) != 0)
        return false;
    *both = a.whole || (!b.whole && a.length >= b.length) ? a : b;
    return !both->whole || (nsp__pattern_match(one, both->text, both->length) &&
                            nsp__pattern_match(other, both->text, both->length));
}

// What is tried last: the default rate, and no outlier rule, are rule 0.
static const char *rate_pattern(const nsp__policy *policy, uint32_t rule)
{
    return rule != 0 ? policy->patterns[rule] : "*";
}

static const char *outlier_pattern(const nsp__outliers *outliers, uint32_t rule)
{
    return rule != 0 ? outliers->rule[rule].pattern : "*";
}

// True if there may be a name of which these two are the first rules that match. Where it says so wrongly, a class is
// never used; where it is false, there is no such name.
static bool can_occur(const nsp__outliers *outliers, const nsp__policy *policy, uint32_t rate,
                      uint32_t outlier)
{
    beginning names;
    if (!share_names(rate_pattern(policy, rate), outlier_pattern(outliers, outlier), &names))
        return false;
    const uint32_t rates = rate != 0 ? rate - 1 : policy->rules;
    const uint32_t before = outlier != 0 ? outlier - 1 : outliers->rules;
    for (uint32_t i = 1; i <= rates; i++)
        if (covers(policy->patterns[i], &names))
            return false;
    for (uint32_t i = 1; i <= before; i++)
        if (covers(outliers->rule[i].pattern, &names))
            return false;
    return true;
}

static void add_class(nsp__outliers *outliers, uint32_t rate, uint32_t outlier)
{
    outliers->rate_rules[outliers->class_count] = (uint8_t)rate;
    outliers->outlier_rules[outliers->class_count++] = (uint8_t)outlier;
}

nsp_status nsp__outliers_find_classes(nsp__outliers *outliers, const nsp__policy *policy)
{
    const beginning any = {"", 0, false};
    uint32_t last = 0; // the outlier rule of a name that nothing but "*" matches
    for (uint32_t i = outliers->rules; i > 0; i--)
        last = covers(outliers->rule[i].pattern, &any) ? i : last;
    memset(outliers->rate_rules, 0, sizeof outliers->rate_rules);
    memset(outliers->outlier_rules, 0, sizeof outliers->outlier_rules);
    outliers->class_count = 0;
    add_class(outliers, 0, last);
    for (uint32_t rate = 0; rate <= policy->rules; rate++)
        for (uint32_t outlier = 0; outlier <= outliers->rules; outlier++) {
            if ((rate == 0 && outlier == last) ||
                (outliers->rules != 0 && !can_occur(outliers, policy, rate, outlier)))
                continue;
            if (outliers->class_count == NSP__CLASSES)
                return nsp__fail(
                    NSP_ERR_FULL,
                    "the %u rules of the sampler and the %u outlier rules make more than %d classes of "
                    "names, which is the limit: there is one for each two that may match the same name",
                    policy->rules, outliers->rules, (int)NSP__CLASSES);
            add_class(outliers, rate, outlier);
        }
    return NSP_OK;
}

// In shared memory, where it may be just overwritten.
static uint32_t matching_rule(const nsp__outliers *outliers, const char *text, size_t length)
{
    const uint32_t rules = nsp__outliers_count(outliers);
    for (uint32_t i = 1; i <= rules; i++) {
        _Alignas(8) char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
        nsp__words_copy(pattern, outliers->rule[i].pattern, sizeof pattern);
        pattern[NSP_SAMPLER_PATTERN_MAX] = 0; // whoever wrote it
        if (nsp__pattern_match(pattern, text, length))
            return i;
    }
    return 0;
}

uint8_t nsp__outliers_class(const nsp__outliers *outliers, uint32_t rate_rule, const char *text,
                            size_t length)
{
    if (nsp__outliers_count(outliers) == 0)
        return (uint8_t)rate_rule;
    const uint32_t outlier = matching_rule(outliers, text, length);
    const uint32_t count = nsp__outliers_class_count(outliers);
    for (uint32_t i = 0; i < count; i++)
        if (__atomic_load_n(&outliers->rate_rules[i], __ATOMIC_RELAXED) == rate_rule &&
            __atomic_load_n(&outliers->outlier_rules[i], __ATOMIC_RELAXED) == outlier)
            return (uint8_t)i;
    return 0; // only where it was just overwritten
}

void nsp__outliers_copy_class(const nsp__outliers *outliers, uint32_t name_class, nsp__outlier_class *out)
{
    *out = (nsp__outlier_class){.rule = 0};
    const uint32_t rules = nsp__outliers_count(outliers);
    if (rules == 0)
        return;
    const uint32_t i = name_class < nsp__outliers_class_count(outliers) ? name_class : 0;
    const uint32_t number = __atomic_load_n(&outliers->outlier_rules[i], __ATOMIC_RELAXED);
    if (number == 0 || number > rules)
        return;
    const nsp__outlier *rule = &outliers->rule[number];
    out->rule = number;
    out->conditions = __atomic_load_n(&rule->conditions, __ATOMIC_RELAXED);
    out->slower_ns = __atomic_load_n(&rule->slower_ns, __ATOMIC_RELAXED);
    __atomic_load(&rule->limit, &out->limit, __ATOMIC_RELAXED);
    out->history_ns = __atomic_load_n(&rule->history_ns, __ATOMIC_RELAXED);
    _Alignas(8) char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    nsp__words_copy(pattern, rule->pattern, sizeof pattern);
    out->identity = nsp__fnv(NSP__FNV_START, (const uint8_t *)pattern, sizeof pattern);
    out->identity = nsp__fnv(out->identity, (const uint8_t *)&out->limit, sizeof out->limit) | 1;
}

// ---- reading and writing ----

_Static_assert(sizeof(nsp__outlier) % 8 == 0 && offsetof(nsp__outliers, rule) % 8 == 0 &&
                   offsetof(nsp__outliers, checksum) ==
                       offsetof(nsp__outliers, rule) + NSP__CLASSES * sizeof(nsp__outlier),
               "whole words, without padding");

// From the beginning to the last rule that is in use.
static size_t bytes_in_use(uint32_t rules)
{
    return offsetof(nsp__outliers, rule) + ((size_t)(rules & (NSP__CLASSES - 1)) + 1) * sizeof(nsp__outlier);
}

uint64_t nsp__outliers_checksum(const nsp__outliers *outliers)
{
    return nsp__fnv(NSP__FNV_START, (const uint8_t *)outliers, bytes_in_use(outliers->rules));
}

void nsp__outliers_store(nsp__outliers *to, const nsp__outliers *from)
{
    nsp__words_copy(to, from, bytes_in_use(__atomic_load_n(&from->rules, __ATOMIC_RELAXED)));
    nsp__words_copy(&to->checksum, &from->checksum, sizeof to->checksum);
}

static bool rule_valid(const nsp__outlier *rule)
{
    char unused[160];
    const nsp_outlier_rule its = nsp__outlier_of(rule);
    return nsp__outlier_rule_valid(&its, unused, sizeof unused) && conditions_of(&its) == rule->conditions;
}

bool nsp__outliers_valid(nsp__outliers *outliers, const nsp__policy *policy)
{
    // A text that did not end changes the checksum here.
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        outliers->rule[i].pattern[NSP_SAMPLER_PATTERN_MAX] = 0;
    bool valid = outliers->rules < NSP__CLASSES && outliers->class_count >= 1 &&
                 outliers->class_count <= NSP__CLASSES &&
                 outliers->checksum == nsp__outliers_checksum(outliers);
    for (uint32_t i = 0; valid && i < outliers->class_count; i++)
        valid = outliers->rate_rules[i] <= policy->rules && outliers->outlier_rules[i] <= outliers->rules;
    for (uint32_t i = 1; valid && i <= outliers->rules; i++)
        valid = rule_valid(&outliers->rule[i]);
    return valid;
}
