// SPDX-License-Identifier: Apache-2.0
//
// Mappings of files that another process may cut short at any moment. Whoever touches a page that is missing
// then gets SIGBUS, which would end this process. A guard holds the mappings of one session. If one of them
// faults, on whatever thread, private zero pages take the place of all of them, at the same addresses: what
// is read from then on is zero, what is written reaches no file, and the guard says that the session is lost.
//
//   who                     may run at the same time as
//   take, map, give_back    everything but themselves, for whatever guard: one thread at a time
//   abandon, lost           everything, except that nobody may use a guard that is given back
//
// The signal must not be blocked where a mapping is touched (nsp__guard_admit): the kernel ends the process
// if it is. A forked child does not have the mappings.
#ifndef NSP_OUTSIDE_SESSION_GUARD_H
#define NSP_OUTSIDE_SESSION_GUARD_H

#include <nanospan/base.h>
#include <signal.h>

typedef struct nsp__guard nsp__guard;

// Installs the handler of SIGBUS, the first time it is called in the process. Faults that concern no guard
// are passed on to what was installed before. False with errno set if that fails.
bool nsp__guard_install(void);

// Lets the signal through to the calling thread, and writes the mask that was in force.
void nsp__guard_admit(sigset_t *before);
// Puts that mask in force again.
void nsp__guard_restore(const sigset_t *before);

// Both: from here to the end of the block.
#define NSP__ADMIT_FAULTS                                                                                    \
    sigset_t signals_before __attribute__((cleanup(nsp__guard_restore), unused));                            \
    nsp__guard_admit(&signals_before)

// A guard without mappings. NULL: no memory.
nsp__guard *nsp__guard_take(void);

// Maps a part of an open file, to be read and written. NULL with errno set.
void *nsp__guard_map(nsp__guard *guard, int fd, uint64_t offset, size_t bytes);

// Puts zero pages in the place of all mappings, as after a fault.
void nsp__guard_abandon(nsp__guard *guard);

// True after a fault or abandon. It stays so. Wait-free.
bool nsp__guard_lost(const nsp__guard *guard);

// Unmaps everything. The guard may be taken again. NULL does nothing.
void nsp__guard_give_back(nsp__guard *guard);

#endif
