// SPDX-License-Identifier: Apache-2.0
//
// nsp_shutdown.
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <nanospan/lifecycle.h>

#include "base/call.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "common/time.h"
#include "lifecycle/state.h"
#include "trace/trace_state.h"

// With the mutex held, in a state without threads of ours.
static nsp_status end_inert(void)
{
    if (nsp__life.current != NSP__LIFE_DISABLED && nsp__life.current != NSP__LIFE_FORKED)
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running");
    __atomic_store_n(&nsp__life.current, NSP__LIFE_NONE, __ATOMIC_RELEASE); // L1
    nsp__trace_activate(false);
    __atomic_store_n(&nsp__trace_state.disabled, false, __ATOMIC_RELAXED);
    nsp__life_drop();
    return NSP_OK;
}

// How much longer than the deadline calls on other threads may take. They return as soon as they see
// `stopping`.
static const uint64_t users_patience_ns = 2 * NSP__SECOND;

// With the mutex held, which is released meanwhile. These calls return early; only an exporter's encoder can
// hold them up. False: one of them is still running some time after the deadline.
static bool wait_for_users(uint64_t deadline_ns)
{
    uint64_t limit_ns = nsp__later(deadline_ns, nsp__monotonic_ns()) + users_patience_ns;
    const struct timespec until = nsp__timespec_of(limit_ns);
    int error = 0;
    while (nsp__life.users != 0 && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&nsp__life.changed, &nsp__life.mutex, CLOCK_MONOTONIC, &until);
    return nsp__life.users == 0;
}

// With the mutex held, which is released meanwhile. False: a call on another thread has not returned, and the
// session continues.
static bool end_running(uint64_t deadline_ns)
{
    __atomic_store_n(&nsp__life.current, NSP__LIFE_STOPPING, __ATOMIC_RELEASE); // L1
    nsp__trace_activate(false);
    __atomic_store_n(&nsp__life.stopping, true, __ATOMIC_RELAXED);
    if (!wait_for_users(deadline_ns)) {
        __atomic_store_n(&nsp__life.stopping, false, __ATOMIC_RELAXED);
        __atomic_store_n(&nsp__life.current, NSP__LIFE_RUNNING, __ATOMIC_RELEASE); // L1
        nsp__trace_activate(true);
        return false;
    }
    nsp__life_unlock();
    NSP__TESTPOINT("shutdown: begun");

    nsp__runtime_stop(nsp__life.runtime, deadline_ns);

    nsp__life_lock();
    nsp__life.last_sent =
        nsp__runtime_end(nsp__life.runtime, &nsp__life.last_stats, &nsp__life.last_given_up);
    memcpy(nsp__life.last_why, nsp__life.runtime->unsent_why, sizeof nsp__life.last_why);
    nsp__life.ended++;
    nsp__life_drop();
    __atomic_store_n(&nsp__life.current, NSP__LIFE_NONE, __ATOMIC_RELEASE); // L1
    pthread_cond_broadcast(&nsp__life.changed);
    return true;
}

// With the mutex held, which is released meanwhile. Waits until another thread's shutdown is done. False if
// it was not done in time.
static bool wait_for_end(uint64_t deadline_ns)
{
    const struct timespec until = nsp__timespec_of(deadline_ns);
    uint64_t before = nsp__life.ended;
    int error = 0;
    while (nsp__life.ended == before && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&nsp__life.changed, &nsp__life.mutex, CLOCK_MONOTONIC, &until);
    return nsp__life.ended != before;
}

// With the mutex held. The result of the last shutdown.
static nsp_status outcome(void)
{
    uint64_t given_up = nsp__life.last_given_up;
    const char *why = nsp__life.last_why;
    return nsp__life.last_sent ? NSP_OK
                               : nsp__fail(NSP_ERR_TIMEOUT, "%llu span%s could not be sent in time%s%s",
                                           (unsigned long long)given_up, given_up == 1 ? "" : "s",
                                           *why != 0 ? ": " : "", why);
}

// With the mutex held, which is released meanwhile.
nsp_status nsp__life_shut_down(uint64_t deadline_ns)
{
    if (nsp__life.current == NSP__LIFE_RUNNING)
        return end_running(deadline_ns)
                   ? outcome()
                   : nsp__fail(NSP_ERR_TIMEOUT,
                               "nsp_flush or nsp_do_work on another thread has not returned");
    if (nsp__life.current != NSP__LIFE_STOPPING)
        return end_inert();
    return wait_for_end(deadline_ns)
               ? outcome()
               : nsp__fail(NSP_ERR_TIMEOUT, "nsp_shutdown on another thread has not finished yet");
}

nsp_status nsp_shutdown(uint64_t timeout_ns)
{
    NSP__COLD_CALL;
    uint64_t deadline_ns = nsp__life_deadline_in(timeout_ns);
    nsp_status status = nsp__life_amid_fork();
    if (status == NSP_OK)
        status = nsp__call_may_wait("nsp_shutdown");
    if (status != NSP_OK)
        return status;
    if (!nsp__life_lock())
        return nsp__life_called_from_within();
    status = nsp__life_shut_down(deadline_ns);
    nsp__life_unlock();
    return status;
}
