// SPDX-License-Identifier: Apache-2.0
//
// Sends batches into a file descriptor: a file, a pipe, a terminal. The sender thread's alone.
#ifndef NSP_TEXT_OUTPUT_H
#define NSP_TEXT_OUTPUT_H

#include <nanospan/exporter.h>
#include <sys/types.h>

typedef struct nsp__output {
    int fd;           // -1: none
    const char *path; // where to open it again if it is lost; NULL: it is not ours to open and close
    // The open file that it was. The application may close descriptors that are not its own, and get the number for a file
    // of its own.
    dev_t device;
    ino_t inode;
    int flags;
    const int *cancel; // of the context; NULL: never
    const char *label; // of the destination, for reports
    // How far the batch that was interrupted last has come, and which one that is: it is continued when it is sent
    // again, and its torn line is ended if it never is.
    size_t done;
    const uint8_t *data;
    uint64_t first_ns;
    bool torn; // what was there before us ends in the middle of a line: that line is ended first
} nsp__output;

// Opens output->path to append to it, making the file if there is none. 0, or an errno value.
int nsp__output_open(nsp__output *output);

// Closes what nsp__output_open opened, unless the descriptor stands for something else by now.
void nsp__output_close(nsp__output *output);

// As nsp_exporter.send. RETRY where writing failed or the deadline came first; REJECTED where the reader of a pipe is gone
// (SIGPIPE must be blocked or ignored).
nsp_send_result nsp__output_send(nsp__output *output, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report);

#endif
