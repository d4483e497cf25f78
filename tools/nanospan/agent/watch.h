// SPDX-License-Identifier: Apache-2.0
//
// The folder of this user's sessions: who is in it, and when that changes. It may come, go and come again
// while it is watched.
#ifndef NANOSPAN_AGENT_WATCH_H
#define NANOSPAN_AGENT_WATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct agent_watch {
    char above[PATH_MAX];  // the folder of all users' folders: NSP_SHM_DIR
    char folder[PATH_MAX]; // this user's in it
    int fd;                // readable when something may have changed; -1: the kernel has no watch left
    int on_folder, on_above;
    char told[PATH_MAX + 100]; // what was said last about the folder itself
} agent_watch;

// False after a message: the path is too long.
bool agent_watch_open(agent_watch *watch, const char *shm_dir);
void agent_watch_close(agent_watch *watch);

// Forgets what has happened until now, and watches the folder or, while there is none, the one above it.
// Whoever lists the folder afterwards misses nothing.
void agent_watch_renew(agent_watch *watch);

// Called with the name of each directory that may be a session.
typedef void (*agent_watch_visit)(void *argument, const char *name);

// A folder that is missing is empty. One that others may access is not read, because they could replace what is
// in it; that is said once. False: it could not be read, or not to its end.
bool agent_watch_list(agent_watch *watch, agent_watch_visit visit, void *argument);

#endif
