// SPDX-License-Identifier: Apache-2.0
//
// `nanospan recover`: what its parts share.
#ifndef NANOSPAN_RECOVER_RECOVER_H
#define NANOSPAN_RECOVER_RECOVER_H

#include "part_file.h"
#include "support/text.h"
#include <nanospan/inspect.h>
#include <nanospan/recover.h>
#include <signal.h>

typedef struct recover_options {
    char **wanted; // service names, process ids and directories; none: all dead sessions
    size_t wanted_count;
    const char *endpoint, *output; // NULL: as the environment says
    nsp_in_doubt in_doubt;
    uint64_t timeout_ns; // for the whole run
    bool list, keep, json;
    bool speculative;
} recover_options;

// A session as it was when the command looked at it. All texts are owned.
typedef struct recover_session {
    char *service; // or, if its resource cannot be read, the directory's name
    char *directory;
    char *problem; // why it cannot be read, or NULL
    uint32_t pid;
    bool alive, other_version, set_aside, not_started;
    bool external, ended, drained; // as those of nsp_session
    uint32_t drainer_pid;
    double ring_fill;
    bool named; // by its process id or directory: then it is not left out for being set aside
    uint64_t bytes, start_unix_ns, unsent, history_bytes;
    nsp_stats stats;
} recover_session;

typedef struct recover_choice {
    recover_session *sessions;
    size_t count, capacity;
    bool none; // this user has no session at all
    // Among those that a service name selects, and left out: how many live, how many of these are drained from
    // outside, and how many of these nobody drains.
    size_t living, living_external, living_undrained;
    size_t
        missing; // process ids and directories without a session; each was complained about, like other names
    char *dead;  // the services that have dead sessions, for a name that matches none; owned
} recover_choice;

// Reads the sessions of this user and keeps those that were asked for, the oldest first; the living only if `every`
// is true, or if they are named. False after a message: their folder cannot be read.
bool recover_choose(recover_choice *out, const recover_options *o, bool every);
void recover_choice_free(recover_choice *choice);

// As root, what belongs to the users of engines is left alone: says which users have some sessions. True if there is one.
bool recover_hint_other_users(const recover_options *o);

bool recover_print_list(const recover_choice *choice, bool json, bool coloured);

// What becomes of the spans of living engines, of which these are drained from outside, and nobody drains these: the
// rest of a sentence whose subject is the engines.
const char *recover_living(size_t living, size_t external, size_t undrained);

// What became of one session.
typedef struct recover_result {
    const recover_session *session;
    nsp_recovery *recovery; // open until its spans are settled; NULL: it could not be opened, or is done
    nsp_recovery_account account;
    bool opened, removed;
    bool again;                            // the same command may recover what is left
    bool gone;                             // another process has recovered it since the command looked
    bool busy;                             // another process is recovering or draining it
    bool target_failed;                    // where its spans were to go: it is of no use to try others
    char damage[NSP_RECOVERY_PROBLEM_MAX]; // what of it is missing, as the end of a sentence, or ""
    char problem[512];                     // as the end of a sentence, or ""
} recover_result;

// Exports the sessions one after the other and fills `results`, one for each. False if something is left.
bool recover_sessions(recover_result *results, const recover_choice *choice, const recover_options *o,
                      const nsp_config *config, part_file *output);

bool recover_balanced(const nsp_recovery_account *account);
// target: where the spans went, for people, or NULL.
bool recover_print_results(const recover_result *results, size_t count, bool json, const char *target);

// The configuration with which spans are exported: the environment's, with what the options say. False after
// a message that says what to do.
bool recover_configure(nsp_config *config, const recover_options *o, const part_file *output);

// Where the spans go, as the user has named it. Its texts belong to the options and the configuration.
const char *recover_target(const recover_options *o, const nsp_config *config);

// Set by SIGINT and SIGTERM.
extern volatile sig_atomic_t recover_stopped;

#endif
