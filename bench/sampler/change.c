// SPDX-License-Identifier: Apache-2.0
//
// What a change of the sampler costs the trading thread: the first root after it, beside all others. There are as many
// rules as there may be, and the thread uses all classes, so it has all that can be to give up at a change.
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "harness/distribution.h"
#include "harness/session.h"
#include "harness/ticks.h"

enum { CLASSES = NSP_SAMPLER_RULES_MAX + 1, CHANGES_MOST = 2000, OTHERS_MOST = 1 << 16 };

// So low that no root of this benchmark is hit, and not 0, for which there would be no logarithm.
static const double low_rate = 1e-12;

static struct {
    const bench_setup *setup;
    nsp_name names[CLASSES]; // one for each rule, and one for the default
    bool stop, failed;
} run;

static void *change_again_and_again(void *unused)
{
    (void)unused;
    if (run.setup->collector_cpu >= 0)
        pin_to(run.setup->collector_cpu);
    for (unsigned i = 0; !__atomic_load_n(&run.stop, __ATOMIC_RELAXED); i++) {
        if (nsp_sampler_set_rate(low_rate * (1 + i % 2)) != NSP_OK)
            __atomic_store_n(&run.failed, true, __ATOMIC_RELAXED);
        ticks_spin(100000 + (double)(i * 37 % 64) * 500); // so that all classes are used in between
    }
    return NULL;
}

static bool set_rules(void)
{
    bool fine = nsp_sampler_set_rate(low_rate) == NSP_OK;
    for (uint32_t i = 0; i < CLASSES; i++) {
        char name[16];
        int length = snprintf(name, sizeof name, "class.%u", (unsigned)i);
        run.names[i] = nsp_intern(name, (size_t)length);
        fine &= i == NSP_SAMPLER_RULES_MAX || nsp_sampler_set_rule(name, low_rate) == NSP_OK;
    }
    return fine;
}

// Ticks of one root, which may be the first after a change: *changed.
static uint32_t time_root(nsp_name name, bool *changed)
{
    uint32_t generation = nsp__thread_v4->generation;
    uint64_t begin = ticks_fenced();
    nsp_span_end(nsp_span_begin(name));
    uint64_t ticks = ticks_fenced() - begin;
    *changed = nsp__thread_v4->generation != generation;
    return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

static void report(uint32_t *after, size_t after_count, uint32_t *others, size_t other_count,
                   bench_result *out)
{
    sort_u32(after, after_count);
    sort_u32(others, other_count);
    double root = percentile(others, other_count, 0.5) * ticks_ns();
    double change = percentile(after, after_count, 0.5) * ticks_ns();
    result_add(out, "root_ns", root);
    result_add(out, "change_ns", change);
    result_add(out, "change_p90_ns", percentile(after, after_count, 0.9) * ticks_ns());
    result_add(out, "more_ns", change - root);
    distribution_plot(out, "a root after a change of the sampler", "the first after a change", after,
                      after_count, ticks_ns());
    distribution_plot(out, "a root after a change of the sampler", "all others", others, other_count,
                      ticks_ns());
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static uint32_t after[CHANGES_MOST], others[OTHERS_MOST];
    const size_t wanted = setup->quick ? CHANGES_MOST / 10 : CHANGES_MOST;
    pthread_t changer;
    (void)index;
    memset(&run, 0, sizeof run);
    run.setup = setup;
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    if (!set_rules() || pthread_create(&changer, NULL, change_again_and_again, NULL) != 0) {
        result_fail(out, "cannot set the rules, or start a thread");
        session_end(out);
        return;
    }
    size_t count = 0, other = 0;
    for (uint32_t i = 0;
         count < wanted && setup->rounds != 0 && !__atomic_load_n(&run.failed, __ATOMIC_RELAXED); i++) {
        bool changed;
        uint32_t ticks = time_root(run.names[i % CLASSES], &changed);
        if (changed) {
            after[count++] = ticks;
            progress(out, (unsigned)count, (unsigned)wanted);
        } else {
            others[other++ % OTHERS_MOST] = ticks;
        }
    }
    __atomic_store_n(&run.stop, true, __ATOMIC_RELAXED);
    pthread_join(changer, NULL);
    if (run.failed)
        result_fail(out, "cannot set the sample rate");
    else if (count != 0 && other != 0)
        report(after, count, others, other < OTHERS_MOST ? other : OTHERS_MOST, out);
    session_end(out);
}

static bool describe(size_t index, bench_result *out)
{
    if (index >= 1)
        return false;
    out->name = "change_64";
    out->what = "the first unsampled root after a change, with 63 rules and a default, all of them in use";
    return true;
}

const bench_group group_change = {
    .name = "sampler_change",
    .method =
        "another CPU sets the sample rate again and again; each root of the thread is timed by itself, "
        "between "
        "fences; more_ns: how much more the first root after a change costs than the others, by medians",
    .describe = describe,
    .measure = measure,
};
