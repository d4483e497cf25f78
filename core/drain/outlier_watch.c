// SPDX-License-Identifier: Apache-2.0
//
// The session may be another process's: what it says is copied, and no number of it is used as an index
// unmasked.
#include "drain/outlier_watch.h"

#include <stdlib.h>
#include <string.h>

// ---- rules ----

// What a new policy says of its rules.
typedef struct rules_seen {
    uint32_t generation, count;
    double shares[NSP__CLASSES]; // 0: the rule keeps none
    char patterns[NSP__CLASSES][NSP_SAMPLER_PATTERN_MAX + 1];
} rules_seen;

static double share_of(const nsp__outlier *rule)
{
    double share;
    __atomic_load(&rule->slowest, &share, __ATOMIC_RELAXED);
    const bool wanted = (__atomic_load_n(&rule->conditions, __ATOMIC_RELAXED) & NSP__OUTLIER_SLOWEST) != 0;
    return wanted && share > 0 && share <= 1 ? share : 0;
}

// False if it is just being changed.
static bool read_rules(const nsp__outlier_view *view, rules_seen *out)
{
    out->generation = __atomic_load_n(view->policy.generation, __ATOMIC_ACQUIRE); // N1: acquires N2
    const nsp__outliers *outliers = &view->outliers[out->generation & 1];
    out->count = __atomic_load_n(&outliers->rules, __ATOMIC_RELAXED) & (NSP__CLASSES - 1);
    for (uint32_t i = 1; i <= out->count; i++) {
        out->shares[i] = share_of(&outliers->rule[i]);
        for (size_t k = 0; k < sizeof out->patterns[i]; k++)
            out->patterns[i][k] = __atomic_load_n(&outliers->rule[i].pattern[k], __ATOMIC_RELAXED);
        out->patterns[i][sizeof out->patterns[i] - 1] = 0;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // N1: it was read before the generation is read again
    return __atomic_load_n(view->policy.generation, __ATOMIC_RELAXED) == out->generation;
}

// The rule that goes on with what was known of it, out of the old ones; or a new one; NULL: no memory.
static nsp__watched_rule *carry(nsp__watched_rule **old, const char *pattern, double share)
{
    for (uint32_t i = 1; i < NSP__CLASSES; i++) {
        nsp__watched_rule *rule = old[i];
        if (rule != NULL && rule->law.share == share && strcmp(rule->pattern, pattern) == 0) {
            old[i] = NULL;
            return rule;
        }
    }
    nsp__watched_rule *rule = malloc(sizeof *rule);
    if (rule != NULL) {
        memcpy(rule->pattern, pattern, sizeof rule->pattern);
        nsp__outlier_law_begin(&rule->law, share);
    }
    return rule;
}

// A change of a rate, or of a limit's factor, changes the generation too: rules that stay go on.
static void take_rules(nsp__outlier_watch *watch, const rules_seen *seen)
{
    nsp__watched_rule *old[NSP__CLASSES];
    memcpy(old, watch->rules, sizeof old);
    memset(watch->rules, 0, sizeof watch->rules);
    watch->rule_count = 0;
    for (uint32_t i = 1; i <= seen->count; i++)
        if (seen->shares[i] != 0) {
            watch->rules[i] = carry(old, seen->patterns[i], seen->shares[i]);
            watch->rule_count += watch->rules[i] != NULL;
        }
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        free(old[i]);
    watch->generation = seen->generation;
    if (watch->rule_count == 0)
        watch->begun = false;
}

static void write_bounds(const nsp__outlier_watch *watch, nsp__outlier_bounds *bounds)
{
    for (uint32_t i = 0; i < NSP__CLASSES; i++) {
        const uint64_t ticks =
            watch->rules[i] != NULL ? watch->rules[i]->law.slowest_ticks : NSP__SLOWEST_UNKNOWN;
        if (__atomic_load_n(&bounds->slowest_ticks[i], __ATOMIC_RELAXED) != ticks)
            __atomic_store_n(&bounds->slowest_ticks[i], ticks, __ATOMIC_RELAXED);
    }
    if (__atomic_load_n(&bounds->generation, __ATOMIC_RELAXED) != watch->generation)
        __atomic_store_n(&bounds->generation, watch->generation, __ATOMIC_RELAXED);
}

// ---- histograms ----

// The law of a name's rule; NULL if that keeps no share.
static nsp__outlier_law *law_of(const nsp__outlier_watch *watch, const nsp__outlier_view *view, uint32_t name)
{
    const uint32_t state = watch->generation & 1;
    const uint32_t name_class =
        __atomic_load_n(&view->policy.policies[state].classes[name & (NSP_NAME_MAX - 1)], __ATOMIC_RELAXED) &
        (NSP__CLASSES - 1);
    const uint32_t rule =
        __atomic_load_n(&view->outliers[state].outlier_rules[name_class], __ATOMIC_RELAXED) &
        (NSP__CLASSES - 1);
    return watch->rules[rule] != NULL ? &watch->rules[rule]->law : NULL;
}

// What has come into a place since the last look. law: NULL if nobody asks for it.
static void take_place(nsp__watched_place **known, const nsp__latency_place *place, nsp__outlier_law *law)
{
    const uint64_t ticks = __atomic_load_n(&place->ticks, __ATOMIC_RELAXED);
    if (*known == NULL && ticks != 0)
        *known = calloc(1, sizeof **known);
    nsp__watched_place *before = *known;
    if (before == NULL || before->ticks == ticks)
        return;
    before->ticks = ticks;
    for (uint32_t step = 0; step < NSP__LATENCY_STEPS; step++) {
        const uint32_t count = nsp__latency_count(place, step);
        if (count != before->counts[step] && law != NULL)
            nsp__outlier_law_count(law, step, count - before->counts[step]);
        before->counts[step] = count;
    }
}

// What was there before there was a rule says nothing of now.
static void take_all(nsp__outlier_watch *watch, const nsp__outlier_view *view,
                     const nsp__ring_source *sources, uint32_t count)
{
    for (uint32_t i = 0; i < count && i < watch->slots; i++) {
        if (!sources[i].available || sources[i].latencies == NULL)
            continue;
        for (uint32_t k = 0; k < NSP__LATENCY_PLACES; k++) {
            const nsp__latency_place *place = &sources[i].latencies->places[k];
            const uint32_t name = __atomic_load_n(&place->name, __ATOMIC_RELAXED);
            if (name == 0)
                break;
            take_place(&watch->places[i][k], place, watch->begun ? law_of(watch, view, name) : NULL);
        }
    }
    watch->begun = true;
}

static bool make_room(nsp__outlier_watch *watch, uint32_t threads_max)
{
    if (watch->places == NULL) {
        watch->places = calloc(threads_max, sizeof *watch->places);
        watch->slots = watch->places != NULL ? threads_max : 0;
    }
    return watch->places != NULL;
}

// ---- a look ----

static bool new_rules(nsp__outlier_watch *watch, const nsp__outlier_view *view)
{
    rules_seen seen;
    if (__atomic_load_n(view->policy.generation, __ATOMIC_RELAXED) == watch->generation ||
        !read_rules(view, &seen) || seen.generation == 0)
        return false;
    take_rules(watch, &seen);
    return true;
}

void nsp__outlier_watch_look(nsp__outlier_watch *watch, const nsp__outlier_view *view,
                             const nsp__ring_source *sources, uint32_t count, uint32_t threads_max,
                             uint64_t now_ns)
{
    if (view->policy.generation == NULL || view->outliers == NULL || view->bounds == NULL)
        return;
    const bool changed = new_rules(watch, view);
    const bool due = watch->rule_count != 0 &&
                     (!watch->begun || now_ns - watch->looked_ns >= NSP__OUTLIER_LOOK_NS) &&
                     make_room(watch, threads_max);
    if (due) {
        take_all(watch, view, sources, count);
        for (uint32_t i = 0; i < NSP__CLASSES; i++)
            if (watch->rules[i] != NULL)
                nsp__outlier_law_look(&watch->rules[i]->law, now_ns);
        watch->looked_ns = now_ns;
    }
    if (due || changed)
        write_bounds(watch, view->bounds);
}

void nsp__outlier_watch_free(nsp__outlier_watch *watch)
{
    for (uint32_t i = 0; i < NSP__CLASSES; i++)
        free(watch->rules[i]);
    for (uint32_t i = 0; i < watch->slots; i++)
        for (uint32_t k = 0; k < NSP__LATENCY_PLACES; k++)
            free(watch->places[i][k]);
    free(watch->places);
    memset(watch, 0, sizeof *watch);
}
