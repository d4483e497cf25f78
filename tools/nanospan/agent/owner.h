// SPDX-License-Identifier: Apache-2.0
//
// An agent serves the user that it runs as, and opens nothing of others. As root, which could, it says so.
#ifndef NANOSPAN_AGENT_OWNER_H
#define NANOSPAN_AGENT_OWNER_H

#include <stdbool.h>

// False after messages that say what to do: this is root, and in that folder only others have sessions. endpoint: for
// these messages; NULL: it is not known, or not to be shown.
bool owner_check(const char *shm_dir, const char *endpoint);

// Root only: says once of each other user that there are sessions which this agent leaves alone.
void owner_look(const char *shm_dir, const char *endpoint);

#endif
