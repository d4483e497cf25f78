// SPDX-License-Identifier: Apache-2.0
//
// For tests of recovery: engines that die, and an exporter that keeps what a recovery sends, with the texts of
// names that its context gives. There is one such exporter per process.
#ifndef NSP_TESTS_RECOVERED_H
#define NSP_TESTS_RECOVERED_H

#include <nanospan/exporter.h>
#include <nanospan/nanospan.h>

#include "support/session_dir.h"

typedef struct recovered_span {
    char name[24];
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint64_t span_id, parent_id;
    uint64_t start_ns, end_ns;
    int64_t number;      // of the attribute "number"; INT64_MIN: none
    char text[48];       // of the attribute "text"; "": none
    char kept[16];       // of nanospan.kept; "": none
    int64_t left_out;    // of nanospan.left_out; 0: none
    unsigned attributes; // without nanospan.unfinished
    bool unfinished;     // nanospan.unfinished is true
} recovered_span;

typedef struct recovered_script {
    nsp_send_result answer; // of each send; EXPORTED and UNKNOWN keep the spans
    uint64_t accepted_max;  // this many sends get that answer, then RETRY; 0: all
    // Not 0: the first send takes so many spans, reports them as a part, and answers RETRY; the later ones are
    // about the rest.
    uint32_t part;
    int error;                               // of each report
    void (*sending)(const nsp_batch *batch); // called in each send; NULL: none
    uint64_t sends;
    uint64_t returned;   // atomic: sends that are over
    char resource[4096]; // "key=value\n" for each attribute
} recovered_script;

extern recovered_script recovered;
extern const nsp_exporter recovered_exporter;

// Forgets all spans, and restores the initial script.
void recovered_reset(void);

// A cmocka setup and teardown: make_directory and remove_directory (session_fixture.h), with nothing
// recovered.
int recovered_set_up(void **state);
int recovered_tear_down(void **state);

size_t recovered_count(void);
const recovered_span *recovered_at(size_t index);
size_t recovered_named(const char *name);
size_t recovered_unfinished(void);
// Those of which nanospan.kept says this.
size_t recovered_kept(const char *why);
// The number of distinct span ids.
size_t recovered_distinct(void);

// Forks an engine that dies by SIGKILL in `body`, and writes the path of its session.
void engine_dies(const char *folder, void (*body)(void *), void *argument, char session[SESSION_PATH_MAX]);
// In the engine: the process kills itself at the nth visit of the testpoint.
void die_at(const char *point, int visit);

// Opens the session; fails the test if it cannot be recovered.
nsp_recovery *recovery_of(const char *session);
// Its account; fails the test unless everything that was found has become something.
nsp_recovery_account accounted(const nsp_recovery *recovery);
// All spans that it knows, except those lost in the crash.
uint64_t settled_of(const nsp_recovery_account *account);
// Its account; fails the test if that is not balanced.
nsp_recovery_account balanced(const nsp_recovery *recovery);
// Opens the session, exports with recovered_exporter, and closes it. Returns the account.
nsp_recovery_account recover_with(const char *session, nsp_in_doubt in_doubt);
// The same with NSP_IN_DOUBT_SEND.
nsp_recovery_account recover_all(const char *session);

#endif
