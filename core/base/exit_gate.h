// SPDX-License-Identifier: Apache-2.0
//
// The end of the process and the libraries that exporters use. Their exit handlers take away what they work
// with, so once the process is exiting no thread of ours may be inside them.
#ifndef NSP_BASE_EXIT_GATE_H
#define NSP_BASE_EXIT_GATE_H

#include <nanospan/base.h>

// Around each call of an exporter's create, send and destroy. False: the process is exiting, do not call it.
bool nsp__exit_enter(void);
void nsp__exit_leave(void);

// The last but one act of a thread of ours that has been inside: its end runs the destructors of what the
// libraries have kept for it. True: it may end, and counts as inside until it has. False: the process is
// exiting, and it has to stay.
bool nsp__exit_end_thread(void);
void nsp__exit_stay(void) __attribute__((noreturn));

// For good: nobody enters any more.
void nsp__exit_close(void);
bool nsp__exit_closed(void);
// After close: waits for those inside, the calling thread excepted. False: not all had left by the deadline
// (CLOCK_MONOTONIC).
bool nsp__exit_wait(uint64_t deadline_ns);

// In the child of a fork: the other threads are not here.
void nsp__exit_fork_child(void);

// Runs `hook` at the process's exit. Exit handlers run in the reverse order of their registration:
// nsp__exit_hook_renew registers it once more, to come before those of a library that was initialised
// meanwhile. The hook then runs more than once.
void nsp__exit_hook(void (*hook)(void));
void nsp__exit_hook_renew(void);

#endif
