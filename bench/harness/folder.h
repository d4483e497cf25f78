// SPDX-License-Identifier: Apache-2.0
//
// A folder for what a process of ours writes: in TMPDIR, or else /tmp.
#ifndef NSP_BENCH_FOLDER_H
#define NSP_BENCH_FOLDER_H

#include <stdbool.h>

enum { FOLDER_PATH = 256 };

// False where none can be made; errno says why.
bool folder_make(char path[FOLDER_PATH]);

// With all that is in it. Waits up to two seconds for one who still writes there.
void folder_remove(const char *path);

#endif
