// SPDX-License-Identifier: Apache-2.0
//
// Inspecting tracing from outside: which settings are in force and why, and what the engines on this machine
// recorded and lost. `nanospan doctor` uses it. Nothing here needs nsp_init, and nothing here belongs on a
// hot path: the calls allocate, make system calls, and use up to 16 KiB of stack in addition to what the
// visit functions use.
#ifndef NANOSPAN_INSPECT_H
#define NANOSPAN_INSPECT_H

#include <nanospan/base.h>
#include <nanospan/latency.h>
#include <nanospan/outlier.h>
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
    nsp_sampler_source source;
} nsp_session_rule;

// One outlier rule of a session.
typedef struct nsp_session_outlier {
    size_t size; // of this structure, and from one entry of an array to the next
    char pattern[NSP_SAMPLER_PATTERN_MAX + 1];
    nsp_sampler_source source;
    nsp_outlier_rule rule;
} nsp_session_outlier;

typedef enum nsp_thread_state {
    NSP_THREAD_ATTACHED = 0,
    NSP_THREAD_ENDED = 1,  // something of it may still be in its ring
    NSP_THREAD_DRAINED = 2 // it has ended, and its ring is empty
} nsp_thread_state;

// One thread of a session. A thread takes over the place of one that has ended, with its ring: both are one entry
// then, and the numbers are those of both together. See nsp_stats for what they mean.
typedef struct nsp_session_thread {
    size_t size;      // of this structure, and from one entry of an array to the next
    const char *name; // nsp_thread_options.name, at most 31 bytes; "": it has none
    uint32_t tid;     // as gettid returns it in the engine; 0: the thread has ended
    uint32_t slot;    // which place it has: the same in each look at this session
    nsp_thread_state state;
    uint32_t open; // spans on its stack; those that are detached belong to no thread
    uint64_t attempted;
    uint64_t dropped_ring_full, dropped_too_deep, dropped_detached_full, dropped_in_signal;
    uint64_t roots_unsampled, roots_refused;
    uint64_t ring_bytes;     // the size of its ring
    uint64_t ring_fill;      // bytes in it now
    uint64_t ring_fill_peak; // the most bytes that whoever drains has found in it, at the beginning of a pass
} nsp_session_thread;

// How long the local roots of one name took, on all threads in shared memory.
typedef struct nsp_session_latency {
    size_t size; // of this structure, and from one entry of an array to the next
    const char *name;
    nsp_latency latency;
} nsp_session_latency;

// One session: the directory in shared memory of an engine that runs or has died. An engine that shuts down
// removes its own, so a dead one belongs to an engine that was killed, crashed, or went down with its machine;
// or that is drained from outside, and has left it to be drained to its end (`ended`). Texts and arrays are valid
// only during the visit.
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
    nsp_sampler_source rate_source;
    nsp_parent_policy parent_policy;
    const nsp_session_rule *rules; // in the order in which they are tried
    size_t rule_count;
    // The last change of the sampler: by whom, when, and by which process, as that sees and calls itself. Before any
    // change this is the engine, when it began to trace. UNKNOWN, 0 and "": the session does not say it.
    nsp_sampler_source changed_by;
    uint32_t changed_pid;
    uint64_t changed_unix_ns;
    const char *changed_process; // at most 31 bytes

    // What nsp_stats_get would return in the engine, except for what lies in its private memory:
    // names_overflowed is 0, clock_error_ns is 0 if the session is dead, and the threads counted by
    // threads_private, for which shared memory had no room, are missing from the other counters, except for
    // their spans in the batches of a dead session.
    union {
        nsp_stats stats;
        uint64_t stats_room[128]; // what follows stays where it is when nsp_stats gets more members
    };

    // Set whatever `problem` says.
    bool other_version; // `problem` names another version of nanospan, which can read it
    bool set_aside;     // two recoveries failed: nsp_recovery_set_aside in <nanospan/recover.h>
    bool not_started; // its engine is starting, or died while it did, or it is half removed: nothing is in it

    // The spans that were begun and neither sent nor dropped: open, in_rings and in_batches of `stats`. 0 if
    // `problem` is set.
    uint64_t unsent;

    // Who drains it; all 0 if `problem` is set. `drained` is also true while another process recovers it.
    bool external; // drained from outside (NSP_COLLECTOR_EXTERNAL), and not by its engine
    bool ended;    // external: the engine has ended in order, and left it to whoever drains or recovers it
    bool drained;  // external, or of a dead engine: another process is at work on it at this moment
    uint32_t drainer_pid; // external: of the last process that drained it, as that sees itself; 0: none yet
    uint64_t drainer_idle_ns; // external: since it last passed over the rings, to about 100 ms; 0: never
    double ring_fill;         // how full the fullest ring is; 0 to 1

    // When it was read: CLOCK_MONOTONIC, in nanoseconds. The differences of two looks give rates. Set whatever
    // `problem` says.
    uint64_t read_ns;

    // The limit (nsp_sampler_set_limit), and by how much it lowers the rates at this moment: each of them is multiplied
    // by the factor. `rate`, and those of the rules, are as they were set.
    double limit; // traces a second; 0: none
    nsp_sampler_source limit_source;
    double limit_factor; // more than 0, at most 1; 1: nothing is lowered

    // The threads in shared memory, by place; NULL and 0 if `problem` is set. Whatever an attached thread does while it
    // is read, `attempted` is the number that was read last.
    const nsp_session_thread *threads;
    size_t thread_count;

    // How long the local roots took that were measured, by name; NULL and 0 if there were none, or if `problem` is set.
    const nsp_session_latency *latencies;
    size_t latency_count;        // at most 256
    uint64_t latency_unmeasured; // roots whose names found no room

    // The outlier rules, in the order in which they are tried; 0 if `problem` is set.
    const nsp_session_outlier *outliers;
    size_t outlier_count;

    // Of a dead session: the bytes of the records in history (history_ns of an outlier rule), which a recovery exports only
    // if it is asked to, like the spans of traces that were not decided, `speculating` of `stats`. 0 if `problem` is set.
    uint64_t history_bytes;
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

// Visits every session of this user under `folder`, at most 1024 of them, and as many that are not complete,
// because their engines are starting, or died while they were. NULL: the folder that this environment names
// (NSP_SHM_DIR). Sessions are read without mapping them and without waiting, so engines do
// not notice. What is read is checked and never trusted. The counters of a running engine change while they
// are read; `attempted` is then at least the sum of the others. Without sessions, or without the folder, the
// result is NSP_OK. NSP_ERR_INVALID if `visit` is NULL, or the path of the folder too long; NSP_ERR_SYSTEM if
// the folder belongs to another user, others may access it, or it cannot be read, for instance because the
// process has too many open files; NSP_ERR_NO_MEMORY. Thread safe; not signal safe.
NSP_API nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument);

#endif
NSP_END_DECLS
#endif
