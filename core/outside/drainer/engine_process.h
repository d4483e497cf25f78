// SPDX-License-Identifier: Apache-2.0
//
// Is the process of this number the engine? A session says by which number its engine knows itself, and in another PID
// namespace that is another process, or none.
#ifndef NSP_OUTSIDE_ENGINE_PROCESS_H
#define NSP_OUTSIDE_ENGINE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

// False if there is no such process here, or if it has not mapped this session (the name of its directory, which no other
// session has). True also if nobody may look.
bool nsp__engine_process_is(uint32_t pid, const char *session);

#endif
