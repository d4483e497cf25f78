// SPDX-License-Identifier: Apache-2.0
//
// What the library knows of forks before, while and after its handlers of fork run.
#ifndef NSP_BASE_FORK_H
#define NSP_BASE_FORK_H

#include <nanospan/base.h>

// Not 0 in a process whose memory is its own; 0 in the child of a fork until the library's handler has run there, which it never
// does after _Fork or a bare clone.
// Known to be in this library, so that to look is three instructions.
extern uint32_t *nsp__process_mark __attribute__((visibility("hidden")));

// True in such a child. What leads into the session's memory leads to nowhere there, so everything that may be called at
// such a moment, and is not on the hot path, looks first.
static inline bool nsp__process_copied(void)
{
    return __atomic_load_n(nsp__process_mark, __ATOMIC_RELAXED) == 0;
}

// In the child, by the library's handler: this process is one of its own from now on.
void nsp__process_claim(void);

// True while this thread forks and the library's handlers hold its mutexes: what another library's handlers call at that time
// must not wait for them.
extern __thread bool nsp__forking __attribute__((tls_model("initial-exec")));

#endif
