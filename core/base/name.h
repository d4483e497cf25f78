// SPDX-License-Identifier: Apache-2.0
//
// The process's table of interned texts, from the inside. <nanospan/name.h> is the contract with users.
#ifndef NSP_BASE_NAME_H
#define NSP_BASE_NAME_H

#include <nanospan/name.h>

// The ids in use run from 1 (the overflow name) to one below this number, which is at most NSP_NAME_MAX. A
// few of them may not be ready yet, and some never become ready. Wait-free, signal safe.
uint32_t nsp__name_count(void);

// Where the text of a name begins among those of all names, which take NSP_NAME_TEXT_MAX bytes. For the hook, of
// the name that it is called for. Wait-free, signal safe.
uint32_t nsp__name_place(nsp_name name);

// True once the name's text may be read, after which it never changes. Every id that was returned to a caller
// is ready. Wait-free, signal safe.
bool nsp__name_ready(nsp_name name);

// A hook for what else a new name needs: its sampler class and its text in the session. It is called on the
// interning thread before the name's id is returned to anybody; NULL for nothing. It must be lock-free and
// signal safe, and give the same result however often it is called: if the thread that adds a name is delayed
// inside the hook, another thread that needs the name calls it too, perhaps at the same time. While a thread
// is inside the hook it cannot intern new names; it gets NSP_NAME_OVERFLOW. Read and written atomically.
extern void (*nsp__name_added)(nsp_name name, const char *text, size_t length);

// Calls the hook for all existing names. To be called after the hook was set, or when its target changes (a
// new session, a new policy). A name that is being added at the same time is not missed: its id is returned
// only after the hook was called for it, after this call began. One call at a time; not signal safe.
void nsp__name_replay(void);

// How often NSP_NAME_OVERFLOW was returned for a text. Never reset.
uint64_t nsp__name_overflowed(void);

#endif
