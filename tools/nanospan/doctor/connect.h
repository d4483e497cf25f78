// SPDX-License-Identifier: Apache-2.0
//
// Names, addresses, connections, and what a stranger at the other end says to a greeting; each with a time limit.
#ifndef NANOSPAN_DOCTOR_CONNECT_H
#define NANOSPAN_DOCTOR_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { CONNECT_ADDRESSES_MAX = 16 };

typedef struct connect_address {
    struct sockaddr_storage socket;
    socklen_t length;
    char shown[64];
    int error; // of connect_try: 0, or an errno
} connect_address;

// Resolves the host, which may be [IPv6]. Returns the number of addresses; 0 with a line in error. A name server that
// never answers is waited for in a thread that is left behind.
size_t connect_resolve(const char *host, const char *port, connect_address out[CONNECT_ADDRESSES_MAX],
                       uint64_t timeout_ns, char *error, size_t size);

// Connects to all of them at once, and closes again.
void connect_try(connect_address *addresses, size_t count, uint64_t timeout_ns);

// The address of a Unix socket; false if the name is too long.
bool connect_unix_address(connect_address *out, const char *name, bool abstract);

// What the first bytes of an answer show.
typedef enum connect_voice {
    VOICE_NONE,   // not connected
    VOICE_SILENT, // no byte in time
    VOICE_CLOSED, // closed without a byte
    VOICE_HTTP1,
    VOICE_HTTP1_WANTS_TLS, // HTTP/1, to say that it wants TLS
    VOICE_HTTP2,
    VOICE_TLS,
    VOICE_OTHER,
} connect_voice;

// Sends the bytes and looks at the answer.
connect_voice connect_greet(const connect_address *address, const void *bytes, size_t length,
                            uint64_t timeout_ns);

#endif
