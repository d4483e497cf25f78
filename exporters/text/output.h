// SPDX-License-Identifier: Apache-2.0
//
// Writes batches to a file descriptor: a file, a pipe, a terminal. For the sender thread only.
#ifndef NSP_TEXT_OUTPUT_H
#define NSP_TEXT_OUTPUT_H

#include <nanospan/exporter.h>

#include "common/descriptor.h"

typedef struct nsp__output {
    int fd;           // -1: none
    const char *path; // to open it again if it is lost; NULL: not ours to open and close
    // The file that was opened. The application may close descriptors that are not its own, and get the number
    // for a file of its own.
    nsp__file_id id;
    int flags;
    const int *cancel; // of the context; NULL: never
    const char *label; // of the destination, for reports
    // How many bytes of the batch that was interrupted last have been written, and which batch it is. It is
    // continued when it is sent again; if it never is, its torn line is ended.
    size_t done;
    const uint8_t *data;
    uint64_t first_ns;
    bool torn; // the file ended in the middle of a line when it was opened; that line is ended first
} nsp__output;

// Opens output->path for appending, and creates the file if there is none. 0, or an errno value.
int nsp__output_open(nsp__output *output);

// Closes what nsp__output_open opened, unless the descriptor belongs to another file by now.
void nsp__output_close(nsp__output *output);

// Like nsp_exporter.send. RETRY if writing failed or the deadline passed first; REJECTED if the reader of a
// pipe is gone (SIGPIPE must be blocked or ignored). report->error says why writing failed.
nsp_send_result nsp__output_send(nsp__output *output, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report);

#endif
