// SPDX-License-Identifier: Apache-2.0
//
// A process whose main thread has ended by pthread_exit ends with its last thread, by exit(0). Threads of
// ours must not keep it: when no others are left, one of them ends it so.
#ifndef NSP_BASE_ALONE_H
#define NSP_BASE_ALONE_H

#include <nanospan/base.h>

#define NSP__ALONE_CHECK_NS UINT64_C(250000000)

// Called by a thread of ours about every NSP__ALONE_CHECK_NS. One system call while the main thread lives.
// Where only threads of ours are left, of all copies of this library in the process, it starts a thread that
// takes all signals and calls exit(0).
void nsp__alone_check(void);

#endif
