// SPDX-License-Identifier: Apache-2.0
//
// `nanospan agent`: what its parts share.
#ifndef NANOSPAN_AGENT_AGENT_H
#define NANOSPAN_AGENT_AGENT_H

#include "recovery.h"
#include "support/complain.h"
#include "watch.h"
#include <nanospan/drainer.h>

enum {
    AGENT_SESSIONS_MAX = 1024, // at once; more wait
    AGENT_NAME_MAX = 300,
    AGENT_LINE_MAX = 500,
};

typedef struct agent_options {
    const char *endpoint, *shm_dir; // NULL: as the environment says
    nsp_in_doubt in_doubt;
    uint64_t timeout_ns; // of the end, or of the whole run with --once; 0: the default
    bool once, quiet, speculative;
} agent_options;

// A session of this user, by what the agent does with it next.
typedef enum agent_session_state {
    AGENT_TO_ADD,     // take it over, again and again if that is not possible yet
    AGENT_DRAINS,     // the drainer has it
    AGENT_TO_RECOVER, // its engine died: start a recovery when its time has come
    AGENT_RECOVERS,   // that runs
    AGENT_LEAVES      // nothing more, until its directory is gone
} agent_session_state;

typedef struct agent_session {
    char name[NAME_MAX + 1];    // of its directory
    char label[AGENT_NAME_MAX]; // for people: "execution (pid 4711)", or the directory's name
    char told[AGENT_LINE_MAX];  // the problem that was said last, so that it is said once
    agent_session_state state;
    bool found;      // its directory was there at the last look
    bool unfit;      // it cannot be drained, but perhaps recovered when its engine is dead
    bool itself;     // its engine drains itself
    bool introduced; // the drainer has said which service it is
    bool gone_told;  // that its directory was removed while it is drained
    // --once: what was to be done has been tried; everything that was there is settled; something could not be done.
    bool tried, settled, left;
    uint64_t next_ns;  // CLOCK_MONOTONIC: when to do what the state says
    uint64_t pause_ns; // until the attempt after that one
    uint64_t goal;     // --once: the count of settled spans at which everything that was there is settled
    uint64_t refused;  // traces that its engine had refused when that was said last
    uint64_t refused_next_ns; // when it may be said again
    uint64_t in_doubt;        // spans of which was said that they are sent again
} agent_session;

typedef struct agent {
    const agent_options *options;
    nsp_config config;
    nsp_drainer *drainer;
    agent_watch watch;
    agent_session *sessions;
    size_t count, capacity;
    agent_recovery recovery;
    bool full_told;
    uint64_t rejected, unconfirmed; // spans of the sessions that were drained to their end
} agent;

// Lists the folder: new sessions are noted, and those that are gone are forgotten.
void agent_sessions_look(agent *a);
// Does what is due: takes sessions over, looks for those that have ended, died or failed, starts a recovery if none
// runs, and finishes one that has ended.
void agent_sessions_follow(agent *a, uint64_t now_ns);
// When the next session is due that is to be taken over or recovered; UINT64_MAX: none.
uint64_t agent_sessions_next(const agent *a);
// How many are drained.
size_t agent_sessions_drained(const agent *a);
// Spans that the receiver has refused or may not have, of all sessions until now.
void agent_sessions_lost(const agent *a, uint64_t *rejected, uint64_t *unconfirmed);
// True if a session waits to be recovered.
bool agent_sessions_dead(const agent *a);
// --once: everything that was there has been settled or tried. *left: something could not be done.
bool agent_sessions_done(const agent *a, bool *left);

// Runs until it is told to stop. Returns the exit code.
int agent_run(const agent_options *options);

#endif
