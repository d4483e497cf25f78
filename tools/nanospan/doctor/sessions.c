// SPDX-License-Identifier: Apache-2.0
//
// What have the engines on this machine sent and dropped, and why?
#include "doctor.h"

#include "support/left_out.h"
#include "support/sampling.h"
#include "support/shell_word.h"
#include "support/units.h"
#include "common/time.h"
#include <inttypes.h>

enum {
    BUSY = 1000,    // spans a second; from here on the doctor mentions sampling
    DEAD_SHOWN = 3, // dead engines that are reported one by one
    STALLED_S = 5   // seconds without a pass, after which an agent counts as stalled
};

typedef struct dead_engine {
    char service[64], directory[600];
    uint32_t pid;
    uint64_t start_unix_ns, unsent, history_bytes;
    nsp_stats stats;
    bool set_aside, ended, external;
} dead_engine;

typedef struct session_scan {
    doctor *d;
    size_t alive, dead;
    size_t half_made; // of the dead: their engines died while they started
    uint64_t dead_bytes;
    dead_engine newest[DEAD_SHOWN]; // newest start first
    size_t newest_count;
} session_scan;

typedef struct cause {
    const char *check;
    uint64_t count;
    const char *what, *advice;
} cause;

static const char *service_of(const nsp_session *session)
{
    return session->service != NULL && *session->service ? session->service : session->name;
}

// external: an agent sends for the engine, so the settings of the exporter and the log are the agent's.
static void tell_causes(doctor *d, doctor_level level, const char *service, uint32_t pid, const nsp_stats *s,
                        bool external)
{
    const cause causes[] = {
        {"engine.ring_full", s->dropped_ring_full, "dropped: a thread's ring was full",
         external ? "increase NSP_RING_BYTES, lower TRACE_SAMPLE_RATE, or reserve a CPU for the agent"
                  : "increase NSP_RING_BYTES, shorten NSP_POLL_MAX_US, lower TRACE_SAMPLE_RATE, or reserve a "
                    "CPU for "
                    "the collector"},
        {"engine.too_deep", s->dropped_too_deep, "dropped: too many spans were open at once on one thread",
         "increase NSP_OPEN_SPANS; if the program leaves spans unended, end them"},
        {"engine.detached_full", s->dropped_detached_full, "dropped: the pool of detached spans was full",
         "increase NSP_DETACHED_SPANS; if the program leaves detached spans unended, end them"},
        {"engine.in_signal", s->dropped_in_signal,
         "dropped: begun or ended in a signal handler that interrupted nanospan",
         "a few of these are harmless; if there are many, do not trace in that handler"},
        {"engine.no_thread", s->dropped_no_thread, "dropped: there was no slot or no memory for their thread",
         "increase NSP_THREADS; a thread should not call nanospan once it has begun to exit"},
        {"engine.invalid", s->dropped_invalid, "dropped: their records were damaged",
         "something in the process writes to memory that it does not own; AddressSanitizer can find it"},
        {"engine.discarded", s->discarded, "discarded: there was no exporter, or sending was given up",
         "set OTLP_ENDPOINT for the engine, and read its first log lines"},
        {"engine.rejected", s->rejected, "rejected by the receiver and not sent again",
         external
             ? "the agent's log has the receiver's reason: authentication, a wrong path, a full disk or a "
               "limit"
             : "the engine's log has the receiver's reason: authentication, a wrong path, a full disk or a "
               "limit"},
        {"engine.unconfirmed", s->unconfirmed,
         "sent, but not confirmed: the receiver may or may not have them",
         external
             ? "the receiver, or a proxy in front of it, closes connections or is slow: look at its log; a "
               "larger OTEL_EXPORTER_OTLP_TIMEOUT of the agent gives it more time"
             : "the receiver, or a proxy in front of it, closes connections or is slow: look at its log; a "
               "larger OTEL_EXPORTER_OTLP_TIMEOUT gives it more time"},
    };
    char count[UNITS_SIZE];
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if (causes[i].count == 0)
            continue;
        units_count(count, causes[i].count);
        doctor_say(d, level, causes[i].check, "%s (pid %u): %s span%s %s", service, pid, count,
                   causes[i].count == 1 ? "" : "s", causes[i].what);
        doctor_advise(d, "%s", causes[i].advice);
    }
}

// An answer is no success: it may say 401.
static void tell_failing(doctor *d, const nsp_session *session)
{
    const nsp_stats *s = &session->stats;
    const uint32_t sender = session->external ? session->drainer_pid : session->pid;
    char failed[UNITS_SIZE], answered[UNITS_SIZE];
    units_count(failed, s->batches_failed);
    units_count(answered, s->batches_sent);
    doctor_say(d, DOCTOR_WARN, "engine.failing", "%s (pid %u): %s attempt%s to send failed; %s %s answered",
               service_of(session), session->pid, failed, s->batches_failed == 1 ? "" : "s", answered,
               s->batches_sent == 1 ? "request was" : "requests were");
    const char *who = session->external ? "agent" : "engine";
    const char *wrong = s->batches_sent == 0 ? "endpoint is wrong or its receiver is unreachable"
                                             : "endpoint or token is wrong, or its receiver has trouble";
    if (session->external && !session->drained)
        doctor_advise(d, "the agent that drained it has ended: its %s; its log says why", wrong);
    else
        doctor_advise(d, "the %s's %s: run `nanospan doctor --pid %u`, and read the %s's log", who, wrong,
                      sender, who);
}

static void tell_other_signs(doctor *d, const nsp_session *session)
{
    const nsp_stats *s = &session->stats;
    const char *service = service_of(session);
    char count[UNITS_SIZE];
    if (s->roots_refused) {
        units_count(count, s->roots_refused);
        doctor_say(d, DOCTOR_WARN, "engine.refused",
                   "%s (pid %u): %s whole traces were not recorded because a ring was above its watermark",
                   service, session->pid, count);
        doctor_advise(
            d,
            "if the receiver is slow or unreachable, fix that first; otherwise increase NSP_RING_BYTES or "
            "lower the rate, now by `nanospan tune %u 0.1`, for later starts by TRACE_SAMPLE_RATE",
            session->pid);
    }
    if (s->batches_failed && s->batches_failed >= s->batches_sent) {
        tell_failing(d, session);
    }
    if (s->threads_private) {
        doctor_say(
            d, DOCTOR_WARN, "engine.private",
            "%s (pid %u): %u thread%s did not fit into shared memory, so their spans are not counted here",
            service, session->pid, s->threads_private, s->threads_private == 1 ? "" : "s");
        doctor_advise(d, "make /dev/shm larger (shm_size in compose, --shm-size with docker), or reduce "
                         "NSP_RING_BYTES");
    }
    if (s->leaked || s->misused) {
        doctor_say(d, DOCTOR_NOTE, "engine.misuse",
                   "%s (pid %u): %" PRIu64 " spans were never ended, %" PRIu64
                   " calls were repeated, out of order, or on the wrong thread",
                   service, session->pid, s->leaked, s->misused);
        doctor_advise(d, "the application's instrumentation has mistakes: end each span once, on the thread "
                         "that began it");
    }
}

static void tell_drainer(doctor *d, const nsp_session *session)
{
    const char *service = service_of(session);
    char idle[UNITS_SIZE];
    if (!session->drained) {
        doctor_say(d, DOCTOR_WARN, "engine.undrained",
                   "%s (pid %u) is to be drained from outside, and nobody drains it; its fullest ring is "
                   "%.0f%% full",
                   service, session->pid, session->ring_fill * 100);
        doctor_advise(d, "start `nanospan agent` as the engine's user; a thread whose ring is full up to "
                         "NSP_WATERMARK refuses new traces and counts them, and the engine carries on");
    } else if (session->drainer_idle_ns > STALLED_S * DOCTOR_SECOND) {
        units_age(idle, session->drainer_idle_ns);
        doctor_say(d, DOCTOR_WARN, "engine.stalled",
                   "%s (pid %u): the agent with pid %u has not drained it for %s; its fullest ring is %.0f%% "
                   "full",
                   service, session->pid, session->drainer_pid, idle, session->ring_fill * 100);
        doctor_advise(d, "that process is stopped or hangs: look at it, and start it again; what is in the "
                         "rings waits");
    } else {
        doctor_say(d, DOCTOR_OK, "engine.drained",
                   "%s (pid %u) is drained by the agent with pid %u; its fullest ring is %.0f%% full",
                   service, session->pid, session->drainer_pid, session->ring_fill * 100);
    }
}

static void tell_sampling(doctor *d, const nsp_session *session)
{
    text changed = {0};
    char share[SAMPLING_SHARE];
    for (size_t i = 0; i < session->rule_count; i++)
        doctor_advise(d, "%s%% of %s (%s)", sampling_share(share, session->rules[i].rate, 100),
                      session->rules[i].pattern, sampling_source(session->rules[i].source));
    for (size_t i = 0; i < session->outlier_count; i++) {
        text outlier = {0};
        sampling_outlier(&outlier, &session->outliers[i]);
        doctor_advise(d, "outlier rule %.*s (%s)", (int)outlier.length, outlier.data,
                      sampling_source(session->outliers[i].source));
        text_free(&outlier);
    }
    if (session->limit != 0)
        doctor_advise(d, "at most %.6g traces a second (%s): all rates are multiplied by %.4g now",
                      session->limit, sampling_source(session->limit_source), session->limit_factor);
    if (session->changed_by == NSP_SAMPLER_TUNE) {
        sampling_changed(&changed, session);
        doctor_advise(d, "changed %.*s", (int)changed.length, changed.data);
    }
    text_free(&changed);
}

static double fullest_peak(const nsp_session *session)
{
    double fullest = 0;
    for (size_t i = 0; i < session->thread_count; i++) {
        const nsp_session_thread *thread = &session->threads[i];
        const double peak =
            thread->ring_bytes != 0 ? (double)thread->ring_fill_peak / (double)thread->ring_bytes : 0;
        fullest = peak > fullest ? peak : fullest;
    }
    return fullest;
}

// How well draining and sending keep up.
static void tell_figures(doctor *d, const nsp_session *session)
{
    const nsp_stats *s = &session->stats;
    char lag[UNITS_SIZE], mean[UNITS_SIZE], longest[UNITS_SIZE];
    if (s->pass_ns == 0)
        return;
    units_duration(lag, s->lag_longest_ns);
    units_duration(mean, s->answers != 0 ? s->answer_ns / s->answers : 0);
    units_duration(longest, s->answer_longest_ns);
    if (s->answers != 0)
        doctor_say(
            d, DOCTOR_OK, "engine.figures",
            "%s (pid %u): records waited %s at most, and no ring was more than %.0f%% full; the receiver "
            "answers in %s on average, %s at most",
            service_of(session), session->pid, lag, fullest_peak(session) * 100, mean, longest);
    else
        doctor_say(
            d, DOCTOR_OK, "engine.figures",
            "%s (pid %u): records waited %s at most, and no ring was more than %.0f%% full; no receiver has "
            "answered yet",
            service_of(session), session->pid, lag, fullest_peak(session) * 100);
}

static void tell_alive(doctor *d, const nsp_session *session)
{
    const nsp_stats *s = &session->stats;
    char attempted[UNITS_SIZE], exported[UNITS_SIZE], waiting[UNITS_SIZE], age[UNITS_SIZE];
    char share[SAMPLING_SHARE];
    uint64_t now = nsp__clock_ns(CLOCK_REALTIME),
             ns = now > session->start_unix_ns ? now - session->start_unix_ns : 0;
    units_count(attempted, s->attempted);
    units_count(exported, s->exported);
    units_count(waiting, session->unsent);
    units_age(age, ns);
    doctor_say(d, DOCTOR_OK, "engine.alive",
               "%s (pid %u) has run for %s with %u thread%s: %s spans begun, %s exported, %s in progress; it "
               "samples %s%% of traces (%s)%s",
               service_of(session), session->pid, age, s->threads, s->threads == 1 ? "" : "s", attempted,
               exported, waiting, sampling_share(share, session->rate, 100),
               sampling_source(session->rate_source), session->rule_count ? ", apart from these rules" : "");
    tell_sampling(d, session);
    tell_figures(d, session);
    if (session->external)
        tell_drainer(d, session);
    tell_causes(d, DOCTOR_WARN, service_of(session), session->pid, s, session->external);
    tell_other_signs(d, session);
    doctor_outliers(d, session, service_of(session));
    uint64_t seconds = ns / DOCTOR_SECOND + 1;
    if (session->rate >= 1 && session->rule_count == 0 && session->limit == 0 &&
        s->attempted / seconds >= BUSY) {
        units_count(attempted, s->attempted / seconds);
        doctor_say(d, DOCTOR_NOTE, "engine.volume", "%s (pid %u) records every trace: %s spans a second",
                   service_of(session), session->pid, attempted);
        doctor_advise(d,
                      "if that is too much for the backend or its storage, `nanospan tune %u 0.1` keeps "
                      "one trace in ten from now on, and TRACE_SAMPLE_RATE=0.1 from the next start on",
                      session->pid);
    }
}

static void keep_dead(session_scan *scan, const nsp_session *session)
{
    size_t place = scan->newest_count;
    while (place > 0 && scan->newest[place - 1].start_unix_ns < session->start_unix_ns)
        place--;
    if (place == DEAD_SHOWN)
        return;
    scan->newest_count += scan->newest_count < DEAD_SHOWN;
    memmove(&scan->newest[place + 1], &scan->newest[place],
            (scan->newest_count - place - 1) * sizeof scan->newest[0]);
    dead_engine *engine = &scan->newest[place];
    *engine = (dead_engine){.pid = session->pid,
                            .start_unix_ns = session->start_unix_ns,
                            .unsent = session->unsent,
                            .history_bytes = session->history_bytes,
                            .stats = session->stats,
                            .set_aside = session->set_aside,
                            .ended = session->ended,
                            .external = session->external};
    snprintf(engine->service, sizeof engine->service, "%s", service_of(session));
    snprintf(engine->directory, sizeof engine->directory, "%s", session->directory);
}

static void tell_unreadable(doctor *d, const nsp_session *session)
{
    doctor_say(d, DOCTOR_NOTE, "engine.unreadable", "%s (pid %u%s): %s", session->name, session->pid,
               session->alive ? "" : ", dead", session->problem);
    if (!session->alive && !session->other_version)
        doctor_advise(d, "`nanospan recover` recovers what can be read of it");
}

static bool visit(void *argument, const nsp_session *session)
{
    session_scan *scan = argument;
    scan->alive += session->alive;
    scan->dead += !session->alive;
    scan->dead_bytes += session->alive ? 0 : session->bytes;
    scan->half_made += !session->alive && session->not_started;
    if (session->not_started)
        return true;
    if (session->problem != NULL)
        tell_unreadable(scan->d, session);
    else if (session->alive)
        tell_alive(scan->d, session);
    else
        keep_dead(scan, session);
    return true;
}

static void advise_recovery(doctor *d, const dead_engine *engine)
{
    text word = {0}, held = {0};
    left_out_held(&held, engine->history_bytes, engine->stats.speculating);
    if (held.length != 0)
        doctor_advise(d,
                      "it also holds %.*s, which --speculative recovers; without it they go with the session",
                      (int)held.length, held.data);
    shell_word(&word, engine->directory);
    if (held.length != 0 || engine->unsent != 0)
        doctor_advise(d, "this %s: nanospan recover %s%s%.*s",
                      d->tracing ? "sends them" : "writes them to a file",
                      d->tracing ? "" : "--output crashed.jsonl ", held.length != 0 ? "--speculative " : "",
                      (int)word.length, word.data);
    text_free(&word);
    text_free(&held);
}

static void tell_dead(doctor *d, const session_scan *scan)
{
    char bytes[UNITS_SIZE], count[UNITS_SIZE], when[UNITS_SIZE];
    for (size_t i = 0; i < scan->newest_count; i++) {
        const dead_engine *engine = &scan->newest[i];
        units_count(count, engine->unsent);
        units_time(when, engine->start_unix_ns);
        when[19] = '\0';
        doctor_say(
            d, DOCTOR_NOTE, "engine.dead", "%s (pid %u), started %s UTC, %s; %s of its spans were never sent",
            engine->service, engine->pid, when,
            engine->ended ? "has ended and left its session to an agent" : "was killed or crashed", count);
        advise_recovery(d, engine);
        if (engine->set_aside)
            doctor_advise(d, "two recoveries of it crashed or found it damaged, so `nanospan recover` leaves "
                             "it out unless it is named");
        tell_causes(d, DOCTOR_NOTE, engine->service, engine->pid, &engine->stats, engine->external);
    }
    if (scan->dead == 0)
        return;
    units_bytes(bytes, (double)scan->dead_bytes);
    doctor_say(d, DOCTOR_NOTE, "engine.left_behind", "%zu dead session%s hold%s %s of memory", scan->dead,
               scan->dead == 1 ? "" : "s", scan->dead == 1 ? "s" : "", bytes);
    if (scan->half_made != 0)
        doctor_advise(d,
                      "%zu of them: the engine died while it was starting; nothing is recorded in them, and "
                      "engines that start remove them",
                      scan->half_made);
    doctor_advise(
        d,
        "`nanospan recover --list` shows them; the next engine that starts removes all but the newest "
        "%u (NSP_KEEP_SESSIONS), those without anything to recover first",
        d->config.keep_sessions);
}

void doctor_sessions(doctor *d)
{
    session_scan scan = {.d = d};
    const char *folder = d->config.shm_dir != NULL ? d->config.shm_dir : "none";
    nsp_status status = nsp_sessions_each(folder, visit, &scan);
    if (status != NSP_OK) {
        doctor_say(d, DOCTOR_WARN, "engine.folder", "the sessions of running engines cannot be read: %s",
                   nsp_error_detail());
        doctor_advise(
            d, "the folder must belong to this user and be closed to others: chmod 700 it, or remove it");
        return;
    }
    if (scan.alive == 0) {
        doctor_say(d, DOCTOR_NOTE, "engine.none",
                   "no engine of this user is running here: there is no live session (NSP_SHM_DIR: %s)",
                   folder);
        doctor_advise(
            d,
            "run the doctor as the engine's user and inside the engine's container; an engine also makes no "
            "session here if ENABLE_TRACING is false or NSP_SHM_DIR names another folder");
    }
    tell_dead(d, &scan);
}
