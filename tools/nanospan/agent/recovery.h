// SPDX-License-Identifier: Apache-2.0
//
// Recovers the sessions of engines that died: runs `nanospan recover`, this very program, as a child process,
// one at a time. A child, because a process has one sender, and because a session that brings it down harms
// nobody else.
#ifndef NANOSPAN_AGENT_RECOVERY_H
#define NANOSPAN_AGENT_RECOVERY_H

#include <nanospan/config.h>
#include <nanospan/recover.h>
#include <sys/types.h>

typedef struct agent_recovery {
    pid_t pid;    // 0: none runs
    int output;   // what it prints; -1: it is not read
    int messages; // what it says on standard error
} agent_recovery;

#define AGENT_RECOVERY_NONE                                                                                  \
    {                                                                                                        \
        .pid = 0, .output = -1, .messages = -1                                                               \
    }

typedef struct agent_recovered {
    bool complete;                       // everything of it is settled, and it is removed
    uint64_t exported, unfinished, lost; // spans
    uint64_t left, foreign;              // spans; foreign: part of left, which no other exporter can read
    uint64_t history, undecided;         // spans that were left out, because it was not asked for them
    bool known;                          // these are
    char problem[300];                   // why it is not complete
} agent_recovered;

// How each of them is run.
typedef struct agent_recovery_options {
    const char *endpoint; // NULL: as the environment says
    nsp_in_doubt in_doubt;
    bool speculative;
} agent_recovery_options;

// False: it cannot be started; errno says why.
bool agent_recovery_start(agent_recovery *recovery, const char *directory,
                          const agent_recovery_options *options, const nsp_config *config);

// False: it still runs. Otherwise fills *out.
bool agent_recovery_ended(agent_recovery *recovery, agent_recovered *out);

// Ends a child that runs, in order until the deadline (CLOCK_MONOTONIC), then at once: its session stays as it is.
void agent_recovery_stop(agent_recovery *recovery, uint64_t deadline_ns);

#endif
