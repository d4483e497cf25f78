// SPDX-License-Identifier: Apache-2.0
//
// The folders of sessions of other users, which a command leaves alone, also as root.
#ifndef NANOSPAN_SUPPORT_OTHER_USERS_H
#define NANOSPAN_SUPPORT_OTHER_USERS_H

#include "text.h"
#include <sys/types.h>

typedef void (*other_users_visit)(void *argument, const char *folder, uid_t user);

// Visits each folder nanospan-UID in shm_dir that belongs to that user, and that user is not this one. Nothing in
// them is opened.
void other_users_each(const char *shm_dir, other_users_visit visit, void *argument);

// Adds the beginning of a command that runs this program as that user: "sudo -u USER env NSP_SHM_DIR=FOLDER nanospan".
// sudo forgets the variables of the environment, so the command names what it needs. shm_dir: NULL: not the folder.
void other_users_command(text *out, uid_t user, const char *shm_dir);

#endif
