// SPDX-License-Identifier: Apache-2.0
//
// `nanospan doctor`: what its sections share. Each section is a source file that looks at one thing and tells findings;
// doctor/report.c keeps them and shows them at the end.
#ifndef NANOSPAN_DOCTOR_DOCTOR_H
#define NANOSPAN_DOCTOR_DOCTOR_H

#include "support/text.h"
#include "common/time.h"
#include <nanospan/exporters.h>
#include <nanospan/nanospan.h>
#include <stdio.h>

typedef enum doctor_level {
    DOCTOR_OK,
    DOCTOR_NOTE, // worth knowing, nothing to be done
    DOCTOR_WARN, // works, but not as it should, or not for long
    DOCTOR_FAIL, // spans do not arrive
} doctor_level;

typedef struct doctor_finding {
    const char *group;
    const char *check; // a stable name, for programs that read the JSON
    doctor_level level;
    text line;
    text advice; // lines, each with its newline
} doctor_finding;

// Where spans go, as the exporter understands the configuration.
typedef struct doctor_target {
    bool otlp; // the exporter is otlp; else nothing below counts
    nsp_otlp_target way;
    bool grpc;
    bool protocol_given; // by a variable, not by the endpoint
    char host[256];
    char port[8]; // "" of a Unix socket
    char path[512];
    bool connected;        // something took a connection at
    char address[64];      // this address
    bool spoken;           // the right protocol answered
    int64_t clock_skew;    // seconds that the receiver's clock is ahead of ours;
    bool clock_skew_known; // if it said what time it has
} doctor_target;

typedef struct doctor {
    // Options
    const char *query;
    const char *service;
    bool send;
    uint64_t deadline_ns; // CLOCK_MONOTONIC, of everything

    nsp_config config; // as the environment says
    bool tracing;      // on, and spans go somewhere
    bool to_file;      // the exporter file is among them
    doctor_target target;

    const char *group;
    doctor_finding *findings;
    size_t count, capacity;
    text *secrets; // texts that are never shown
    size_t secret_count, secret_capacity;
} doctor;

// ---- findings ----

// A finding, one line without a newline. Control characters are escaped and secrets taken out later.
void doctor_say(doctor *d, doctor_level level, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// What to do about the last finding: one more line beneath it.
void doctor_advise(doctor *d, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A text that must not be shown, wherever it turns up; short ones would hide half of the report and are let through.
void doctor_hide(doctor *d, const char *secret, size_t length);

doctor_level doctor_worst(const doctor *d);

// Writes the report; with `quiet` only warnings and failures.
bool doctor_print(doctor *d, bool quiet, bool coloured, size_t width);
bool doctor_print_json(doctor *d, bool quiet, int exit_code);
void doctor_free(doctor *d);

// ---- time ----

uint64_t doctor_now(void); // CLOCK_MONOTONIC, ns

// What a step may take: `most`, or what is left of the whole; at least 1 ms.
uint64_t doctor_time(const doctor *d, uint64_t most_ns);

#define DOCTOR_SECOND NSP__SECOND

// ---- sections ----

void doctor_settings(doctor *d);
void doctor_endpoint(doctor *d);
void doctor_span(doctor *d);
void doctor_machine(doctor *d);
void doctor_sessions(doctor *d);

#endif
