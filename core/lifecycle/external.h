// SPDX-License-Identifier: Apache-2.0
//
// What an engine does itself while another process drains its session (NSP_COLLECTOR_EXTERNAL): it waits for that
// process when it flushes, and says so if nobody drains. It has no thread, and sends nothing.
#ifndef NSP_LIFECYCLE_EXTERNAL_H
#define NSP_LIFECYCLE_EXTERNAL_H

#include <nanospan/config.h>

#include "shm/session.h"

// To be called at the start, before anything is recorded: logs what of the configuration does not count.
void nsp__external_begin(const nsp_config *config);

// Asks whoever drains the session to settle what was published before the call, and waits until that is done.
// Returns at once if everything is settled already, whether somebody drains or not. Gives up at the deadline
// (CLOCK_MONOTONIC ns) and early when *stopping becomes true. True if everything is settled. Any number of threads
// may call it.
bool nsp__external_flush(const nsp__session *session, uint64_t deadline_ns, const bool *stopping);

// Why spans of a session that still exists are not settled, and what becomes of them, as the end of a sentence.
// size: 160 is enough.
void nsp__external_explain(const nsp__session *session, char *text, size_t size);

#endif
