// SPDX-License-Identifier: Apache-2.0
//
// Addresses as people write them: "127.0.0.1:7700", "[::1]:7700", "7700" (on 127.0.0.1) or "unix:/path/of/socket".
#ifndef EXAMPLES_ADDRESS_H
#define EXAMPLES_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

// A listening socket, non-blocking, or -1 with one line about it on standard error. Port 0 takes a free port. *actual
// gets the address that others connect to.
int address_listen(const char *text, char *actual, size_t actual_size);

// A connected socket, or -1 with one line on standard error. A server that is not there yet is tried again for
// wait_ms milliseconds.
int address_connect(const char *text, int wait_ms);

// Small packets go out at once. No effect on a Unix socket.
void address_no_delay(int fd);

// Writes one line of text into a file that appears whole: others wait for it. False with a line on standard error.
bool address_write_file(const char *path, const char *text);

#endif
