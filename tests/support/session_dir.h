// SPDX-License-Identifier: Apache-2.0
//
// A folder for a test's sessions, and what lies in it.
#ifndef NSP_TESTS_SESSION_DIR_H
#define NSP_TESTS_SESSION_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SESSION_PATH_MAX = 600 };

// Makes a fresh folder, to be used as nsp_config.shm_dir: in shared memory if that can be had, else in /tmp.
// First removes from shared memory what tests that were killed have left there.
void session_dir_make(char path[SESSION_PATH_MAX]);

// Removes it with all that is in it.
void session_dir_remove(const char *path);

// How many sessions there are under it, of this process's user.
size_t session_dir_count(const char *path);

// The session of this process; false if there is none.
bool session_dir_of(const char *path, pid_t pid, char session[SESSION_PATH_MAX]);

#endif
