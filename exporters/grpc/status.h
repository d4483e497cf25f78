// SPDX-License-Identifier: Apache-2.0
//
// How a call ended.
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

// "UNAVAILABLE"; of a number that is none, "UNKNOWN".
const char *nsp__grpc_code_name(nsp__grpc_code code);

// From the text of grpc-status; a number that is no code is UNKNOWN. False: no number.
bool nsp__grpc_code_read(const char *text, nsp__grpc_code *code);

// Where there is no grpc-status: from the HTTP status, and from the code with which HTTP/2 reset the stream.
nsp__grpc_code nsp__grpc_code_of_http(unsigned status);
nsp__grpc_code nsp__grpc_code_of_reset(unsigned reset_code);

// Writes the text of grpc-message as one line: percent escapes undone, of what is not printable a space. Cut at a character.
void nsp__grpc_message_text(char *out, size_t size, const char *text);

// From the text of grpc-status-details-bin, which may be NULL: is there a RetryInfo, and what delay does it ask for? One
// that makes no sense (negative, or no duration) counts as none. Capped at a day.
bool nsp__grpc_retry_info(const char *text, uint64_t *delay_ns);

#endif
