// SPDX-License-Identifier: Apache-2.0
//
// Looking at tracing from outside: which settings are in force and why, and what the engines of this machine recorded
// and lost. `nanospan doctor` is made of this. Nothing here needs nsp_init; nothing here is for a hot path: all of it
// allocates and makes system calls, and takes up to 16 KiB of stack besides what the visits take.
#ifndef NANOSPAN_INSPECT_H
#define NANOSPAN_INSPECT_H

#include <nanospan/base.h>
#include <nanospan/sampler.h>
#include <nanospan/stats.h>

typedef enum nsp_setting_state {
    NSP_SETTING_UNSET = 0,         // not set, or empty, which is the same
    NSP_SETTING_IN_FORCE = 1,      // its text made the value
    NSP_SETTING_BEATEN = 2,        // a stronger variable of the same member is set
    NSP_SETTING_BAD = 3,           // its text is not accepted, and passed over
    NSP_SETTING_WITHOUT_EFFECT = 4 // accepted, but nothing reads it as things are
} nsp_setting_state;

// One environment variable and what becomes of it. All texts are zero terminated and valid during the visit only.
typedef struct nsp_setting {
    size_t size;
    const char *variable;  // its name
    const char *member;    // the member of nsp_config that it sets
    const char *accepted;  // what it takes, as a phrase
    const char *fallback;  // the default as the variable would say it; "": none
    const char *meaning;   // one line
    const char *text;      // what it is set to; NULL: not set. What may hold a password reads "(not shown)"
    const char *beaten_by; // BEATEN: the variable that is in force instead; else NULL
    const char *value;     // of the member, by the whole environment; masked as `text` is
    // BAD and WITHOUT_EFFECT: why, as a sentence's end. IN_FORCE: which entries of a list are left out, and why; NULL: none
    // are. Else NULL
    const char *problem;
    nsp_setting_state state;
    bool is_default; // no variable of this member is in force
    bool secret;     // `text` and `value` are masked
} nsp_setting;

// Returns false to end the round.
typedef bool (*nsp_setting_visit)(void *argument, const nsp_setting *setting);

// One rule of a session's sampler.
typedef struct nsp_session_rule {
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    double rate; // 0 to 1
} nsp_session_rule;

// One session: the directory in shared memory of an engine, living or dead. An engine that shuts down removes its own,
// so a dead one was killed, crashed, or lost its machine. Texts and arrays are valid during the visit only.
typedef struct nsp_session {
    size_t size;
    const char *name;      // of the directory, up to the process's number: the service, sanitised
    const char *directory; // its path
    uint32_t pid;   // as the engine saw it: another number, where that is in a container; 0: not in the name
    bool alive;     // the engine runs
    uint64_t bytes; // of memory that its files take

    // Why the rest could not be read: another version, damaged, half made, gone meanwhile; NULL: all is there.
    const char *problem;

    // Without a problem only:
    uint64_t start_unix_ns; // when the engine began to trace
    const char *service;    // its resource's service.name
    double rate;            // of roots that match no rule; 0 to 1
    nsp_parent_policy parent_policy;
    const nsp_session_rule *rules; // in the order in which they are tried
    size_t rule_count;

    // As nsp_stats_get would tell, but for what lies in the engine's private memory: names_overflowed is 0,
    // clock_error_ns is 0 of a dead session, and threads_private, the threads for which shared memory had no room, are
    // missing in the rest. Of a dead session, open, in_rings and in_batches are the spans that were not sent.
    nsp_stats stats;
} nsp_session;

typedef bool (*nsp_session_visit)(void *argument, const nsp_session *session);

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Tells of every environment variable that the library knows, strongest first where several set one member. Reads the
// environment anew: an engine that is already running may have seen another one, or been configured in code.
// NSP_ERR_INVALID without `visit`. Not safe while another thread changes the environment; not signal safe.
NSP_API nsp_status nsp_settings_each(nsp_setting_visit visit, void *argument);

// Tells of every session of this user under `folder`; NULL: where this environment puts them (NSP_SHM_DIR). Reads without
// mapping and without waiting: engines do not notice. What is found is checked and never trusted. The accounting of a living
// engine move while they are read: attempted is then at least the sum of the rest. At most 1024 sessions.
// No sessions, or no such folder: NSP_OK. NSP_ERR_INVALID without `visit`; NSP_ERR_SYSTEM for a folder that others may
// write to; NSP_ERR_NO_MEMORY. Thread safe; not signal safe.
NSP_API nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument);

#endif
NSP_END_DECLS
#endif
