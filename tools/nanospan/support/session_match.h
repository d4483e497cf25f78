// SPDX-License-Identifier: Apache-2.0
//
// Which sessions does a SESSION on a command line mean? A process id, a session's directory or its name, or a service.
#ifndef NANOSPAN_SUPPORT_SESSION_MATCH_H
#define NANOSPAN_SUPPORT_SESSION_MATCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

bool session_is_number(const char *given);

// True for a process id, if the session has it, and for the whole name of the session's directory. That comes first,
// but a service name may consist of digits too.
bool session_is(const char *directory, uint32_t pid, const char *given);

// True for the service, and for the name of the session's directory up to the process id and the random part.
bool session_of_service(const char *directory, const char *service, const char *given);

// True for what is a directory, if it is neither of the above: it has a slash in it, or is one of a session.
bool session_may_be_directory(const char *given);

// Where the session's directory lies: in nanospan-UID below `folder`, under `name`. Nothing in it is opened, and its
// user may be another one than this.
typedef struct session_place {
    char path[PATH_MAX]; // of the directory itself
    char folder[PATH_MAX];
    const char *name; // in path
    uid_t user;
} session_place;

// False after a message: there is no such directory, or it is none of a session.
bool session_place_of(session_place *out, const char *given);

#endif
