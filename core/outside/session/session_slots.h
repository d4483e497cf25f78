// SPDX-License-Identifier: Apache-2.0
//
// The slots of a copy.
#ifndef NSP_OUTSIDE_SESSION_SLOTS_H
#define NSP_OUTSIDE_SESSION_SLOTS_H

#include "outside/session/session_copy.h"

// What no session exceeds: bytes from frame to frame, and of a record.
enum { NSP__STRIDE_MAX = 128 * 1024, NSP__RECORD_MAX = 64 * 1024 };

// Copies the slots of all threads, whose places are in copy->control. That some cannot be read is damage.
// False: `problem` says why.
bool nsp__session_slots_read(nsp__session_copy *copy);

// Copies one slot from this place in the file `threads`. False: it cannot be read or is not sane, or the file
// ends before its place does.
bool nsp__session_slot_read(nsp__session_copy *copy, uint32_t index, const nsp__slot_place *place,
                            nsp__slot *slot);

#endif
