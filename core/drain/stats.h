// SPDX-License-Identifier: Apache-2.0
//
// The books, read from the session.
#ifndef NSP_DRAIN_STATS_H
#define NSP_DRAIN_STATS_H

#include <nanospan/stats.h>

#include "store/session.h"

// Fills the whole struct. Counters are read from the end of the pipeline to its beginning, so that while spans move on
// attempted is at least the sum of the rest.
void nsp__stats_read(nsp_stats *out, const nsp__session *session);

#endif
