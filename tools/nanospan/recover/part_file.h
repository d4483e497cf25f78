// SPDX-License-Identifier: Apache-2.0
//
// The file of --output: it is written beside its place, under the name FILE.part, and gets its own name when
// it is complete and on the disk.
#ifndef NANOSPAN_RECOVER_PART_FILE_H
#define NANOSPAN_RECOVER_PART_FILE_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct part_file {
    const char *path; // FILE, as it was given
    char *part;       // FILE.part
    char *place;      // where FILE will be: absolute, without symbolic links; NULL: it cannot be told
    int fd;           // of FILE.part, locked; -1: closed
    int folder;       // where it lies, or -1
} part_file;

// Creates FILE.part, which only its owner may read, and takes over the one that an interrupted run has left. Each
// function returns false after a message that says what to do; FILE itself is never replaced.
bool part_file_open(part_file *file, const char *path);

// How long it is now; -1 after a message.
off_t part_file_length(const part_file *file);
// Takes back everything behind this length.
bool part_file_shorten(const part_file *file, off_t length);

// Writes it to the disk.
bool part_file_sync(const part_file *file);
// Gives it its name. Then it is complete: that its name could not be written to the disk is only said.
bool part_file_finish(part_file *file);

// Removes FILE.part if it still exists.
void part_file_close(part_file *file);

#endif
