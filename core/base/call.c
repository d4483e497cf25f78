// SPDX-License-Identifier: Apache-2.0
#include "base/call.h"

#include <pthread.h>

#include "base/log.h"

static __thread unsigned depth;
static __thread bool writing; // the lines of a call that has ended, with the log's lock held at times
static __thread nsp__thread_kind thread_kind;

nsp__call nsp__call_begin(bool counted)
{
    nsp__call call = {.counted = counted};
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &call.cancel_state);
    if (counted && depth++ == 0)
        nsp__log_hold();
    return call;
}

void nsp__call_end(nsp__call *call)
{
    // The callback runs after the call, so that whatever it calls (exit, for example) finds this thread
    // outside.
    if (call->counted && --depth == 0) {
        bool outer = writing; // a signal handler's call while the lines of another one are written
        writing = true;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        nsp__log_release();
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        writing = outer;
    }
    int ignored;
    pthread_setcancelstate(call->cancel_state, &ignored);
}

unsigned nsp__call_depth(void)
{
    return depth;
}

void nsp__call_thread(nsp__thread_kind kind)
{
    thread_kind = kind;
}

nsp__thread_kind nsp__call_thread_kind(void)
{
    return thread_kind;
}

nsp_status nsp__call_may_wait(const char *function)
{
    if (depth <= 1 && !writing && thread_kind == NSP__THREAD_FOREIGN)
        return NSP_OK;
    return nsp__fail(NSP_ERR_INVALID,
                     "%s was called from inside nanospan: by an exporter, by a log callback on one of its "
                     "threads, or by a signal handler that interrupted another call",
                     function);
}
