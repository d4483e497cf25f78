// SPDX-License-Identifier: Apache-2.0
//
// What becomes of the sessions that are drained: their engines end or die, and what is left is recovered.
#include "sessions.h"

#include "say.h"
#include "support/left_out.h"
#include "support/units.h"
#include "common/time.h"
#include <errno.h>
#include <inttypes.h>
#include <nanospan/inspect.h>
#include <stdio.h>
#include <string.h>

// ---- following them ----

static uint64_t settled(const nsp_drained *drained)
{
    return drained->exported + drained->rejected + drained->unconfirmed;
}

static void introduce(agent_session *session, const nsp_drained *drained)
{
    if (session->introduced)
        return;
    session->introduced = true;
    session->goal = settled(drained) + drained->in_rings + drained->in_batches - drained->foreign;
    session->left = drained->foreign != 0;
    session->refused = drained->refused;
    snprintf(session->label, sizeof session->label, "%s (pid %" PRIu32 ")", drained->service, drained->pid);
    char refused[UNITS_SIZE];
    units_count(refused, drained->refused);
    if (drained->refused != 0)
        say_event("%s: draining it; its engine refused %s trace%s before, because a ring was full",
                  session->label, refused, drained->refused == 1 ? "" : "s");
    else
        say_event("%s: draining it", session->label);
}

static void tell_outcome(const agent_session *session, const nsp_drained *drained, const char *what,
                         const char *then)
{
    char exported[UNITS_SIZE], other[UNITS_SIZE];
    text line = {0};
    units_count(exported, drained->exported);
    text_format(&line, "%s; %s span%s exported by this agent", what, exported,
                drained->exported == 1 ? "" : "s");
    units_count(other, drained->rejected);
    if (drained->rejected != 0)
        text_format(&line, ", %s rejected", other);
    units_count(other, drained->unconfirmed);
    if (drained->unconfirmed != 0)
        text_format(&line, ", %s unconfirmed", other);
    units_count(other, drained->in_doubt_resent);
    if (drained->in_doubt_resent != 0)
        text_format(&line, ", %s of them in doubt and sent again", other);
    text_format(&line, "%s%c", then, '\0');
    say_event("%s: %s", session->label, line.data);
    text_free(&line);
}

static void look_at_living(agent_session *session, const nsp_drained *drained, uint64_t now_ns)
{
    session->settled = settled(drained) >= session->goal ||
                       (drained->in_rings == 0 && drained->in_batches == drained->foreign);
    if (drained->removed && !session->gone_told)
        say_problem(
            "%s: its directory was removed, as systemd-logind does when a user logs out (RemoveIPC): it "
            "is drained all the same, but nothing of it can be recovered",
            session->label);
    session->gone_told = drained->removed;
    if (drained->in_doubt_resent > session->in_doubt) {
        char again[UNITS_SIZE];
        units_count(again, drained->in_doubt_resent - session->in_doubt);
        say_event("%s: an earlier agent was just sending %s spans when it died: they are sent again, and may "
                  "arrive twice",
                  session->label, again);
        session->in_doubt = drained->in_doubt_resent;
    }
    if (drained->refused > session->refused && now_ns >= session->refused_next_ns) {
        char more[UNITS_SIZE];
        units_count(more, drained->refused - session->refused);
        say_problem(
            "%s: its rings are too full: it has refused %s more traces; if the receiver keeps up, it needs "
            "larger ones (NSP_RING_BYTES)",
            session->label, more);
        session->refused = drained->refused;
        session->refused_next_ns = now_ns + 60 * NSP__SECOND;
    }
}

static void add_lost(agent *a, const nsp_drained *drained)
{
    a->rejected += drained->rejected;
    a->unconfirmed += drained->unconfirmed;
}

static void look_at(agent *a, agent_session *session, const nsp_drained *drained, uint64_t now_ns)
{
    introduce(session, drained);
    if (drained->state != NSP_DRAINED_LIVING)
        add_lost(a, drained);
    switch (drained->state) {
    case NSP_DRAINED_LIVING: look_at_living(session, drained, now_ns); break;
    case NSP_DRAINED_ENDED:
        tell_outcome(session, drained, "ended", "");
        session->state = AGENT_LEAVES;
        session->settled = true;
        if (nsp_drainer_remove(a->drainer, drained->directory, true) != NSP_OK && !drained->removed)
            agent_session_tell(session, nsp_error_detail());
        break;
    case NSP_DRAINED_DIED:
        tell_outcome(session, drained, drained->foreign != 0 ? "is gone" : "died", "; recovering the rest");
        nsp_drainer_remove(a->drainer, drained->directory, false);
        agent_session_expect_recovery(session, now_ns);
        break;
    case NSP_DRAINED_FAILED:
        agent_session_tell(session, drained->problem);
        nsp_drainer_remove(a->drainer, drained->directory, false);
        session->state = AGENT_TO_ADD; // again and again, and it is recovered when its engine is dead
        session->unfit = session->tried = session->left = true;
        session->next_ns = nsp__after(now_ns, session->pause_ns = AGENT_LONGEST_PAUSE_NS);
        break;
    }
}

static void look_at_drained(agent *a, uint64_t now_ns)
{
    nsp_drained drained = NSP_DRAINED_INIT;
    size_t at = 0;
    while (nsp_drainer_each(a->drainer, &at, &drained)) {
        agent_session *session = agent_session_find(a, drained.directory);
        if (session != NULL)
            look_at(a, session, &drained, now_ns);
    }
}

// ---- recovering them ----

typedef struct sought {
    const char *directory;
    bool set_aside;
} sought;

static bool compare(void *argument, const nsp_session *seen)
{
    sought *session = argument;
    if (strcmp(seen->directory, session->directory) != 0)
        return true;
    session->set_aside = seen->set_aside;
    return false;
}

// Have two recoveries of it failed, also those of others?
static bool is_set_aside(const agent *a, const agent_session *session)
{
    char directory[AGENT_DIRECTORY_MAX];
    sought found = {.directory = agent_session_directory(a, session, directory)};
    nsp_sessions_each(a->config.shm_dir, compare, &found);
    return found.set_aside;
}

// Nothing of it was left. Something that was left out is no problem, but it is gone, so --quiet does not hide it.
static void tell_recovered(const agent_session *session, const agent_recovered *recovered)
{
    char exported[UNITS_SIZE], unfinished[UNITS_SIZE];
    text line = {0}, left_out = {0};
    units_count(exported, recovered->exported);
    units_count(unfinished, recovered->unfinished);
    if (recovered->exported == 0)
        text_put(&line, "nothing was left to send");
    else
        text_format(&line, "%s %sspan%s exported, %s of them unfinished", exported,
                    session->introduced ? "more " : "", recovered->exported == 1 ? "" : "s", unfinished);
    left_out_spans(&left_out, recovered->history, recovered->undecided);
    if (left_out.length != 0)
        say_problem("%s: recovered: %.*s; %.*s (an agent with --speculative exports them)", session->label,
                    (int)line.length, line.data, (int)left_out.length, left_out.data);
    else
        say_event("%s: recovered: %.*s", session->label, (int)line.length, line.data);
    text_free(&line);
    text_free(&left_out);
}

static void finish_recovery(agent *a, agent_session *session, const agent_recovered *recovered,
                            uint64_t now_ns)
{
    char exported[UNITS_SIZE], unfinished[UNITS_SIZE], line[AGENT_LINE_MAX];
    session->tried = true;
    session->left = !recovered->complete;
    units_count(exported, recovered->exported);
    units_count(unfinished, recovered->unfinished);
    if (recovered->complete) {
        session->state = AGENT_LEAVES;
        if (recovered->known)
            tell_recovered(session, recovered);
        return;
    }
    session->state = AGENT_TO_RECOVER;
    agent_session_try_later(session, now_ns, AGENT_LONGEST_PAUSE_NS);
    if (recovered->known && recovered->foreign != 0 && recovered->left == recovered->foreign) {
        char foreign[UNITS_SIZE], directory[AGENT_DIRECTORY_MAX];
        units_count(foreign, recovered->foreign);
        session->state = AGENT_LEAVES;
        say_problem(
            "%s: %s spans are in batches of an exporter of a program's own, which only that can read; they "
            "stay "
            "in %s until you remove it; the rest is recovered: %s more spans exported, %s of them unfinished",
            session->label, foreign, agent_session_directory(a, session, directory), exported, unfinished);
        return;
    }
    if (is_set_aside(a, session)) {
        session->state = AGENT_LEAVES;
        snprintf(line, sizeof line,
                 "%s; it is set aside, because two recoveries of it failed: name its directory to `nanospan "
                 "recover` to try once more, or remove it",
                 recovered->problem);
    } else {
        snprintf(line, sizeof line, "not recovered yet: %s", recovered->problem);
    }
    agent_session_tell(session, line);
}

static agent_session *in_recovery(const agent *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->sessions[i].state == AGENT_RECOVERS)
            return &a->sessions[i];
    return NULL;
}

static void start_recovery(agent *a, agent_session *session, uint64_t now_ns)
{
    char directory[AGENT_DIRECTORY_MAX];
    agent_session_directory(a, session, directory);
    const agent_recovery_options how = {.endpoint = a->options->endpoint,
                                        .in_doubt = a->options->in_doubt,
                                        .speculative = a->options->speculative};
    agent_recovered failed = {0};
    if (is_set_aside(a, session))
        snprintf(failed.problem, sizeof failed.problem, "its engine has died");
    else if (agent_recovery_start(&a->recovery, directory, &how, &a->config))
        session->state = AGENT_RECOVERS;
    else
        snprintf(failed.problem, sizeof failed.problem, "the recovery cannot be started: %s",
                 strerror(errno));
    if (session->state != AGENT_RECOVERS)
        finish_recovery(a, session, &failed, now_ns);
}

// ---- all of it ----

void agent_sessions_follow(agent *a, uint64_t now_ns)
{
    agent_recovered recovered;
    agent_session *recovering = in_recovery(a);
    if (recovering != NULL && agent_recovery_ended(&a->recovery, &recovered))
        finish_recovery(a, recovering, &recovered, now_ns);
    agent_sessions_add(a, now_ns);
    look_at_drained(a, now_ns);
    for (size_t i = 0; i < a->count && a->recovery.pid == 0; i++) {
        agent_session *session = &a->sessions[i];
        if (session->state == AGENT_TO_RECOVER && now_ns >= session->next_ns)
            start_recovery(a, session, now_ns);
    }
}

size_t agent_sessions_drained(const agent *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++)
        count += a->sessions[i].state == AGENT_DRAINS;
    return count;
}

void agent_sessions_lost(const agent *a, uint64_t *rejected, uint64_t *unconfirmed)
{
    nsp_drained drained = NSP_DRAINED_INIT;
    size_t at = 0;
    *rejected = a->rejected;
    *unconfirmed = a->unconfirmed;
    while (nsp_drainer_each(a->drainer, &at, &drained)) {
        *rejected += drained.rejected;
        *unconfirmed += drained.unconfirmed;
    }
}

bool agent_sessions_dead(const agent *a)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->sessions[i].state == AGENT_TO_RECOVER || a->sessions[i].state == AGENT_RECOVERS)
            return true;
    return false;
}

bool agent_sessions_done(const agent *a, bool *left)
{
    *left = false;
    for (size_t i = 0; i < a->count; i++) {
        const agent_session *session = &a->sessions[i];
        if (!session->tried || session->state == AGENT_RECOVERS ||
            (session->state == AGENT_DRAINS && !session->settled))
            return false;
        *left = *left || session->left;
    }
    return true;
}
