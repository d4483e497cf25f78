// SPDX-License-Identifier: Apache-2.0
//
// The sending half of the exporter `otlp`, used as the core uses it: configured, created, asked to send.
#ifndef NSP_TESTS_OTLP_SENDER_H
#define NSP_TESTS_OTLP_SENDER_H

#include <nanospan/exporter.h>

#define MS 1000000ull

// PATIENCE_MS: for a request that gets its answer. On a busy machine a thread may have to wait for seconds
// until it goes on, at any moment and at either end.
enum { BODY = 200 * 1024, PATIENCE_MS = 60000 };

typedef struct otlp_sender {
    nsp_config config; // for 127.0.0.1, PATIENCE_MS per request; change it before create
    nsp_exporter_context context;
    char endpoint[128];
    void *exporter;
    int cancel;
    uint8_t body[BODY]; // compressible, but not just one repeated byte
    nsp_send_report report;
    char last_line[512]; // the last line that was logged
    int lines;
} otlp_sender;

// Use only one at a time, because log lines go to the one that was prepared last.
void otlp_sender_prepare(otlp_sender *sender, unsigned port);
nsp_status otlp_sender_create(otlp_sender *sender);
void otlp_sender_must_create(otlp_sender *sender); // fails the test if create fails
void otlp_sender_destroy(otlp_sender *sender);

// Sends that many bytes of the body. The first 16 bytes of a batch are left free, which an encoder does too.
nsp_send_result otlp_sender_send(otlp_sender *sender, size_t length, unsigned timeout_ms);

// Fails the test unless the report of the last send contains this text.
void otlp_sender_expect(const otlp_sender *sender, const char *text);

uint64_t now_ns(void); // CLOCK_MONOTONIC

#endif
