// SPDX-License-Identifier: Apache-2.0
//
// One session seen from outside: its files are copied into private memory, and nothing in them is trusted.
#ifndef NSP_OUTSIDE_SESSION_READER_H
#define NSP_OUTSIDE_SESSION_READER_H

#include <limits.h>
#include <nanospan/inspect.h>

// The view, and the memory that its texts and arrays point to.
typedef struct nsp__session_reading {
    nsp_session seen;
    char name[NAME_MAX + 1];
    char directory[PATH_MAX];
    char service[256];
    char problem[160];
    nsp_session_rule rules[NSP_SAMPLER_RULES_MAX];
} nsp__session_reading;

// Reads the session `name` in the folder `folder`, which is open as folder_fd. False if there is no session
// of that name (any more), or no memory to read it (errno is then ENOMEM).
bool nsp__session_read(nsp__session_reading *out, int folder_fd, const char *folder, const char *name);

#endif
