// SPDX-License-Identifier: Apache-2.0
#include "drain/notices.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/paging.h"
#include "common/time.h"
#include "common/visible.h"
#include "drain/switches.h"
#include "trace/policy_text.h"
#include "trace/trace_state.h"

void nsp__notices_damaged(nsp__notices *notices, uint32_t tid, uint64_t bytes)
{
    notices->any = true;
    notices->damaged.tid = tid;
    notices->damaged.bytes += bytes;
}

void nsp__notices_too_big(nsp__notices *notices, size_t batch_bytes, uint64_t spans)
{
    notices->any = true;
    notices->too_big.batch_bytes = batch_bytes;
    notices->too_big.spans += spans;
}

void nsp__notices_paths(nsp__notices *notices, char untold[160])
{
    notices->any = true;
    memcpy(notices->path, untold, sizeof notices->path);
    untold[0] = 0;
}

static void note_policy(nsp__notices *notices, const char *what, const nsp__tuning *by)
{
    notices->any = true;
    snprintf(notices->policy.what, sizeof notices->policy.what, "%s", what);
    notices->policy.source = by->source;
    notices->policy.pid = by->pid;
    memcpy(notices->policy.name, by->name, sizeof by->name);
}

// True if there may be a line about the policy now.
static bool may_say(const nsp__notices *notices, nsp__known *known)
{
    return notices->policy.what[0] == 0 && nsp__log_limit_ready(&known->lines, nsp__monotonic_ns());
}

// Copies the policy of this generation beside the one that was said. False: it is torn, or was rewritten
// meanwhile, which happens two generations later.
static bool copy_beside(nsp__known *known, const nsp__policy_place *place, uint32_t generation, uint32_t slot)
{
    const bool whole = nsp__policy_copy(&known->policy[known->current ^ 1], place, slot);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // N1: it was read before the generation is read again
    return whole && __atomic_load_n(place->generation, __ATOMIC_RELAXED) == generation;
}

bool nsp__notices_policy(nsp__notices *notices, nsp__known *known, const nsp__policy_place *place)
{
    uint32_t generation = __atomic_load_n(place->generation, __ATOMIC_ACQUIRE); // N1
    const bool is_new = generation != known->generation;
    if (generation == 0 || (!is_new && !(known->unsaid && may_say(notices, known))))
        return false;
    known->generation = generation;
    nsp__policy_draft *before = &known->policy[known->current], *now = &known->policy[known->current ^ 1];
    // If it was rewritten, the next look finds another generation, and compares with the one before.
    if (!copy_beside(known, place, generation, generation))
        return is_new;
    if (known->read) {
        char what[NSP__NOTICE_POLICY];
        nsp__policy_differences(what, sizeof what, before, now);
        known->unsaid =
            what[0] != 0 && !may_say(notices, known); // another factor of the limit is no difference
        if (known->unsaid)
            return is_new;
        if (what[0] != 0) {
            known->lines.tokens--;
            note_policy(notices, what, &now->tuning);
        }
    }
    known->current ^= 1;
    known->read = true;
    return is_new;
}

void nsp__notices_last(nsp__notices *notices, nsp__known *known, const nsp__policy_place *place)
{
    const uint32_t generation = __atomic_load_n(place->generation, __ATOMIC_ACQUIRE); // N1
    // An engine that has ended leaves it in the first place. If a writer was at work there, it is in the
    // other one.
    if (!known->read || !(copy_beside(known, place, generation, generation) ||
                          (generation == 0 && copy_beside(known, place, 0, 1))))
        return;
    const nsp__policy_draft *before = &known->policy[known->current],
                            *now = &known->policy[known->current ^ 1];
    char what[NSP__NOTICE_POLICY];
    nsp__policy_differences(what, sizeof what, before, now);
    if (what[0] != 0)
        note_policy(notices, what, &now->tuning);
    known->unsaid = false;
    known->current ^= 1;
}

static void read_trouble(uint32_t trouble[NSP__TROUBLES])
{
    trouble[0] = __atomic_load_n(&nsp__trace_state.trouble.private_rings, __ATOMIC_RELAXED);
    trouble[1] = __atomic_load_n(&nsp__trace_state.trouble.no_slot, __ATOMIC_RELAXED);
    trouble[2] = __atomic_load_n(&nsp__trace_state.trouble.no_memory, __ATOMIC_RELAXED);
    trouble[3] = __atomic_load_n(&nsp__trace_state.trouble.no_shared, __ATOMIC_RELAXED);
}

void nsp__notices_begin(nsp__known *known)
{
    known->generation = 0;
    known->read = known->unsaid = false;
    known->lines = (nsp__log_limit_entry){.tokens = NSP__LOG_LIMIT_BURST, .filled_ns = nsp__monotonic_ns()};
    read_trouble(known->trouble);
}

bool nsp__notices_look(nsp__notices *notices, nsp__known *known, nsp__control *control)
{
    const nsp__policy_place place = nsp__policy_place_of(control);
    bool policy = nsp__notices_policy(notices, known, &place);
    uint32_t now[NSP__TROUBLES];
    read_trouble(now);
    for (int i = 0; i < NSP__TROUBLES; i++) {
        if (now[i] != known->trouble[i])
            notices->any = notices->trouble[i] = true;
        known->trouble[i] = now[i];
    }
    if (nsp__paging_unsaid())
        notices->any = notices->paging = true;
    return policy;
}

nsp__notices nsp__notices_take(nsp__notices *notices)
{
    nsp__notices taken = *notices;
    if (taken.any)
        memset(notices, 0, sizeof *notices);
    return taken;
}

// There are not too many of these lines, see nsp__notices_policy.
static void log_policy(const nsp__notices *notices, const char *label, const char *colon)
{
    char by[NSP__TUNER_NAME * 4 + 40] = "", name[NSP__TUNER_NAME * 4];
    if (notices->policy.source == NSP_SAMPLER_TUNE)
        snprintf(by, sizeof by, " by process %u (%s)", notices->policy.pid,
                 nsp__visible(name, sizeof name, notices->policy.name));
    nsp__log(NSP_LOG_INFO, "", "%s%ssampling changed%s: %s", label, colon, by, notices->policy.what);
}

void nsp__notices_log(const nsp__notices *notices, const char *whose)
{
    const char *label = whose != NULL ? whose : "", *colon = whose != NULL ? ": " : "";
    static const char *const troubles[NSP__TROUBLES] = {
        ("a thread's ring could not be put into shared memory (no space or file descriptor is left, the "
         "process's file size limit is too low, or the session's folder can no longer be reached): such "
         "threads use private rings, whose spans are lost in a crash"),
        ("more threads record spans than nsp_config.threads (NSP_THREADS) allows: the spans of the extra "
         "threads are dropped and counted"),
        "no memory for a thread's ring: the thread's spans are dropped and counted",
        ("a thread's ring could not be put into shared memory (no space or file descriptor is left, the "
         "process's file size limit is too low, or the session's folder can no longer be reached), and from "
         "nowhere else can it be drained: such a thread's spans are dropped and counted")};
    if (!notices->any)
        return;
    if (notices->damaged.bytes != 0)
        nsp__log(NSP_LOG_ERROR, whose != NULL ? whose : "damaged",
                 "%s%sskipped %llu bytes of damaged records; the last were in the ring of thread %u", label,
                 colon, (unsigned long long)notices->damaged.bytes, notices->damaged.tid);
    if (notices->too_big.spans != 0)
        nsp__log(NSP_LOG_WARN, whose != NULL ? whose : "too big",
                 "%s%sdiscarded %llu span%s too big for a batch of %zu bytes", label, colon,
                 (unsigned long long)notices->too_big.spans, notices->too_big.spans == 1 ? "" : "s",
                 notices->too_big.batch_bytes);
    if (notices->policy.what[0] != 0)
        log_policy(notices, label, colon);
    for (int i = 0; i < NSP__TROUBLES; i++)
        if (notices->trouble[i])
            nsp__log(NSP_LOG_WARN, troubles[i], "%s", troubles[i]);
    if (notices->switches.error != 0) {
        char why[NSP__SWITCHES_WHY];
        nsp__switches_explain(why, sizeof why, notices->switches.error, notices->switches.mapping);
        nsp__log(NSP_LOG_WARN, whose != NULL ? whose : "switches", "%s%s%s", label, colon, why);
    }
    if (notices->path[0] != 0)
        nsp__log(NSP_LOG_WARN, whose != NULL ? whose : "path",
                 "%s%s%s: of such paths only the root is sent, and the other spans are counted as invalid",
                 label, colon, notices->path);
    if (notices->paging)
        nsp__paging_report();
}
