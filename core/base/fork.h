// SPDX-License-Identifier: Apache-2.0
//
// What the library knows about forks before, during and after its own fork handlers.
#ifndef NSP_BASE_FORK_H
#define NSP_BASE_FORK_H

#include <nanospan/base.h>

// Not 0 in a normal process. 0 in the child of a fork until the library's fork handler has run there; after
// _Fork or a bare clone it never runs. Hidden visibility, so that reading it takes three instructions.
extern uint32_t *nsp__process_mark __attribute__((visibility("hidden")));

// True in such a child, where pointers into the session's memory are invalid. Every function outside the hot
// path that may be called at such a moment checks this first.
static inline bool nsp__process_copied(void)
{
    return __atomic_load_n(nsp__process_mark, __ATOMIC_RELAXED) == 0;
}

// Makes that mark, when the library is loaded. A program may start tracing in a constructor of its own that runs before
// those of the library, so it is made before there are threads then, and not while they look at it.
void nsp__process_prepare(void);

// Called by the library's fork handler in the child: from now on the process counts as a normal one.
void nsp__process_claim(void);

// Different in each child in which that handler has run. Before and after a call of foreign code, together
// with nsp__process_copied, it tells whether the call has come back in a child.
uint32_t nsp__process_number(void);

// True while this thread forks and the library's handlers hold its mutexes. Whatever the fork handlers of
// other libraries call during that time must not wait for those mutexes.
extern __thread bool nsp__forking __attribute__((tls_model("initial-exec")));

#endif
