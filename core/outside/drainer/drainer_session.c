// SPDX-License-Identifier: Apache-2.0
//
// One session of a drainer: a pass, its figures, its end.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/exit_gate.h"
#include "base/testpoint.h"
#include "clock/clock_share.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "drain/batch_fill.h"
#include "drain/pass.h"
#include "drain/stats.h"
#include "outside/drainer/drainer_state.h"
#include "outside/drainer/engine_process.h"
#include "outside/session/session_files.h"
#include "shm/session_lock.h"

// ---- a pass ----

// True if everything was taken out that was published when the pass began, and the snapshots that were asked for.
static bool all_taken(const nsp__drained_session *session)
{
    const nsp__collector *collector = &session->collector;
    for (uint32_t i = 0; i < session->live.slot_count; i++)
        if (collector->sources[i].available && collector->sources[i].consumed != collector->snapshot[i])
            return false;
    return !session->live.missing && !nsp__snapshot_waits(collector);
}

static uint64_t last_sequence(const nsp__drained_session *session)
{
    uint64_t left = session->leftover != NULL ? session->leftover->sequence : 0;
    return nsp__later(session->collector.sequence, left);
}

// True if nothing of it is in a batch, except what only another drainer's exporter can read.
static bool all_settled(nsp__drained_session *session)
{
    const nsp__batch *current = session->collector.current;
    return (current == NULL || current->exported.spans == 0) &&
           nsp__batch_pool_away(&session->pool) - (current != NULL) == session->foreign;
}

bool nsp__drained_session_done(nsp__drained_session *session)
{
    return session->state == NSP_DRAINED_FAILED || (all_taken(session) && all_settled(session));
}

bool nsp__drained_session_sending(nsp__drained_session *session)
{
    return !nsp__sender_settled(&session->pool, last_sequence(session));
}

// Nothing more of it is sent. What the sender has of it comes back at once, unless it is just being sent.
static void give_up(nsp__drained_session *session)
{
    for (uint32_t i = 0; i < session->pool.count; i++)
        __atomic_store_n(&session->pool.batches[i].abandoned, true, __ATOMIC_RELEASE); // AB1: to AB2
    session->state = NSP_DRAINED_FAILED;
    session->last.state = NSP_DRAINED_FAILED;
    session->last.drained = session->drained;
    session->last.in_doubt_resent = __atomic_load_n(&session->in_doubt_resent, __ATOMIC_RELAXED);
    snprintf(session->last.problem, sizeof session->last.problem, "%s", session->live.problem);
}

static bool is_lost(nsp__drained_session *session)
{
    const char *problem = __atomic_load_n(&session->send_problem, __ATOMIC_ACQUIRE); // DS2: acquires DS1
    if (problem != NULL)
        nsp__session_live_fail(&session->live, "%s", problem);
    if (session->collector.impossible)
        nsp__session_live_fail(&session->live, "the positions of a ring are impossible");
    return nsp__session_live_lost(&session->live);
}

// The flush that the engine waits for, if everything before it is on its way. With batches that cannot be sent
// it is never answered.
static void look_at_flush(nsp__drained_session *session, bool taken)
{
    nsp__drainer *shared = nsp__session_live_drainer(&session->live);
    if (session->flush_number == 0 && session->flush_wanted != session->flush_done && taken) {
        nsp__batch_close(&session->collector);
        session->flush_number = session->flush_wanted;
        session->flush_sequence = last_sequence(session);
    }
    if (session->flush_number == 0 || !nsp__sender_settled(&session->pool, session->flush_sequence))
        return;
    session->flush_done = session->flush_number;
    session->flush_number = 0;
    if (session->foreign == 0)
        __atomic_store_n(&shared->flush_done, session->flush_done, __ATOMIC_RELEASE); // DN5: to DN6
}

// Now and then: says that somebody drains, looks whether the engine lives, and keeps the figures.
static void look_around(nsp__drained_session *session)
{
    const uint64_t now = nsp__monotonic_ns();
    if (now - session->looked_ns < NSP__DRAINER_PASS_NS)
        return;
    session->looked_ns = now;
    __atomic_store_n(&nsp__session_live_drainer(&session->live)->pass_ns, now, __ATOMIC_RELAXED);
    session->gone = session->gone || !nsp__session_live_alive(&session->live);
    session->removed = session->removed || nsp__session_live_removed(&session->live);
    nsp__drained_session_look(session, &session->last);
}

// To come before the pass looks at the rings: what the engine said then lies before what they hold.
static void listen(nsp__drained_session *session)
{
    const nsp__drainer *shared = nsp__session_live_drainer(&session->live);
    session->ended = __atomic_load_n(&shared->ended, __ATOMIC_ACQUIRE) != 0;          // DN2: acquires DN1
    session->flush_wanted = __atomic_load_n(&shared->flush_wanted, __ATOMIC_ACQUIRE); // DN4: acquires DN3
}

static void look_at_limit(nsp__drained_session *session, bool closing)
{
    nsp__collector *collector = &session->collector;
    nsp__limit_wish wish;
    if (session->policy.counts && !closing && !session->ended && !session->gone &&
        nsp__limit_look(&collector->limit, &session->policy.place, collector->sources,
                        collector->snapshot_count, collector->behind, &wish))
        nsp__live_policy_lower(&session->policy, &session->live, &session->drainer->draft, wish.generation,
                               wish.factor);
}

static void look_at_outliers(nsp__drained_session *session)
{
    nsp__collector *collector = &session->collector;
    const nsp__outlier_view view = {session->policy.place, nsp__session_live_outliers(&session->live),
                                    nsp__session_live_bounds(&session->live)};
    nsp__outlier_watch_look(&collector->watch, &view, collector->sources, collector->snapshot_count,
                            session->live.threads_max, nsp__monotonic_ns());
}

// Threads are opened by their numbers, which are those of other threads in another PID namespace. Said once, unless the
// engine has just died.
static bool sees_threads(nsp__drained_session *session)
{
    nsp__notices *notices = &session->collector.notices;
    if (session->elsewhere)
        return false;
    if (nsp__engine_process_is(session->pid, session->live.copy.name))
        return true;
    if (nsp__session_lock_free(session->live.copy.directory, "alive"))
        return false;
    session->elsewhere = true;
    notices->any = true;
    notices->switches.error = ESRCH;
    notices->switches.mapping = false;
    return false;
}

// The engine may come to say that it wants them after its session can be found.
static void look_at_switches(nsp__drained_session *session)
{
    const nsp__drainer *shared = nsp__session_live_drainer(&session->live);
    if (session->collector.switches != NULL ||
        __atomic_load_n(&shared->switches, __ATOMIC_ACQUIRE) != 1 || // DN8
        !sees_threads(session))
        return;
    const nsp__switch_names names = shared->switch_names;
    session->collector.switches = nsp__switches_new(&names, session->pid, &session->config);
}

// The engine's names may come after its session can be found.
static void look_at_paths(nsp__drained_session *session)
{
    nsp__path_plans *plans = &session->collector.paths;
    if (NSP__UNLIKELY(plans->left_out == 0) && plans->table != NULL)
        plans->left_out = nsp__live_name_find(&session->names, "nanospan.left_out");
}

// The same.
static void look_at_snapshots(nsp__drained_session *session)
{
    nsp__snapshot *taking = &session->collector.taking;
    if (NSP__UNLIKELY(taking->key == 0) && session->collector.options.snapshots != NULL)
        taking->key = nsp__live_name_find(&session->names, "nanospan.kept");
}

bool nsp__drained_session_rests(const nsp__drained_session *session, uint64_t now_ns)
{
    const nsp__collector *collector = &session->collector;
    const nsp__drainer *shared = nsp__session_live_drainer(&session->live);
    if (session->state != NSP_DRAINED_LIVING || session->gone ||
        now_ns - session->looked_ns >= NSP__DRAINER_PASS_NS || session->leftover != NULL ||
        session->live.missing || nsp__live_policy_new(&session->policy) ||
        nsp__limit_wakes(&collector->limit, now_ns) || nsp__snapshot_waits(collector) ||
        (collector->current != NULL && collector->current->exported.spans != 0) ||
        __atomic_load_n(&shared->flush_wanted, __ATOMIC_RELAXED) != session->flush_done ||
        (collector->switches != NULL &&
         nsp__switches_wait(collector->switches, collector->sources, session->live.slot_count)) ||
        nsp__session_live_slots(&session->live) != session->live.slot_count)
        return false;
    // Relaxed: the pass that comes if something is new reads all of it again, in order.
    for (uint32_t i = 0; i < session->live.slot_count; i++) {
        const nsp__ring_source *source = &collector->sources[i];
        if (source->available &&
            __atomic_load_n(&source->slot->published, __ATOMIC_RELAXED) != source->consumed)
            return false;
    }
    return true;
}

// The rest of what there is to say about its sampler. Nothing is said twice.
static void say_last(nsp__drained_session *session)
{
    nsp__notices notices = {.any = false};
    if (session->policy.place.generation == NULL || nsp__session_live_lost(&session->live))
        return;
    nsp__notices_last(&notices, &session->collector.known, &session->policy.place);
    nsp__notices_log(&notices, session->pool.label);
}

uint64_t nsp__drained_session_pass(nsp__drained_session *session, bool closing, double *fill)
{
    nsp__collector *collector = &session->collector;
    size_t budget = SIZE_MAX;
    if (session->state == NSP_DRAINED_FAILED)
        return 0;
    if (session->leftover != NULL && nsp__sender_settled(&session->pool, session->leftover->sequence))
        nsp__leftover_free(session);
    look_around(session);
    if (!collector->frozen)
        listen(session);
    look_at_switches(session);
    look_at_snapshots(session);
    look_at_paths(session);
    nsp__pass(collector, &budget);
    collector->frozen = closing;
    look_at_limit(session, closing);
    look_at_outliers(session);
    nsp__live_policy_follow(&session->policy, &session->live, collector->sources, &session->names);
    if (session->policy.place.generation != NULL)
        nsp__notices_policy(&collector->notices, &collector->known, &session->policy.place);
    NSP__TESTPOINT("drainer: passed");
    session->drained += SIZE_MAX - budget;
    *fill = collector->fill > *fill ? collector->fill : *fill;
    nsp__clock_publish(nsp__session_live_clock(&session->live), &session->clock, &session->clock_published);
    if (closing || session->ended || session->gone)
        nsp__batch_close(collector);
    const bool taken = all_taken(session);
    look_at_flush(session, taken);
    nsp__notices notices = nsp__notices_take(&collector->notices);
    nsp__notices_log(&notices, session->pool.label);
    if (is_lost(session))
        give_up(session);
    else if (session->gone && taken && all_settled(session)) { // the mark alone could be a mistake
        session->state = session->ended && session->foreign == 0 ? NSP_DRAINED_ENDED : NSP_DRAINED_DIED;
        say_last(session);
    }
    return SIZE_MAX - budget;
}

// ---- figures ----

static uint64_t since(uint64_t now, uint64_t before)
{
    return now > before ? now - before : 0;
}

static void add_rings(const nsp__drained_session *session, nsp_drained *out, uint64_t settled)
{
    uint64_t committed = 0, drained = 0;
    for (uint32_t i = 0; i < session->live.slot_count; i++) {
        const nsp__ring_source *source = &session->collector.sources[i];
        if (!source->available)
            continue;
        drained += __atomic_load_n(&source->slot->drained, __ATOMIC_RELAXED);
        committed += __atomic_load_n(&source->slot->counters.committed, __ATOMIC_RELAXED);
        out->refused += __atomic_load_n(&source->slot->counters.roots_refused, __ATOMIC_RELAXED);
    }
    out->in_rings = since(committed, drained);
    out->in_batches = since(drained, settled);
}

void nsp__drained_session_look(nsp__drained_session *session, nsp_drained *out)
{
    if (session->state == NSP_DRAINED_FAILED) {
        *out = session->last;
        return;
    }
    const nsp__counters *counters = nsp__session_live_counters(&session->live);
    nsp_stats stats = NSP_STATS_INIT;
    const uint64_t settled = nsp__stats_settled(&stats, counters);
    *out = (nsp_drained)NSP_DRAINED_INIT;
    memcpy(out->directory, session->directory, sizeof out->directory);
    memcpy(out->service, session->service, sizeof out->service);
    out->pid = session->pid;
    out->state = session->state;
    out->drained = session->drained;
    out->exported = since(stats.exported, session->before.exported);
    out->rejected = since(stats.rejected, session->before.rejected);
    out->unconfirmed = since(stats.unconfirmed, session->before.unconfirmed);
    out->in_doubt_resent = __atomic_load_n(&session->in_doubt_resent, __ATOMIC_RELAXED);
    out->removed = session->removed;
    add_rings(session, out, settled);
    out->foreign = session->foreign_spans;
}

// ---- the end ----

void nsp__drained_session_leave(nsp__drained_session *session)
{
    nsp__session_unlock(session->lock);
    nsp__close(session->live.alive_fd);
    nsp__close(session->live.copy.directory);
    session->lock = session->live.alive_fd = session->live.copy.directory = -1;
}

void nsp__drained_session_close(nsp__drained_session *session)
{
    nsp__leftover_free(session);
    if (session->collects) {
        say_last(session);
        nsp__collector_leave_rest(&session->collector);
    }
    nsp__batch_pool_destroy(&session->pool);
    if (session->encodes && nsp__exit_enter()) {
        session->drainer->exporter->destroy(session->encoder);
        nsp__exit_leave();
    }
    nsp__live_names_free(&session->names);
    free(session->resource);
    free((void *)session->texts);
    free(session->types);
    nsp__session_live_close(&session->live);
    nsp__session_unlock(session->lock);
    free(session);
}
