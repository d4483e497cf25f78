// SPDX-License-Identifier: Apache-2.0
//
// How long local roots took in another process.
#ifndef NSP_OUTSIDE_SESSION_LATENCIES_H
#define NSP_OUTSIDE_SESSION_LATENCIES_H

#include <nanospan/inspect.h>

#include "outside/session/session_copy.h"

// The most names; roots of others count as unmeasured.
enum { NSP__SESSION_LATENCIES_MAX = 256 };

// Reads the histograms of all threads and adds them up, by name, in the order in which names are found. *out:
// to be freed; NULL: none. Its texts belong to the copy. Histograms that cannot be read, or have no name, are
// left out. False: no memory, and `problem` says so.
bool nsp__session_latencies(nsp__session_copy *copy, nsp_session_latency **out, size_t *count,
                            uint64_t *unmeasured);

#endif
