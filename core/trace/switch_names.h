// SPDX-License-Identifier: Apache-2.0
//
// What whoever drains needs of the engine to write context switches into its spans: that they are wanted, and the names.
#ifndef NSP_TRACE_SWITCH_NAMES_H
#define NSP_TRACE_SWITCH_NAMES_H

#include "shm/control.h"

// At a session's start, before its threads begin spans.
void nsp__switch_names_prepare(nsp__control *control, bool wanted);

#endif
