// SPDX-License-Identifier: Apache-2.0
//
// A file that is written as a whole: it is there, with its name, when it is complete, and otherwise not. Until then it
// is FILE.part, beside its place; if SIGINT, SIGTERM or SIGHUP ends the process, that is removed. What FILE was before
// is replaced. A FILE that is a device or a pipe, and -, which is standard output, are written directly.
#ifndef NANOSPAN_SUPPORT_OUTPUT_FILE_H
#define NANOSPAN_SUPPORT_OUTPUT_FILE_H

#include "text.h"
#include <stdio.h>
#include <sys/types.h>

typedef struct output_file {
    const char *name; // for messages
    FILE *stream;
    char *place; // FILE without symbolic links, and FILE.part; NULL: written directly
    char *part;
    uint64_t length; // written so far
    int error;       // errno of the first write that failed
} output_file;

// Returns false after printing an error.
bool output_file_open(output_file *file, const char *path);

// A failure is remembered, and reported at the end.
void output_file_write(output_file *file, slice piece);

// Writes what is left, closes the file and gives it its name. Returns false after printing an error if that, or a write
// before, failed; nothing is left behind then.
bool output_file_finish(output_file *file);

// Writes a file of one line with this mode, less the umask; readers find nothing or all of it. Returns false after
// printing an error.
bool output_file_line(const char *path, mode_t mode, const char *line);

// Closes the file, which is to be left incomplete, and removes it.
void output_file_drop(output_file *file);

#endif
