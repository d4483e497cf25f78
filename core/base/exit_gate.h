// SPDX-License-Identifier: Apache-2.0
//
// Keeps our threads out of the libraries that exporters use while the process exits. The exit handlers of
// those libraries free what they work with, so from that moment on no thread of ours may be inside them.
#ifndef NSP_BASE_EXIT_GATE_H
#define NSP_BASE_EXIT_GATE_H

#include <nanospan/base.h>

// To be called around each call of an exporter's create, send and destroy. If nsp__exit_enter returns false,
// the process is exiting and the exporter must not be called.
bool nsp__exit_enter(void);
void nsp__exit_leave(void);

// Called by a thread of ours that has been inside, just before it ends: its end runs the destructors of what
// the libraries keep for the thread. True: the thread may end, and counts as inside until it has ended.
// False: the process is exiting and the thread has to stay, by nsp__exit_stay.
bool nsp__exit_end_thread(void);
void nsp__exit_stay(void) __attribute__((noreturn));

// Closes the gate for good: from now on nobody can enter.
void nsp__exit_close(void);
bool nsp__exit_closed(void);
// To be called after close. Waits for all threads inside except the calling one. False if some were still
// inside at the deadline (CLOCK_MONOTONIC).
bool nsp__exit_wait(uint64_t deadline_ns);

// To be called in the child of a fork, where the other threads do not exist.
void nsp__exit_fork_child(void);

// Runs `hook` when the process exits. Exit handlers run in the reverse order of their registration, so
// nsp__exit_hook_renew registers the hook once more, to run it before the handlers of a library that has been
// initialised in the meantime. The hook then runs more than once.
void nsp__exit_hook(void (*hook)(void));
void nsp__exit_hook_renew(void);

#endif
