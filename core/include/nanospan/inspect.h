// SPDX-License-Identifier: Apache-2.0
//
// Inspecting tracing from outside: which settings are in force and why, and what the engines on this machine
// recorded and lost. `nanospan doctor` uses it. Nothing here needs nsp_init, and nothing here belongs on a
// hot path: the calls allocate, make system calls, and use up to 16 KiB of stack in addition to what the
// visit functions use.
#ifndef NANOSPAN_INSPECT_H
#define NANOSPAN_INSPECT_H

#include <nanospan/base.h>
#include <nanospan/sampler.h>
#include <nanospan/stats.h>

typedef enum nsp_setting_state {
    NSP_SETTING_UNSET = 0,         // not set, or empty, which means the same
    NSP_SETTING_IN_FORCE = 1,      // the value comes from its text
    NSP_SETTING_BEATEN = 2,        // a stronger variable of the same member is set
    NSP_SETTING_BAD = 3,           // its text is not accepted and is ignored
    NSP_SETTING_WITHOUT_EFFECT = 4 // its text is accepted, but nothing uses it in this configuration
} nsp_setting_state;

// One environment variable and its effect. All texts are zero terminated and valid only during the visit.
typedef struct nsp_setting {
    size_t size;
    const char *variable; // its name
    const char *member;   // the member of nsp_config that it sets
    const char *accepted; // the accepted values, as a phrase
    const char *fallback; // the default, in the variable's notation; "": none
    const char *meaning;  // one line
    const char *text; // what it is set to; NULL: not set. A text that may hold a password reads "(not shown)"
    const char *beaten_by; // BEATEN: the variable that is in force instead; otherwise NULL
    const char *value;     // the member's value that the whole environment gives; masked like `text`
    // BAD and WITHOUT_EFFECT: the reason, as the end of a sentence. IN_FORCE: which entries of a list are
    // left out and why, or NULL if none are. Otherwise NULL.
    const char *problem;
    nsp_setting_state state;
    bool is_default; // no variable of this member is in force
    bool secret;     // `text` and `value` are masked
} nsp_setting;

// Called once for each variable. Returns false to stop.
typedef bool (*nsp_setting_visit)(void *argument, const nsp_setting *setting);

// One rule of a session's sampler.
typedef struct nsp_session_rule {
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    double rate; // 0 to 1
} nsp_session_rule;

// One session: the directory in shared memory of an engine that runs or has died. An engine that shuts down
// removes its own, so a dead one belongs to an engine that was killed, crashed, or went down with its
// machine. Texts and arrays are valid only during the visit.
typedef struct nsp_session {
    size_t size;
    const char *name;      // the directory's name up to the process id: the service name, sanitised
    const char *directory; // its path
    uint32_t pid;   // as the engine sees it, which differs if it runs in a container; 0: not in the name
    bool alive;     // the engine is running
    uint64_t bytes; // memory that its files use

    // Why the rest could not be read (another version, damaged, incomplete, or gone in the meantime), or
    // NULL.
    const char *problem;

    // The following is set only if `problem` is NULL.
    uint64_t start_unix_ns; // when the engine began to trace, in nanoseconds since 1970
    const char *service;    // service.name of its resource
    double rate;            // sample rate of roots that match no rule; 0 to 1
    nsp_parent_policy parent_policy;
    const nsp_session_rule *rules; // in the order in which they are tried
    size_t rule_count;

    // What nsp_stats_get would return in the engine, except for what lies in its private memory:
    // names_overflowed is 0, clock_error_ns is 0 if the session is dead, and the threads counted by
    // threads_private, for which shared memory had no room, are missing from the other counters. In a dead
    // session, the spans counted by open, in_rings and in_batches were not sent.
    nsp_stats stats;
} nsp_session;

// Called once for each session. Returns false to stop.
typedef bool (*nsp_session_visit)(void *argument, const nsp_session *session);

NSP_BEGIN_DECLS
#ifndef NSP_DISABLE

// Visits every environment variable that the library knows. If several set one member, the strongest comes
// first. The environment is read during the call, so a running engine may have seen a different one, or may
// have been configured in code. NSP_ERR_INVALID if `visit` is NULL. Thread safe unless another thread changes
// the environment; not signal safe.
NSP_API nsp_status nsp_settings_each(nsp_setting_visit visit, void *argument);

// Visits every session of this user under `folder`, at most 1024 of them. NULL: the folder that this
// environment names (NSP_SHM_DIR). Sessions are read without mapping them and without waiting, so engines do
// not notice. What is read is checked and never trusted. The counters of a running engine change while they
// are read; `attempted` is then at least the sum of the others. Without sessions, or without the folder, the
// result is NSP_OK. NSP_ERR_INVALID if `visit` is NULL; NSP_ERR_SYSTEM if others may write to the folder;
// NSP_ERR_NO_MEMORY. Thread safe; not signal safe.
NSP_API nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument);

#endif
NSP_END_DECLS
#endif
