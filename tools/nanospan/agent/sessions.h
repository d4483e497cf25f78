// SPDX-License-Identifier: Apache-2.0
//
// One session in the agent's table.
#ifndef NANOSPAN_AGENT_SESSIONS_H
#define NANOSPAN_AGENT_SESSIONS_H

#include "agent.h"
#include "common/time.h"

#define AGENT_LONGEST_PAUSE_NS (60 * NSP__SECOND) // between two attempts, whatever fails

enum { AGENT_DIRECTORY_MAX = PATH_MAX + NAME_MAX + 2 };

// The session in this directory; NULL: it is not in the table. Valid until the next look.
agent_session *agent_session_find(const agent *a, const char *directory);

// Writes the path of its directory into `path`, which has AGENT_DIRECTORY_MAX bytes, and returns it.
const char *agent_session_directory(const agent *a, const agent_session *session, char *path);

// Says a problem, as the end of a sentence about the session, if it is not the one that was said last.
void agent_session_tell(agent_session *session, const char *problem);

// Sets when to do the next attempt: after a pause that doubles each time, and is at most `longest_ns`.
void agent_session_try_later(agent_session *session, uint64_t now_ns, uint64_t longest_ns);

// From now on it is to be recovered.
void agent_session_expect_recovery(agent_session *session, uint64_t now_ns);

// Takes over those whose time has come.
void agent_sessions_add(agent *a, uint64_t now_ns);

#endif
