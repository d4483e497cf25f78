// SPDX-License-Identifier: Apache-2.0
//
// The sink's listening socket.
#ifndef NANOSPAN_SINK_LISTEN_H
#define NANOSPAN_SINK_LISTEN_H

// Listens on HOST:PORT ([HOST]:PORT for IPv6; port 0: any free one). Returns the socket and the port that it got, or -1
// after complaining; *usage says whether the address itself was unreadable.
int sink_listen(const char *address, unsigned *port, int *usage);

#endif
