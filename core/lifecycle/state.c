// SPDX-License-Identifier: Apache-2.0
#include "lifecycle/state.h"

#include <stdlib.h>

#include "base/call.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "common/time.h"
#include "config/config.h"

nsp__life_shared nsp__life = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
static __thread bool locking; // this thread holds the mutex, or is about to

bool nsp__life_lock(void)
{
    if (locking)
        return false;
    locking = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    pthread_mutex_lock(&nsp__life.mutex);
    return true;
}

bool nsp__life_lock_until(uint64_t deadline_ns)
{
    if (!nsp__lock_until(&nsp__life.mutex, deadline_ns))
        return false;
    locking = true;
    return true;
}

void nsp__life_unlock(void)
{
    pthread_mutex_unlock(&nsp__life.mutex);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    locking = false;
}

bool nsp__life_held(void)
{
    return locking;
}

nsp_status nsp__life_called_from_within(void)
{
    return nsp__fail(NSP_ERR_INVALID,
                     "called from inside an exporter's create or destroy, or from a signal handler");
}

void nsp__life_drop(void)
{
    if (nsp__life.runtime != NULL && nsp__runtime_left_behind(nsp__life.runtime)) {
        nsp__life.runtime->next_left = nsp__life.left;
        nsp__life.left = nsp__life.runtime;
    } else if (nsp__life.runtime != NULL) {
        nsp__config_free(&nsp__life.runtime->config);
        free(nsp__life.runtime);
    }
    nsp__life.runtime = NULL;
}

uint64_t nsp__life_deadline_in(uint64_t timeout_ns)
{
    uint64_t now = nsp__monotonic_ns();
    return timeout_ns > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + timeout_ns;
}

nsp_status nsp__life_amid_fork(void)
{
    if (!nsp__forking && !nsp__process_copied())
        return NSP_OK;
    return nsp__fail(NSP_ERR_UNSUPPORTED, nsp__forking
                                              ? "this thread is in the middle of a fork"
                                              : "this process was created without running the fork handlers");
}
