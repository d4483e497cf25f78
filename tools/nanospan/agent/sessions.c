// SPDX-License-Identifier: Apache-2.0
//
// The sessions of this user: which there are, and taking them over.
#include "sessions.h"

#include "say.h"
#include "common/time.h"
#include <nanospan/inspect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_PAUSE_NS (10 * NSP__MILLISECOND) // an engine that is starting is ready soon
#define BUSY_PAUSE_NS NSP__SECOND        // the longest between two looks whether another drainer has ended
#define RECOVERY_PAUSE_NS NSP__SECOND    // after a recovery that failed: two such set the session aside
#define DEATH_PAUSE_NS (5 * NSP__SECOND) // between two looks whether an engine that drains itself has died

// ---- the table, sorted by name ----

static int by_name(const void *left, const void *right)
{
    return strcmp(((const agent_session *)left)->name, ((const agent_session *)right)->name);
}

static int against_name(const void *name, const void *session)
{
    return strcmp(name, ((const agent_session *)session)->name);
}

static agent_session *find_among(const agent *a, size_t count, const char *name)
{
    return count != 0 ? bsearch(name, a->sessions, count, sizeof *a->sessions, against_name) : NULL;
}

agent_session *agent_session_find(const agent *a, const char *directory)
{
    const char *slash = strrchr(directory, '/');
    return find_among(a, a->count, slash != NULL ? slash + 1 : directory);
}

typedef struct look {
    agent *a;
    size_t known; // those that are sorted
    bool others;  // there are some for which the table has no room
} look;

static void note(void *argument, const char *name)
{
    look *me = argument;
    agent *a = me->a;
    agent_session *session = find_among(a, me->known, name);
    if (session == NULL && a->count < AGENT_SESSIONS_MAX) {
        a->sessions = need_room(a->sessions, a->count, &a->capacity, sizeof *a->sessions);
        session = &a->sessions[a->count++];
        *session = (agent_session){.pause_ns = FIRST_PAUSE_NS};
        snprintf(session->name, sizeof session->name, "%s", name);
        snprintf(session->label, sizeof session->label, "%s", name);
    }
    if (session != NULL)
        session->found = true;
    else
        me->others = true;
}

static void tell_others(agent *a, bool others)
{
    if (others && !a->full_told)
        say_problem("%s has more than %d sessions: the others wait", a->watch.folder, AGENT_SESSIONS_MAX);
    a->full_told = others;
}

void agent_sessions_look(agent *a)
{
    look me = {.a = a, .known = a->count};
    for (size_t i = 0; i < a->count; i++)
        a->sessions[i].found = false;
    // After a look that failed, what was not found may be there all the same.
    if (agent_watch_list(&a->watch, note, &me)) {
        size_t count = 0;
        for (size_t i = 0; i < a->count; i++) {
            agent_session *session = &a->sessions[i];
            bool ours = session->state == AGENT_DRAINS || session->state == AGENT_RECOVERS;
            if (session->found || ours)
                a->sessions[count++] = *session;
        }
        a->count = count;
        tell_others(a, me.others);
    }
    if (a->count != 0)
        qsort(a->sessions, a->count, sizeof *a->sessions, by_name);
}

// ---- what is said of them ----

const char *agent_session_directory(const agent *a, const agent_session *session, char *path)
{
    snprintf(path, AGENT_DIRECTORY_MAX, "%s/%s", a->watch.folder, session->name);
    return path;
}

void agent_session_tell(agent_session *session, const char *problem)
{
    if (strncmp(session->told, problem, sizeof session->told - 1) == 0)
        return;
    snprintf(session->told, sizeof session->told, "%s", problem);
    say_problem("%s: %s", session->label, problem);
}

void agent_session_try_later(agent_session *session, uint64_t now_ns, uint64_t longest_ns)
{
    session->next_ns = nsp__after(now_ns, nsp__earlier(session->pause_ns, longest_ns));
    session->pause_ns = nsp__earlier(2 * session->pause_ns, AGENT_LONGEST_PAUSE_NS);
}

// ---- taking them over ----

void agent_session_expect_recovery(agent_session *session, uint64_t now_ns)
{
    session->state = AGENT_TO_RECOVER;
    session->tried = false;
    session->next_ns = now_ns;
    session->pause_ns = RECOVERY_PAUSE_NS;
}

// Why it was not taken over, and when to try again.
static void refused(const agent *a, agent_session *session, nsp_status status, const char *problem,
                    uint64_t now_ns)
{
    char line[AGENT_LINE_MAX] = "";
    // What may pass, because an engine is starting or its recovery begins, is said when it is still so.
    const bool lasts = session->pause_ns >= BUSY_PAUSE_NS || a->options->once;
    session->itself = false;
    // NOT_FOUND for long: its engine died while it was starting, and a recovery removes what it left.
    session->unfit =
        status == NSP_ERR_INVALID || status == NSP_ERR_DAMAGED || (status == NSP_ERR_NOT_FOUND && lasts);
    session->left = status != NSP_ERR_INVALID && status != NSP_ERR_NOT_FOUND;
    agent_session_try_later(session, now_ns,
                            status == NSP_ERR_BUSY      ? BUSY_PAUSE_NS
                            : status == NSP_ERR_INVALID ? DEATH_PAUSE_NS
                                                        : AGENT_LONGEST_PAUSE_NS);
    switch (status) {
    case NSP_ERR_NOT_FOUND: return; // it is just going, or its engine never came to record anything
    case NSP_ERR_INVALID: session->itself = lasts; return;
    case NSP_ERR_BUSY:
        if (lasts)
            snprintf(line, sizeof line, "%s; this agent takes over when that ends", problem);
        break;
    case NSP_ERR_UNSUPPORTED:
        snprintf(line, sizeof line, "%s; the nanospan of that version can drain and recover it", problem);
        break;
    default: snprintf(line, sizeof line, "%s", *problem ? problem : nsp_status_str(status)); break;
    }
    if (*line)
        agent_session_tell(session, line);
}

static void add(agent *a, agent_session *session, uint64_t now_ns)
{
    char directory[AGENT_DIRECTORY_MAX], problem[NSP_DRAINED_PROBLEM_MAX] = "";
    agent_session_directory(a, session, directory);
    nsp_status status = nsp_drainer_add(a->drainer, directory, problem, sizeof problem);
    if (status == NSP_OK) {
        session->state = AGENT_DRAINS;
        session->left = session->introduced = session->settled = false;
        session->in_doubt = 0;
        session->told[0] = '\0';
        session->pause_ns = FIRST_PAUSE_NS;
    } else {
        // NSP_ERR_INVALID says of every other session that it is its engine's own business.
        const bool too_long = strlen(directory) >= NSP_DRAINED_DIRECTORY_MAX;
        refused(a, session, too_long ? NSP_ERR_SYSTEM : status, problem, now_ns);
    }
    session->tried = true;
}

// Of those that cannot be drained, recovery may read what a dead engine has left: also of one that drained itself, and
// of what is damaged, of which it remembers how often that failed.
static bool note_dead(void *argument, const nsp_session *seen)
{
    agent *a = argument;
    agent_session *session = agent_session_find(a, seen->directory);
    if (session != NULL && session->state == AGENT_TO_ADD && session->unfit && !seen->alive &&
        !seen->other_version)
        agent_session_expect_recovery(session, 0);
    return true;
}

uint64_t agent_sessions_next(const agent *a)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < a->count; i++) {
        const agent_session *session = &a->sessions[i];
        if (session->state == AGENT_TO_ADD || (session->state == AGENT_TO_RECOVER && a->recovery.pid == 0))
            next = nsp__earlier(next, session->next_ns);
    }
    return next;
}

static void tell_those_that_drain_themselves(agent *a)
{
    static const char what[] = "its engine drains itself; it is recovered if it dies";
    for (size_t i = 0; i < a->count; i++) {
        agent_session *session = &a->sessions[i];
        if (session->state != AGENT_TO_ADD || !session->itself || strcmp(session->told, what) == 0)
            continue;
        say_event("%s: %s", session->label, what);
        snprintf(session->told, sizeof session->told, "%s", what);
    }
}

void agent_sessions_add(agent *a, uint64_t now_ns)
{
    bool unfit = false;
    for (size_t i = 0; i < a->count; i++) {
        agent_session *session = &a->sessions[i];
        if (session->state != AGENT_TO_ADD || now_ns < session->next_ns)
            continue;
        add(a, session, now_ns);
        unfit = unfit || (session->state == AGENT_TO_ADD && session->unfit);
    }
    if (!unfit)
        return;
    nsp_sessions_each(a->config.shm_dir, note_dead, a);
    tell_those_that_drain_themselves(a);
}
