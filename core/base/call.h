// SPDX-License-Identifier: Apache-2.0
//
// What every public call begins with that locks, waits or logs. Until it returns
// - its thread cannot be cancelled: it would leave a lock or a count behind that others wait for;
// - its log lines are kept, and written as its last act: the callback is the application's, and may want a
//   lock whose holder is waiting for one of ours.
#ifndef NSP_BASE_CALL_H
#define NSP_BASE_CALL_H

#include <nanospan/base.h>

typedef struct nsp__call {
    int cancel_state; // before
    bool counted;
} nsp__call;

// The first line of such a function; ends with the block.
#define NSP__COLD_CALL                                                                                       \
    nsp__call nsp__cold_call __attribute__((cleanup(nsp__call_end), unused)) = nsp__call_begin(true)
// The same for a function that holds nothing which a call of ours from within it would need: only against
// cancellation.
#define NSP__NO_CANCEL                                                                                       \
    nsp__call nsp__cold_call __attribute__((cleanup(nsp__call_end), unused)) = nsp__call_begin(false)

nsp__call nsp__call_begin(bool counted);
void nsp__call_end(nsp__call *call);

// How many cold calls this thread is inside. More than one: an exporter or a signal handler called us from
// within the first.
unsigned nsp__call_depth(void);

// Threads of ours: whom a call would wait for may be the very thread that makes it.
typedef enum nsp__thread_kind {
    NSP__THREAD_FOREIGN,
    NSP__THREAD_COLLECTOR,
    NSP__THREAD_SENDER
} nsp__thread_kind;
void nsp__call_thread(nsp__thread_kind kind); // on the thread itself
nsp__thread_kind nsp__call_thread_kind(void);

// Inside a cold call: NSP_OK if it may wait for other threads, else NSP_ERR_INVALID with its detail.
nsp_status nsp__call_may_wait(const char *function);

#endif
