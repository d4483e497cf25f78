// SPDX-License-Identifier: Apache-2.0
//
// `nanospan doctor`: what its sections share. Each section is a source file that examines one subject and
// adds findings; doctor/report.c collects them and prints them at the end.
#ifndef NANOSPAN_DOCTOR_DOCTOR_H
#define NANOSPAN_DOCTOR_DOCTOR_H

#include "support/text.h"
#include "common/time.h"
#include <nanospan/exporters.h>
#include <nanospan/nanospan.h>
#include <stdio.h>

typedef enum doctor_level {
    DOCTOR_OK,
    DOCTOR_NOTE, // worth knowing, nothing to do
    DOCTOR_WARN, // works, but not well, or not for long
    DOCTOR_FAIL, // spans do not arrive
} doctor_level;

typedef struct doctor_finding {
    const char *group;
    const char *check; // a stable name, for programs that read the JSON
    doctor_level level;
    text line;
    text advice; // lines, each with a newline
} doctor_finding;

// Where spans go, in the way the exporter reads the configuration.
typedef struct doctor_target {
    bool otlp; // the exporter is otlp; otherwise the rest is unused
    nsp_otlp_target way;
    bool grpc;
    bool protocol_given; // by a variable, not derived from the endpoint
    char host[256];
    char port[8]; // "" for a Unix socket
    char path[512];
    bool connected;         // something accepted a connection at
    char address[64];       // this address
    bool protocol_answered; // the endpoint answered in the configured protocol
    int64_t clock_skew;     // how many seconds the receiver's clock is ahead of ours,
    bool clock_skew_known;  // if the receiver sent its time
} doctor_target;

typedef struct doctor {
    // Options
    const char *query;
    const char *service;
    bool send;
    uint64_t pid;         // whose environment this is; 0: the doctor's own
    uint64_t deadline_ns; // CLOCK_MONOTONIC, for the whole run

    nsp_config config; // read from the environment
    bool tracing;      // on, and spans are exported
    bool external;     // engines of this environment, or the process `pid`, are drained from outside
    bool to_file;      // `file` is among the exporters
    doctor_target target;

    const char *group;
    doctor_finding *findings;
    size_t count, capacity;
    text *secrets; // texts that must never be shown
    size_t secret_count, secret_capacity;
} doctor;

// ---- findings ----

// Adds a finding: one line without a newline. Control characters are escaped now, secrets removed before
// printing.
void doctor_say(doctor *d, doctor_level level, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// Adds a line of advice to the last finding.
void doctor_advise(doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Hides a text wherever it turns up in the report. Texts of fewer than 4 bytes are ignored: they would blank
// out half of the report.
void doctor_hide(doctor *d, const char *secret, size_t length);

doctor_level doctor_worst(const doctor *d);

// Writes the report; with `quiet` only warnings and failures.
bool doctor_print(doctor *d, bool quiet, bool coloured, size_t width);
bool doctor_print_json(doctor *d, bool quiet, int exit_code);
void doctor_free(doctor *d);

// ---- time ----

uint64_t doctor_now(void); // CLOCK_MONOTONIC, ns

// How long a step may take: `most_ns`, or what is left until the deadline if that is less; at least 1 ms.
uint64_t doctor_time(const doctor *d, uint64_t most_ns);

#define DOCTOR_SECOND NSP__SECOND

// ---- sections ----

void doctor_settings(doctor *d);
void doctor_endpoint(doctor *d);
void doctor_span(doctor *d);
void doctor_machine(doctor *d);
void doctor_switches(doctor *d);
void doctor_logout(doctor *d); // a part of it
void doctor_sessions(doctor *d);
void doctor_outliers(doctor *d, const nsp_session *session, const char *service); // a part of it

#endif
