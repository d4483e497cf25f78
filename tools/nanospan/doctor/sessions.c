// SPDX-License-Identifier: Apache-2.0
//
// What have the engines on this machine sent and dropped, and why?
#include "doctor.h"

#include "support/units.h"
#include "common/time.h"
#include <inttypes.h>

enum {
    BUSY = 1000,   // spans a second; from here on the doctor mentions sampling
    DEAD_SHOWN = 3 // dead engines that are reported one by one
};

typedef struct dead_engine {
    char service[64], directory[600];
    uint32_t pid;
    uint64_t start_unix_ns;
    nsp_stats stats;
} dead_engine;

typedef struct session_scan {
    doctor *d;
    size_t alive, dead;
    uint64_t dead_bytes;
    dead_engine newest[DEAD_SHOWN]; // newest start first
    size_t newest_count;
} session_scan;

typedef struct cause {
    const char *check;
    uint64_t count;
    const char *what, *advice;
} cause;

// 5 s, 12 min, 3 h, 2 days.
static void how_long(char out[UNITS_SIZE], uint64_t ns)
{
    uint64_t seconds = ns / DOCTOR_SECOND;
    if (seconds < 120)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " s", seconds);
    else if (seconds < 7200)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " min", seconds / 60);
    else if (seconds < 172800)
        snprintf(out, UNITS_SIZE, "%" PRIu64 " h", seconds / 3600);
    else
        snprintf(out, UNITS_SIZE, "%" PRIu64 " days", seconds / 86400);
}

static const char *service_of(const nsp_session *session)
{
    return session->service != NULL && *session->service ? session->service : session->name;
}

static void tell_causes(doctor *d, doctor_level level, const char *service, uint32_t pid, const nsp_stats *s)
{
    const cause causes[] = {
        {"engine.ring_full", s->dropped_ring_full, "dropped: a thread's ring was full",
         "increase NSP_RING_BYTES, shorten NSP_POLL_MAX_US, lower TRACE_SAMPLE_RATE, or reserve a CPU for "
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
         "the engine's log has the receiver's reason: authentication, a wrong path, a full disk or a limit"},
        {"engine.unconfirmed", s->unconfirmed,
         "sent, but not confirmed: the receiver may or may not have them",
         "the receiver, or a proxy in front of it, closes connections or is slow: look at its log; a larger "
         "OTEL_EXPORTER_OTLP_TIMEOUT gives it more time"},
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
            d, "if the receiver is slow or unreachable, fix that first; otherwise increase NSP_RING_BYTES or "
               "lower TRACE_SAMPLE_RATE");
    }
    if (s->batches_failed && s->batches_failed >= s->batches_sent) {
        units_count(count, s->batches_failed);
        doctor_say(d, DOCTOR_WARN, "engine.failing",
                   "%s (pid %u): %s attempts to send failed, %" PRIu64 " succeeded", service, session->pid,
                   count, s->batches_sent);
        doctor_advise(
            d,
            "its endpoint is wrong or its receiver is unreachable: run `nanospan doctor --pid %u`, and read "
            "the engine's log",
            session->pid);
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

static void tell_alive(doctor *d, const nsp_session *session)
{
    const nsp_stats *s = &session->stats;
    char attempted[UNITS_SIZE], exported[UNITS_SIZE], waiting[UNITS_SIZE], age[UNITS_SIZE];
    uint64_t now = nsp__clock_ns(CLOCK_REALTIME),
             ns = now > session->start_unix_ns ? now - session->start_unix_ns : 0;
    units_count(attempted, s->attempted);
    units_count(exported, s->exported);
    units_count(waiting, s->open + s->in_rings + s->in_batches);
    how_long(age, ns);
    doctor_say(d, DOCTOR_OK, "engine.alive",
               "%s (pid %u) has run for %s with %u thread%s: %s spans begun, %s exported, %s in progress; it "
               "samples %.6g%% of traces%s",
               service_of(session), session->pid, age, s->threads, s->threads == 1 ? "" : "s", attempted,
               exported, waiting, session->rate * 100, session->rule_count ? ", apart from these rules" : "");
    for (size_t i = 0; i < session->rule_count; i++)
        doctor_advise(d, "%.6g%% of %s", session->rules[i].rate * 100, session->rules[i].pattern);
    tell_causes(d, DOCTOR_WARN, service_of(session), session->pid, s);
    tell_other_signs(d, session);
    uint64_t seconds = ns / DOCTOR_SECOND + 1;
    if (session->rate >= 1 && session->rule_count == 0 && s->attempted / seconds >= BUSY) {
        units_count(attempted, s->attempted / seconds);
        doctor_say(d, DOCTOR_NOTE, "engine.volume", "%s (pid %u) records every trace: %s spans a second",
                   service_of(session), session->pid, attempted);
        doctor_advise(d, "if that is too much for the backend or its storage, TRACE_SAMPLE_RATE=0.1 keeps "
                         "one trace in ten");
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
    *engine =
        (dead_engine){.pid = session->pid, .start_unix_ns = session->start_unix_ns, .stats = session->stats};
    snprintf(engine->service, sizeof engine->service, "%s", service_of(session));
    snprintf(engine->directory, sizeof engine->directory, "%s", session->directory);
}

static bool visit(void *argument, const nsp_session *session)
{
    session_scan *scan = argument;
    scan->alive += session->alive;
    scan->dead += !session->alive;
    scan->dead_bytes += session->alive ? 0 : session->bytes;
    if (session->problem != NULL)
        doctor_say(scan->d, DOCTOR_NOTE, "engine.unreadable", "%s (pid %u%s): %s", session->name,
                   session->pid, session->alive ? "" : ", dead", session->problem);
    else if (session->alive)
        tell_alive(scan->d, session);
    else
        keep_dead(scan, session);
    return true;
}

static void tell_dead(doctor *d, const session_scan *scan)
{
    char bytes[UNITS_SIZE], count[UNITS_SIZE], when[UNITS_SIZE];
    for (size_t i = 0; i < scan->newest_count; i++) {
        const dead_engine *engine = &scan->newest[i];
        units_count(count, engine->stats.open + engine->stats.in_rings + engine->stats.in_batches);
        units_time(when, engine->start_unix_ns);
        when[19] = '\0';
        doctor_say(d, DOCTOR_NOTE, "engine.dead",
                   "%s (pid %u), started %s UTC, was killed or crashed; %s of its spans were never sent",
                   engine->service, engine->pid, when, count);
        doctor_advise(d, "what it recorded is in %s", engine->directory);
        tell_causes(d, DOCTOR_NOTE, engine->service, engine->pid, &engine->stats);
    }
    if (scan->dead == 0)
        return;
    units_bytes(bytes, (double)scan->dead_bytes);
    doctor_say(d, DOCTOR_NOTE, "engine.left_behind", "%zu dead session%s hold%s %s of memory", scan->dead,
               scan->dead == 1 ? "" : "s", scan->dead == 1 ? "s" : "", bytes);
    doctor_advise(
        d,
        "the next engine that starts removes all but the newest %u (NSP_KEEP_SESSIONS); you may also "
        "remove any of them with rm -r",
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
