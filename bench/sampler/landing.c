// SPDX-License-Identifier: Apache-2.0
//
// The time from a call of nsp_sampler_set_rate on one CPU to the first root on another CPU that obeys it. The
// rate changes from 0 to 1 or back, so each root shows which rate decided it.
#include <pthread.h>
#include <stdlib.h>

#include <nanospan/nanospan.h>

#include "harness/distribution.h"
#include "harness/session.h"
#include "harness/ticks.h"

enum { TRIALS_MOST = 1000, ROOTS_KEPT = 4096, EARLIER = 8 };

// Shared by the thread that records and the one that sets the rate.
typedef struct exchange {
    const bench_setup *setup;
    // Trials: requested (with `stop`, this means to end), the setter is ready, both are ready, done.
    unsigned wanted, ready, begun, done;
    bool stop, failed;         // failed: the rate could not be set
    bool up;                   // from 0 to 1
    uint64_t called, returned; // ticks around the call
} exchange;

static void *setter_thread(void *argument)
{
    exchange *with = argument;
    if (with->setup->collector_cpu >= 0)
        pin_to(with->setup->collector_cpu);
    for (unsigned trial = 1;; trial++) {
        while (__atomic_load_n(&with->wanted, __ATOMIC_ACQUIRE) < trial)
            relax();
        if (with->stop)
            return NULL;
        __atomic_store_n(&with->ready, trial, __ATOMIC_RELEASE);
        while (__atomic_load_n(&with->begun, __ATOMIC_ACQUIRE) < trial)
            relax();
        ticks_spin(2000 + (double)(trial * 37 % 64) * 16); // keeps the threads out of step
        with->called = ticks_fenced();
        bool set = nsp_sampler_set_rate(with->up ? 1 : 0) == NSP_OK;
        with->returned = ticks_fenced();
        if (!set)
            __atomic_store_n(&with->failed, true, __ATOMIC_RELAXED);
        __atomic_store_n(&with->done, trial, __ATOMIC_RELEASE);
    }
}

typedef struct trial {
    uint32_t landed, call; // ticks from the call: to the begin of the first root that obeyed; to the return
    unsigned late;         // roots that were begun after the return and did not obey
    bool valid;            // false: spans were lost
} trial;

static bool root_recorded(void)
{
    nsp_span *span = nsp_span_begin(NSP_NAME("landing"));
    bool recording = nsp_span_recording(span);
    nsp_span_end(span);
    return recording;
}

static uint32_t clamp(uint64_t ticks)
{
    return ticks < UINT32_MAX ? (uint32_t)ticks : UINT32_MAX;
}

static trial run_trial(exchange *with, bool up)
{
    static uint64_t begun[ROOTS_KEPT]; // of the latest roots
    trial out = {.valid = false};
    for (int i = 0; i < EARLIER; i++)
        root_recorded(); // until the previous rate has taken effect
    with->up = up;
    uint64_t losses = session_losses();
    unsigned wanted = with->wanted + 1;
    __atomic_store_n(&with->wanted, wanted, __ATOMIC_RELEASE);
    // Each waits for the other, so that neither has lost its CPU when the trial begins.
    while (__atomic_load_n(&with->ready, __ATOMIC_ACQUIRE) < wanted)
        relax();
    __atomic_store_n(&with->begun, wanted, __ATOMIC_RELEASE);
    size_t count = 0;
    bool obeyed = false;
    while (!obeyed && !__atomic_load_n(&with->failed, __ATOMIC_RELAXED)) {
        begun[count++ % ROOTS_KEPT] = ticks_fenced();
        obeyed = root_recorded() == up;
    }
    while (__atomic_load_n(&with->done, __ATOMIC_ACQUIRE) < wanted)
        relax();
    if (with->failed || session_losses() != losses) // a root that was refused looks as if it obeyed
        return out;
    uint64_t landed = begun[--count % ROOTS_KEPT];
    for (size_t i = count >= ROOTS_KEPT ? count - ROOTS_KEPT + 1 : 0; i < count; i++)
        out.late += begun[i % ROOTS_KEPT] > with->returned;
    out.landed = landed > with->called ? clamp(landed - with->called) : 0;
    out.call = clamp(with->returned - with->called);
    out.valid = true;
    return out;
}

static const struct {
    const char *call, *landed;
    double part;
} points[] = {{"call_p50_ns", "landed_p50_ns", 0.5},
              {NULL, "landed_p90_ns", 0.9},
              {"call_p99_ns", "landed_p99_ns", 0.99},
              {NULL, "landed_max_ns", 1}};

static void report(uint32_t *landed, uint32_t *calls, size_t count, unsigned late, bool up, bench_result *out)
{
    if (count == 0)
        return;
    sort_u32(landed, count);
    sort_u32(calls, count);
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        result_add(out, points[i].landed, percentile(landed, count, points[i].part) * ticks_ns());
        if (points[i].call != NULL)
            result_add(out, points[i].call, percentile(calls, count, points[i].part) * ticks_ns());
    }
    result_add(out, "late_roots_count", late);
    distribution_plot(out, "time until a new rate is obeyed", up ? "from 0 to 100 %" : "from 100 to 0 %",
                      landed, count, ticks_ns());
}

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    static uint32_t landed[TRIALS_MOST], calls[TRIALS_MOST];
    const bool up = index == 0;
    const size_t wanted = setup->quick ? TRIALS_MOST / 4 : TRIALS_MOST;
    exchange with = {.setup = setup};
    pthread_t setter;
    if (!session_start(setup, NSP_COLLECTOR_THREAD, NULL, out))
        return;
    if (pthread_create(&setter, NULL, setter_thread, &with) != 0) {
        result_fail(out, "cannot start a thread");
        session_end(out);
        return;
    }
    size_t count = 0, done = 0;
    unsigned late = 0;
    for (; done < wanted && !with.failed && setup->rounds != 0; done++) {
        nsp_sampler_set_rate(up ? 0 : 1);
        if (!session_drained()) {
            result_fail(out, "the collector did not drain the ring");
            break;
        }
        trial one = run_trial(&with, up);
        if (!one.valid)
            continue;
        late = one.late > late ? one.late : late;
        landed[count] = one.landed;
        calls[count++] = one.call;
        progress(out, (unsigned)done, (unsigned)wanted);
    }
    with.stop = true;
    __atomic_store_n(&with.wanted, with.wanted + 1, __ATOMIC_RELEASE);
    pthread_join(setter, NULL);
    if (with.failed)
        result_fail(out, "cannot set the sample rate");
    rounds_note(out, count, done);
    report(landed, calls, count, late, up, out);
    session_end(out);
}

static bool describe(size_t index, bench_result *out)
{
    static const char *const names[] = {"landing_up", "landing_down"};
    static const char *const whats[] = {"nsp_sampler_set_rate(1) on another CPU until a root is recorded",
                                        "nsp_sampler_set_rate(0) on another CPU until a root is unsampled"};
    if (index >= 2)
        return false;
    out->name = names[index];
    out->what = whats[index];
    return true;
}

const bench_group group_landing = {
    .name = "sampler_landing",
    .method = "a new rate is set on another CPU: time from the call to the first root that obeys it; "
              "late_roots: roots begun after the call returned that did not obey, the most in any trial",
    .describe = describe,
    .measure = measure,
};
