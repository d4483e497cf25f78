// SPDX-License-Identifier: Apache-2.0
//
// Base64 as gRPC's binary metadata has it.
#ifndef NSP_GRPC_BASE64_H
#define NSP_GRPC_BASE64_H

#include <stddef.h>
#include <stdint.h>

// A text without padding, to be freed. NULL: out of memory.
char *nsp__base64_encode(const uint8_t *bytes, size_t length);

// The bytes, to be freed; with padding or without. NULL: no base64, or out of memory.
uint8_t *nsp__base64_decode(const char *text, size_t *length);

#endif
