// SPDX-License-Identifier: Apache-2.0
//
// How a gRPC call ended.
#ifndef NSP_GRPC_STATUS_H
#define NSP_GRPC_STATUS_H

#include <nanospan/base.h>

typedef enum nsp__grpc_code {
    NSP__GRPC_OK = 0,
    NSP__GRPC_CANCELLED = 1,
    NSP__GRPC_UNKNOWN = 2,
    NSP__GRPC_INVALID_ARGUMENT = 3,
    NSP__GRPC_DEADLINE_EXCEEDED = 4,
    NSP__GRPC_NOT_FOUND = 5,
    NSP__GRPC_ALREADY_EXISTS = 6,
    NSP__GRPC_PERMISSION_DENIED = 7,
    NSP__GRPC_RESOURCE_EXHAUSTED = 8,
    NSP__GRPC_FAILED_PRECONDITION = 9,
    NSP__GRPC_ABORTED = 10,
    NSP__GRPC_OUT_OF_RANGE = 11,
    NSP__GRPC_UNIMPLEMENTED = 12,
    NSP__GRPC_INTERNAL = 13,
    NSP__GRPC_UNAVAILABLE = 14,
    NSP__GRPC_DATA_LOSS = 15,
    NSP__GRPC_UNAUTHENTICATED = 16
} nsp__grpc_code;

// For example "UNAVAILABLE"; "UNKNOWN" for a number that is not a code.
const char *nsp__grpc_code_name(nsp__grpc_code code);

// Reads the text of grpc-status; a number that is not a code counts as UNKNOWN. False: the text is not a
// number.
bool nsp__grpc_code_read(const char *text, nsp__grpc_code *code);

// The code that stands for an HTTP status, and for the code with which HTTP/2 reset the stream. For answers
// without a grpc-status.
nsp__grpc_code nsp__grpc_code_of_http(unsigned status);
nsp__grpc_code nsp__grpc_code_of_reset(unsigned reset_code);

// Writes the text of grpc-message as one line, cut between characters: percent escapes are decoded, and what
// is not printable becomes a space.
void nsp__grpc_message_text(char *out, size_t size, const char *text);

// Looks for a RetryInfo in the text of grpc-status-details-bin, which may be NULL, and for the delay that it
// asks for, at most a day. One that makes no sense (a negative delay, or not a duration) counts as none.
bool nsp__grpc_retry_info(const char *text, uint64_t *delay_ns);

#endif
