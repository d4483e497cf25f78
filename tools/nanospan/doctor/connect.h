// SPDX-License-Identifier: Apache-2.0
//
// Name lookups, connections, and what the other end replies to a probe; each has a time limit.
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

// Resolves the host, which may be [IPv6]. Returns the number of addresses, or 0 and a message in `error`. The
// lookup runs in a thread of its own, which is left behind if the name server does not answer in time.
size_t connect_resolve(const char *host, const char *port, connect_address out[CONNECT_ADDRESSES_MAX],
                       uint64_t timeout_ns, char *error, size_t size);

// Connects to all of them at once, notes the results in `error`, and closes the connections.
void connect_try(connect_address *addresses, size_t count, uint64_t timeout_ns);

// Makes the address of a Unix socket; false if the name is too long.
bool connect_unix_address(connect_address *out, const char *name, bool abstract);

// What the first bytes of a reply show.
typedef enum connect_reply {
    REPLY_NONE,   // not connected
    REPLY_SILENT, // no byte within the time limit
    REPLY_CLOSED, // the connection was closed without a byte
    REPLY_HTTP1,
    REPLY_HTTP1_ASKS_FOR_TLS, // HTTP/1 whose text says that the port expects TLS
    REPLY_HTTP2,
    REPLY_TLS,
    REPLY_OTHER,
} connect_reply;

// Connects, sends the bytes, and classifies the reply.
connect_reply connect_probe(const connect_address *address, const void *bytes, size_t length,
                            uint64_t timeout_ns);

#endif
