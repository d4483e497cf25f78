// SPDX-License-Identifier: Apache-2.0
//
// A message on a gRPC stream: one byte that says whether it is compressed, four bytes of length, the message.
#ifndef NSP_GRPC_FRAME_H
#define NSP_GRPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NSP__GRPC_PREFIX_BYTES = 5 };

// length: at most UINT32_MAX.
void nsp__grpc_prefix_write(uint8_t prefix[NSP__GRPC_PREFIX_BYTES], bool compressed, size_t length);

// The one message of a reply, unpacked.
typedef struct nsp__grpc_message {
    const uint8_t *bytes; // in the reply, or in `unpacked`
    size_t length;
    uint8_t *unpacked; // freed by the caller; NULL: none
} nsp__grpc_message;

// Reads a reply that consists of one message of at most `most` bytes, compressed as `encoding` says (the
// header grpc-encoding; NULL: not compressed). Returns NULL, or what is wrong with the reply; then *message
// is empty.
const char *nsp__grpc_message_read(nsp__grpc_message *message, const uint8_t *reply, size_t length,
                                   const char *encoding, size_t most);

#endif
