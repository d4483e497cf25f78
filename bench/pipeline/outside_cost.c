// SPDX-License-Identifier: Apache-2.0
//
// What a span costs an engine that is drained from outside, beside an engine with a collector thread. Both run on the
// measured CPU, their rounds alternate, and both are drained and sent from all the time, on the other CPU, to one
// receiver: the one by its own threads, the other by a drainer in a process of its own, as `nanospan agent` does it.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <nanospan/exporters.h>

#include "harness/receiver.h"
#include "harness/session.h"
#include "pipeline/outside.h"

enum { BURST = 400 };

static burst_rounds inside, outside;
static double quotients[ROUNDS_LIMIT]; // of both costs, where both rounds count

// ---- the engines ----

static void time_burst(const engine_plan *plan, engine_answer *out)
{
    static burst_rounds round;
    round.count = round.measured = 0;
    pin_to(plan->setup->hot_cpu);
    noise_pause();
    out->lost = !session_drained();
    bursts_add_round(&round, plan->operation->run, BURST, plan->operation->spans, LOSES_NOTHING);
    out->lost = out->lost || round.count == 0;
    out->ns = round.ns[0];
    out->noise = (bench_noise){.two_reads = round.two_reads[0], .additions = round.additions[0]};
}

// ---- the drainer ----

static void drain_for_ever(nsp_drainer *drainer)
{
    for (;;) {
        uint64_t pause_ns;
        nsp_drainer_work(drainer, &pause_ns);
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_ns}, NULL);
    }
}

// Returns its process when it has taken the session over; -1 with a problem in out.
static pid_t drainer_start(const engine_plan *plan, const nsp_config *config, bench_result *out)
{
    int ready[2];
    char byte;
    if (pipe(ready) != 0) {
        result_fail(out, "cannot make a pipe");
        return -1;
    }
    fflush(NULL);
    pid_t process = fork();
    if (process == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (plan->setup->collector_cpu >= 0)
            pin_to(plan->setup->collector_cpu);
        nsp_drainer *drainer = engine_take_over(plan, config, nsp_exporter_builtin("otlp"), out);
        if (drainer == NULL || write(ready[1], "", 1) != 1)
            _exit(1);
        drain_for_ever(drainer);
    }
    close(ready[1]);
    if (process < 0 || read(ready[0], &byte, 1) != 1)
        result_fail(out, "the session cannot be drained");
    close(ready[0]);
    return process;
}

// ---- the rounds ----

static bool add_round(const engine *from, burst_rounds *to, bench_result *out)
{
    engine_answer done;
    if (!engine_ask(from, &done, out))
        return false;
    to->measured++;
    if (!done.lost)
        bursts_add_one(to, done.ns, done.noise);
    return !done.lost;
}

static void rounds(const engine *self, const engine *other, const bench_setup *setup, bench_result *out)
{
    size_t pairs = 0;
    inside.count = inside.measured = outside.count = outside.measured = 0;
    for (unsigned round = 0; round < setup->rounds && out->problem[0] == 0; round++) {
        const bool turned = round % 2 != 0;
        bool first = add_round(turned ? other : self, turned ? &outside : &inside, out);
        bool second = add_round(turned ? self : other, turned ? &inside : &outside, out);
        if (first && second)
            quotients[pairs++] = outside.ratio[outside.count - 1] / inside.ratio[inside.count - 1];
        progress(out, round + 1, setup->rounds);
    }
    if (out->problem[0] != 0 || pairs == 0)
        return;
    burst_cost from_inside = bursts_cost(&inside, out), from_outside = bursts_cost(&outside, out);
    result_add_estimate(out, "ratio", from_outside.ratio);
    result_add_estimate(out, "inside_ratio", from_inside.ratio);
    result_add_estimate(out, "cost_to_inside", estimate_median(quotients, pairs));
    result_add(out, "span_ns", from_outside.ns.value);
    result_add(out, "inside_span_ns", from_inside.ns.value);
    rounds_by_core(out, rounds_core, outside.ratio, outside.additions, outside.count);
}

void outside_cost_measure(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    engine_plan own = {.operation = operation, .setup = setup, .answer = time_burst}, others;
    engine self = {-1, -1, -1}, other = self;
    nsp_config config;
    receiver sink;
    const receiver_options wanted = {.cpu = setup->collector_cpu, .spans_expected = 1 << 20};
    char problem[100];
    if (!receiver_start(&sink, &wanted, problem, sizeof problem)) {
        result_fail(out, "%s", problem);
        return;
    }
    session_configure(setup, &config);
    config.custom_exporter = NULL;
    config.endpoint = sink.url;
    own.config = config;
    others = own;
    others.config.collector = NSP_COLLECTOR_EXTERNAL;
    pid_t drainer = -1;
    if (engine_start(&self, &own, out) && engine_start(&other, &others, out)) {
        drainer = drainer_start(&others, &config, out);
        rounds(&self, &other, setup, out);
    }
    engine_stop(&self, &own);
    engine_stop(&other, &others);
    if (drainer > 0) {
        kill(drainer, SIGKILL);
        waitpid(drainer, NULL, 0);
    }
    receiver_stop(&sink);
}
