// SPDX-License-Identifier: Apache-2.0
//
// A slow receiver of spans, for an engine that will be killed: HTTP, or a pipe that the exporter "file" writes to.
#ifndef NSP_TESTS_CRASH_RECEIVER_H
#define NSP_TESTS_CRASH_RECEIVER_H

#include "support/crash_spans.h"

typedef enum crash_target { CRASH_TO_PIPE, CRASH_TO_PROTOBUF, CRASH_TO_JSON, CRASH_TARGETS } crash_target;

typedef struct crash_receiver crash_receiver;

// Starts it. delay_ms: before each answer; a pipe is read in steps that are a tenth of it apart. limit: HTTP
// requests of more bytes are refused with 413, and every second one of the others with 503;
// SIZE_MAX: none. directory: for the pipe. service: the one that all spans come from. NULL: failed, with errno set.
crash_receiver *crash_receiver_start(crash_target target, unsigned delay_ms, size_t limit,
                                     const char *directory, const char *service);

// What the engine is configured with: exporter, endpoint or file, protocol.
const char *crash_receiver_exporter(const crash_receiver *receiver);
const char *crash_receiver_endpoint(const crash_receiver *receiver);
const char *crash_receiver_protocol(const crash_receiver *receiver);

// Once the engine is dead: stops, and writes what it has sent completely, whether it was answered or not, in the
// order in which it came. NULL does nothing.
void crash_receiver_stop(crash_receiver *receiver, crash_spans *received);

#endif
