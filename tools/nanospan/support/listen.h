// SPDX-License-Identifier: Apache-2.0
//
// A command's listening socket, and the file that tells other programs its port.
#ifndef NANOSPAN_SUPPORT_LISTEN_H
#define NANOSPAN_SUPPORT_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

// Listens on HOST:PORT ([HOST]:PORT for IPv6; port 0: any free port), or on a port of 127.0.0.1 alone, which the option
// was given. Returns the socket and sets *port, or returns -1 after printing an error. *usage is 1 if the address is
// not in that form.
int listen_on(const char *option, const char *address, unsigned *port, int *usage);

// Writes HOST:PORT, with the port that it has become.
void listen_place(char *out, size_t size, const char *address, unsigned port);

// Writes the port and a newline into this file. A reader finds nothing or the whole number. False after a message.
bool listen_write_port(const char *name, unsigned port);

#endif
