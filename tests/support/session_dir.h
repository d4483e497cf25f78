// SPDX-License-Identifier: Apache-2.0
//
// A folder for a test's sessions, and its contents.
#ifndef NSP_TESTS_SESSION_DIR_H
#define NSP_TESTS_SESSION_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SESSION_PATH_MAX = 600 };

// Makes a new folder for nsp_config.shm_dir, in shared memory if possible, otherwise in /tmp. First removes
// from shared memory what killed tests have left there.
void session_dir_make(char path[SESSION_PATH_MAX]);

// Removes the folder and everything in it.
void session_dir_remove(const char *path);

// The number of sessions of this process's user in the folder.
size_t session_dir_count(const char *path);

// Finds the session of this process; false if there is none.
bool session_dir_of(const char *path, pid_t pid, char session[SESSION_PATH_MAX]);

#endif
