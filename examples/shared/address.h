// SPDX-License-Identifier: Apache-2.0
//
// Addresses in text form: "127.0.0.1:7700", "[::1]:7700", "7700" (on 127.0.0.1) or "unix:/path/of/socket".
#ifndef EXAMPLES_ADDRESS_H
#define EXAMPLES_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

// Opens a listening, non-blocking socket. On failure, prints a line on standard error and returns -1. Port 0
// takes any free port. *actual receives the address that others can connect to.
int address_listen(const char *text, char *actual, size_t actual_size);

// Opens a connected socket. If there is no server yet, tries again for wait_ms milliseconds. On failure,
// prints a line on standard error and returns -1.
int address_connect(const char *text, int wait_ms);

// Sends small packets at once (TCP_NODELAY). No effect on a Unix socket.
void address_no_delay(int fd);

// Writes one line of text to a file that appears complete, because other processes wait for it. On failure,
// prints a line on standard error and returns false.
bool address_write_file(const char *path, const char *text);

#endif
