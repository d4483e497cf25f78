// SPDX-License-Identifier: Apache-2.0
//
// What every public call does that opens a session by its directory: it finds the folder and the session in
// it, and says in the caller's text why the session cannot be opened.
#ifndef NSP_OUTSIDE_OPENING_H
#define NSP_OUTSIDE_OPENING_H

#include <nanospan/base.h>

#include "outside/session/folder.h"
#include "outside/session/session_copy.h"

typedef struct nsp__opening {
    const char *name; // of the session, in the folder; until that is known, whatever the caller gave
    char *problem;    // the caller's, of this size, not 0
    size_t size;
    char folder[NSP__SESSION_PATH_MAX]; // its path, and after a zero its session's name
} nsp__opening;

// Writes the problem, as the end of a sentence whose subject is the session, and returns `status` with that
// as the error's text.
nsp_status nsp__opening_refuse(nsp__opening *opening, nsp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// The same for a copy that cannot be read.
nsp_status nsp__opening_refuse_copy(nsp__opening *opening, const nsp__session_copy *copy);

// Opens the folder of this session's directory, as nsp__folder_open. *fd is -1 if it fails.
nsp_status nsp__opening_folder(nsp__opening *opening, const char *directory, int *fd);

// Opens the session in that folder; it has to belong to this user alone. *fd is to be closed even if it
// fails.
nsp_status nsp__opening_directory(nsp__opening *opening, int folder, int *fd);

#endif
