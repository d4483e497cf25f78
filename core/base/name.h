// SPDX-License-Identifier: Apache-2.0
//
// The process's table of interned texts, seen from inside. <nanospan/name.h> is the contract with users.
#ifndef NSP_BASE_NAME_H
#define NSP_BASE_NAME_H

#include <nanospan/name.h>

// Ids from 1 (the overflow name) to below this are given out, at most NSP_NAME_MAX; a few of them may not be ready,
// some never. Wait-free, signal safe.
uint32_t nsp__name_count(void);

// True once the name's text may be read; it never changes again then. Every id that a caller was given is ready.
// Wait-free, signal safe.
bool nsp__name_ready(nsp_name name);

// What else a new name needs (its sampler class, its text in the session): called before the name's id is returned to
// anybody, on the thread that interns it; NULL for nothing. Must be lock-free and signal safe, and give the same result
// however often it is called: a thread that meets a name whose first thread was held up inside calls it too, perhaps at
// the same time. Within it this thread interns nothing new (it gets NSP_NAME_OVERFLOW). Read and written atomically.
extern void (*nsp__name_added)(nsp_name name, const char *text, size_t length);

// Calls the hook for all names there are: after it was set, or when what it writes to is another (a new session, a new
// policy). A name that is being added at the same time misses neither: its id is not returned before the hook was called after
// this began. One call at a time; not signal safe.
void nsp__name_replay(void);

// How often NSP_NAME_OVERFLOW was handed out for a text. Never reset.
uint64_t nsp__name_overflowed(void);

#endif
