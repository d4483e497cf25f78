// SPDX-License-Identifier: Apache-2.0
//
// Every public call that locks, waits or logs begins with this. Until the call returns
// - its thread cannot be cancelled: a cancelled thread would leave behind a lock or a count that others wait
//   for;
// - its log lines are kept, and written at the very end: the callback belongs to the application and may
//   want a lock whose holder is waiting for one of ours.
#ifndef NSP_BASE_CALL_H
#define NSP_BASE_CALL_H

#include <nanospan/base.h>

typedef struct nsp__call {
    int cancel_state; // the state before the call
    bool counted;
} nsp__call;

// The first line of such a function. The effect ends with the enclosing block.
#define NSP__COLD_CALL                                                                                       \
    nsp__call nsp__cold_call __attribute__((cleanup(nsp__call_end), unused)) = nsp__call_begin(true)
// Protects only against cancellation. For functions that hold nothing which a call of ours from within them
// would need.
#define NSP__NO_CANCEL                                                                                       \
    nsp__call nsp__cold_call __attribute__((cleanup(nsp__call_end), unused)) = nsp__call_begin(false)

nsp__call nsp__call_begin(bool counted);
void nsp__call_end(nsp__call *call);

// How many cold calls this thread is inside. More than one means that an exporter or a signal handler called
// us during the first one.
unsigned nsp__call_depth(void);

// Tells our own threads from those of the application: a call must not wait for the thread that makes it.
typedef enum nsp__thread_kind {
    NSP__THREAD_FOREIGN,
    NSP__THREAD_COLLECTOR,
    NSP__THREAD_SENDER
} nsp__thread_kind;
void nsp__call_thread(nsp__thread_kind kind); // on the thread itself
nsp__thread_kind nsp__call_thread_kind(void);

// To be called inside a cold call. NSP_OK if the call may wait for other threads; otherwise NSP_ERR_INVALID,
// with a detail text.
nsp_status nsp__call_may_wait(const char *function);

#endif
