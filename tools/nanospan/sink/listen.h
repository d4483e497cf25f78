// SPDX-License-Identifier: Apache-2.0
//
// The sink's listening socket.
#ifndef NANOSPAN_SINK_LISTEN_H
#define NANOSPAN_SINK_LISTEN_H

// Listens on HOST:PORT ([HOST]:PORT for IPv6; port 0: any free port). Returns the socket and sets *port, or
// returns -1 after printing an error. *usage is 1 if the address is not in that form.
int sink_listen(const char *address, unsigned *port, int *usage);

#endif
