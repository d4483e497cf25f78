// SPDX-License-Identifier: Apache-2.0
//
// The process's table of path declarations, and its copy in the session.
#ifndef NSP_TRACE_PATH_DECLARE_H
#define NSP_TRACE_PATH_DECLARE_H

#include "shm/paths.h"

// nsp__path_declare (abi/path.h) enters a declaration. A declaration that is still without a name after it, which
// happens in a signal handler that has interrupted the interning of a name, and while the last number is being given
// away, is to be tried again. One whose head has the number 0 has found no room, for good.

// Copies all declarations into this process's session. To be called when a session begins, before there are spans in it,
// after its names. A declaration that is entered at the same time is not missed. One call at a time.
void nsp__paths_replay(void);

#endif
