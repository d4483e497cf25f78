// SPDX-License-Identifier: Apache-2.0
//
// Ends a process in which only threads of this library are left. When the main thread ends by pthread_exit,
// the process lives until its last thread ends, and then exits with exit(0). Our threads must not keep it
// alive, so one of them ends the process once no other threads are left.
#ifndef NSP_BASE_ALONE_H
#define NSP_BASE_ALONE_H

#include <nanospan/base.h>

#define NSP__ALONE_CHECK_NS UINT64_C(250000000)

// Called by each of our threads about every NSP__ALONE_CHECK_NS. Takes one system call while the main thread
// lives. When only threads of this library are left, counting all copies of it in the process, it starts a
// thread that accepts all signals and calls exit(0).
void nsp__alone_check(void);

#endif
