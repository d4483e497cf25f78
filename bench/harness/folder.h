// SPDX-License-Identifier: Apache-2.0
//
// A temporary folder for the files of a child process, in TMPDIR or otherwise in /tmp.
#ifndef NSP_BENCH_FOLDER_H
#define NSP_BENCH_FOLDER_H

#include <stdbool.h>

enum { FOLDER_PATH = 256 };

// Makes a folder. False on failure; errno says why.
bool folder_make(char path[FOLDER_PATH]);

// The same in /dev/shm, for the sessions of other processes.
bool folder_make_in_memory(char path[FOLDER_PATH]);

// Removes the folder with all its contents. Waits up to two seconds if a process still writes there.
void folder_remove(const char *path);

#endif
