// SPDX-License-Identifier: Apache-2.0
//
// The texts of a copy: names, and the resource.
#ifndef NSP_OUTSIDE_SESSION_TEXTS_H
#define NSP_OUTSIDE_SESSION_TEXTS_H

#include "outside/session/session_copy.h"

// Copies the texts of the names that are in copy->control. False: no memory, and `problem` says so.
bool nsp__session_texts_read(nsp__session_copy *copy);

#endif
