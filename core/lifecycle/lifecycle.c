// SPDX-License-Identifier: Apache-2.0
//
// nsp_init, nsp_flush, nsp_shutdown, nsp_do_work; process exit and fork.
//
//   NONE --init--> RUNNING --shutdown--> STOPPING --> NONE      (init again: a new session)
//   NONE --init, tracing turned off--> DISABLED --shutdown--> NONE
//   RUNNING --fork, in the child--> FORKED --first span--> RUNNING (a session of the child's own)
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include <nanospan/nanospan.h>

#include "base/call.h"
#include "base/exit_gate.h"
#include "base/fork.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/mapping.h"
#include "base/testpoint.h"
#include "common/time.h"
#include "drain/stats.h"
#include "config/config.h"
#include "config/environment.h"
#include "lifecycle/runtime.h"
#include "propagation/propagators.h"
#include "trace/inherited.h"
#include "trace/inherited_keep.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

typedef enum state { NONE, RUNNING, STOPPING, DISABLED, FORKED } state;

// Guards everything below; never held while something is waited for, but for a new session's start, nor in a
// log callback.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static __thread bool locking;                             // this thread holds it, or is about to
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; // no users any more, or not STOPPING
static state current;
static nsp__runtime *runtime; // in all states but NONE; a new one for each session
static nsp__runtime
    *left; // those of past sessions that a thread may still come back to: leak checkers see intent
static unsigned users;       // calls of flush and do_work under way
static bool stopping;        // makes them return
static uint64_t ended;       // how many sessions were shut down;
static bool last_sent;       // whether the last of them sent all,
static nsp_stats last_stats; // and its accounting
static bool hooks_made, exit_hook_made;

// False: this thread holds it already. Somebody called us from an exporter's create or destroy, or from a
// signal handler.
static bool lock(void)
{
    if (locking)
        return false;
    locking = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    pthread_mutex_lock(&mutex);
    return true;
}

static void unlock(void)
{
    pthread_mutex_unlock(&mutex);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    locking = false;
}

static nsp_status called_from_within(void)
{
    return nsp__fail(NSP_ERR_INVALID,
                     "called from within an exporter's create or destroy, or from a signal handler");
}

// With the mutex held.
static void runtime_drop(void)
{
    if (runtime != NULL && nsp__runtime_left_behind(runtime)) {
        runtime->next_left = left;
        left = runtime;
    } else if (runtime != NULL) {
        nsp__config_free(&runtime->config);
        free(runtime);
    }
    runtime = NULL;
}

static uint64_t deadline_in(uint64_t timeout_ns)
{
    uint64_t now = nsp__monotonic_ns();
    return timeout_ns > UINT64_MAX / 2 - now ? UINT64_MAX / 2 : now + timeout_ns;
}

// ---- start ----

static void make_hooks(void);

// With the mutex held.
static nsp_status start(void)
{
    nsp_status status = nsp__runtime_start(runtime);
    if (status != NSP_OK)
        return status;
    if (runtime->exporter != NULL)
        nsp__exit_hook_renew(); // to come before the handlers of the libraries that it has brought in
    make_hooks();               // before any thread may record, or fork
    stopping = false;
    __atomic_store_n(&current, RUNNING, __ATOMIC_RELEASE); // L1: to L2
    // A1: releases all of the session to the threads' A2.
    nsp__trace_activate(true);
    return NSP_OK;
}

// NSP_OK, or why this call can neither take the mutex nor do anything useful: another library's handler of fork made it, at a
// moment when ours hold the mutex, or a child did in which ours have not run.
static nsp_status amid_fork(void)
{
    if (!nsp__forking && !nsp__process_copied())
        return NSP_OK;
    return nsp__fail(NSP_ERR_UNSUPPORTED, nsp__forking
                                              ? "this thread is in the middle of a fork"
                                              : "this process was made without the handlers of fork");
}

static bool session_wanted(void)
{
    // Only the child of a fork has to take the lock, which no signal handler should.
    if (__atomic_load_n(&current, __ATOMIC_ACQUIRE) != FORKED) // L2: acquires L1
        return true;
    if (nsp__forking)
        return false;
    NSP__COLD_CALL;
    if (!lock())
        return false;
    bool running = current == RUNNING || (current == FORKED && start() == NSP_OK);
    if (current == FORKED) {
        // This child could not make a session; it will not try at each span.
        nsp__trace_activate(false);
        __atomic_store_n(&current, NONE, __ATOMIC_RELEASE); // L1
        runtime_drop();
    }
    unlock();
    return running;
}

// ---- exit and fork ----

// How long an exit waits for what should take no time at all.
static const uint64_t exit_patience_ns = 1 * NSP__SECOND;

static nsp_status shut_down(uint64_t deadline_ns);

// As nsp_shutdown. Another thread's shutdown that is under way gets the same time to end.
static void end_in_order(void)
{
    if (!nsp__lock_until(&mutex, nsp__monotonic_ns() + exit_patience_ns))
        return;
    locking = true;
    if (current == RUNNING || current == STOPPING)
        shut_down(deadline_in(runtime->config.exit_timeout_ns));
    unlock();
}

// Not where exit was called by a signal handler or an exporter inside a call of ours, whose locks are held
// for ever then, and not on the sender's thread, which it would wait for. The collector's is waited for by
// nobody while it is in the callback.
static bool may_end_in_order(void)
{
    nsp__thread_kind kind = nsp__call_thread_kind();
    bool collector_telling = kind == NSP__THREAD_COLLECTOR && nsp__log_in_callback();
    return nsp__call_depth() == 0 && (kind == NSP__THREAD_FOREIGN || collector_telling);
}

// May run several times (see start); what the first one leaves to do, the others cannot do either.
static void at_exit(void)
{
    if (nsp__exit_closed() || amid_fork() != NSP_OK)
        return;
    NSP__NO_CANCEL;
    if (may_end_in_order())
        end_in_order();
    // In any case nobody of ours may be inside the libraries whose exit handlers come next.
    nsp__exit_close();
    nsp__sender_cancel();
    nsp__exit_wait(nsp__monotonic_ns() + exit_patience_ns);
}

static void fork_prepare(void)
{
    nsp__forking = true;
    pthread_mutex_lock(&mutex);
    nsp__sampler_lock();
    nsp__inherited_keep();
    nsp__log_fork_prepare();
    nsp__clock_keep(); // the child, whose first handlers may ask for the time, has no session
}

static void fork_parent(void)
{
    if (current == RUNNING || current == STOPPING)
        nsp__clock_set_active(&runtime->session.control->clock);
    nsp__log_fork_parent();
    nsp__inherited_drop();
    nsp__sampler_unlock();
    pthread_mutex_unlock(&mutex);
    nsp__forking = false;
}

static void fork_child(void)
{
    nsp__log_fork_child();
    nsp__inherited_take();
    nsp__sampler_unlock();
    // Before anything is used, so that no handle of the parent's leads to an unmapped page.
    nsp__mappings_replace_after_fork();
    nsp__process_claim();
    pthread_cond_init(&changed, NULL); // threads of the parent's may be waiting on it
    nsp__exit_fork_child();
    nsp__sender_fork_child();
    if (current == RUNNING || current == STOPPING) {
        nsp__runtime_abandon(runtime);
        users = 0;
        stopping = false;
        if (current == RUNNING) {
            // Its accounting begins empty: that of an earlier session is the parent's.
            memset(&last_stats, 0, sizeof last_stats);
            last_stats.size = sizeof last_stats;
        }
        if (current == STOPPING)
            runtime_drop();
        current = current == RUNNING ? FORKED : NONE;
    }
    // Whoever recorded a span before this handler ran has found tracing turned off.
    nsp__trace_activate(current == FORKED);
    pthread_mutex_unlock(&mutex);
    nsp__forking = false;
}

// When the library is loaded, and not at nsp_init: handlers of children run in the order in which they were registered, so few
// can run, record spans or map memory where ours was, before this one has put zero pages there. And those that run
// before the fork do so in the other order, so few come after ours, which takes the mutexes.
__attribute__((constructor)) static void handle_forks(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

// With the mutex held, before an exporter is made: the process may exit meanwhile.
static void make_exit_hook(void)
{
    if (!exit_hook_made)
        nsp__exit_hook(at_exit);
    exit_hook_made = true;
}

static void make_hooks(void)
{
    if (hooks_made)
        return;
    hooks_made = true;
    nsp__session_wanted = session_wanted;
}

// ---- public ----

nsp_status nsp_init(const nsp_config *config)
{
    NSP__COLD_CALL;
    nsp_status status = amid_fork();
    if (status != NSP_OK)
        return status;
    if (!lock())
        return called_from_within();
    if (current != NONE || nsp__exit_closed()) {
        bool exiting = current == NONE;
        unlock();
        if (exiting)
            return nsp__fail(NSP_ERR_SYSTEM, "the process is exiting");
        return nsp__fail(NSP_ERR_ALREADY, "nsp_init was called before; nsp_shutdown first");
    }
    make_exit_hook();
    runtime = calloc(1, sizeof *runtime);
    if (runtime == NULL)
        status = nsp__fail(NSP_ERR_NO_MEMORY, "no memory");
    else
        status = nsp__config_resolve(&runtime->config, config);
    if (status == NSP_OK) {
        const nsp_config *resolved = &runtime->config;
        nsp__log_configure(resolved->log_level, resolved->log, resolved->log_context);
        nsp__environment_report(config);
        nsp__propagators_choose(resolved->propagators);
        if (resolved->enabled && resolved->collector == NSP_COLLECTOR_EXTERNAL) {
            status = nsp__fail(NSP_ERR_UNSUPPORTED,
                               "collector external needs a process that drains from outside, which "
                               "this version does not have: use thread or invoker");
        } else if (!resolved->enabled) {
            __atomic_store_n(&current, DISABLED, __ATOMIC_RELEASE); // L1
            memset(&last_stats, 0, sizeof last_stats);
            last_stats.size = sizeof last_stats;
            nsp__log(NSP_LOG_INFO, "",
                     "tracing is turned off by configuration (ENABLE_TRACING, OTEL_SDK_DISABLED or "
                     "nsp_config.enabled)");
        } else if (!nsp__trace_quiesce(100)) {
            status = nsp__fail(NSP_ERR_SYSTEM, "a thread is still attaching to the session before this one");
        } else {
            status = start();
            if (status == NSP_OK)
                nsp__runtime_announce(runtime);
        }
    }
    if (status != NSP_OK)
        runtime_drop();
    if (status == NSP_OK)
        make_hooks();
    __atomic_store_n(&nsp__trace_state.disabled, current == DISABLED, __ATOMIC_RELAXED);
    unlock();
    return status;
}

// A call that works on the running session; end with leave. False if there is none.
static bool use(void)
{
    if (amid_fork() != NSP_OK || !lock())
        return false;
    bool running = current == RUNNING;
    users += running;
    unlock();
    return running;
}

static void leave(void)
{
    nsp__notices notices = nsp__collector_notices(&runtime->collector);
    lock();
    if (--users == 0)
        pthread_cond_broadcast(&changed);
    unlock();
    nsp__notices_log(&notices); // a shutdown does not wait for this
}

static nsp_status not_running(void)
{
    nsp_status status = amid_fork();
    if (status != NSP_OK)
        return status;
    lock();
    bool fine = current == DISABLED || current == FORKED; // nothing to do
    unlock();
    return fine ? NSP_OK : nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running: nsp_init first");
}

nsp_status nsp_flush(uint64_t timeout_ns)
{
    NSP__COLD_CALL;
    nsp_status status = nsp__call_may_wait("nsp_flush");
    if (status != NSP_OK)
        return status;
    if (!use())
        return not_running();
    NSP__TESTPOINT("flush: in use");
    bool settled = nsp__collector_flush(&runtime->collector, deadline_in(timeout_ns), &stopping);
    leave();
    return settled ? NSP_OK
                   : nsp__fail(NSP_ERR_TIMEOUT, "not everything was answered for within %llu ms",
                               (unsigned long long)(timeout_ns / 1000000));
}

size_t nsp_do_work(size_t max_spans)
{
    NSP__COLD_CALL;
    if (nsp__call_depth() > 1 || !use())
        return 0;
    size_t spans = 0;
    if (runtime->config.collector == NSP_COLLECTOR_INVOKER)
        spans = nsp__collector_work(&runtime->collector, max_spans);
    leave();
    return spans;
}

// With the mutex held, in a state without threads of ours.
static nsp_status end_inert(void)
{
    if (current != DISABLED && current != FORKED)
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running");
    __atomic_store_n(&current, NONE, __ATOMIC_RELEASE); // L1
    nsp__trace_activate(false);
    __atomic_store_n(&nsp__trace_state.disabled, false, __ATOMIC_RELAXED);
    runtime_drop();
    return NSP_OK;
}

// Beyond the deadline, for the calls under way on other threads: they return as soon as they see `stopping`.
static const uint64_t users_patience_ns = 2 * NSP__SECOND;

// With the mutex held, which is released meanwhile. They return early; what can keep them is an exporter's
// encoder. False: one of them is still there, some time after the deadline.
static bool wait_for_users(uint64_t deadline_ns)
{
    uint64_t limit_ns = nsp__later(deadline_ns, nsp__monotonic_ns()) + users_patience_ns;
    const struct timespec until = nsp__timespec_of(limit_ns);
    int error = 0;
    while (users != 0 && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &until);
    return users == 0;
}

// With the mutex held, which is released meanwhile. False: a call on another thread does not return, and the
// session goes on.
static bool end_running(uint64_t deadline_ns)
{
    __atomic_store_n(&current, STOPPING, __ATOMIC_RELEASE); // L1
    nsp__trace_activate(false);
    __atomic_store_n(&stopping, true, __ATOMIC_RELAXED);
    if (!wait_for_users(deadline_ns)) {
        __atomic_store_n(&stopping, false, __ATOMIC_RELAXED);
        __atomic_store_n(&current, RUNNING, __ATOMIC_RELEASE); // L1
        nsp__trace_activate(true);
        return false;
    }
    unlock();

    bool sent = nsp__runtime_stop(runtime, deadline_ns);

    lock();
    nsp__runtime_end(runtime, &last_stats);
    last_sent = sent;
    ended++;
    runtime_drop();
    __atomic_store_n(&current, NONE, __ATOMIC_RELEASE); // L1
    pthread_cond_broadcast(&changed);
    return true;
}

// With the mutex held, which is released meanwhile: until another thread's shutdown is done. False: not in time.
static bool wait_for_end(uint64_t deadline_ns)
{
    const struct timespec until = nsp__timespec_of(deadline_ns);
    uint64_t before = ended;
    int error = 0;
    while (ended == before && error != ETIMEDOUT)
        error = pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, &until);
    return ended != before;
}

// With the mutex held: of the last session that was shut down.
static nsp_status outcome(void)
{
    uint64_t given_up = last_stats.discarded + last_stats.unconfirmed;
    return last_sent ? NSP_OK
                     : nsp__fail(NSP_ERR_TIMEOUT, "%llu span%s could not be sent in time",
                                 (unsigned long long)given_up, given_up == 1 ? "" : "s");
}

// With the mutex held, which is released meanwhile.
static nsp_status shut_down(uint64_t deadline_ns)
{
    if (current == RUNNING)
        return end_running(deadline_ns)
                   ? outcome()
                   : nsp__fail(NSP_ERR_TIMEOUT, "another thread's nsp_flush or nsp_do_work does not return");
    if (current != STOPPING)
        return end_inert();
    return wait_for_end(deadline_ns)
               ? outcome()
               : nsp__fail(NSP_ERR_TIMEOUT, "another thread's nsp_shutdown is not done yet");
}

nsp_status nsp_shutdown(uint64_t timeout_ns)
{
    NSP__COLD_CALL;
    uint64_t deadline_ns = deadline_in(timeout_ns);
    nsp_status status = amid_fork();
    if (status == NSP_OK)
        status = nsp__call_may_wait("nsp_shutdown");
    if (status != NSP_OK)
        return status;
    if (!lock())
        return called_from_within();
    status = shut_down(deadline_ns);
    unlock();
    return status;
}

nsp_status nsp_stats_get(nsp_stats *out)
{
    if (out == NULL || out->size < sizeof out->size)
        return nsp__fail(NSP_ERR_INVALID, "nsp_stats.size is not set: use NSP_STATS_INIT");
    NSP__COLD_CALL;
    nsp_status status = amid_fork();
    if (status != NSP_OK)
        return status;
    nsp_stats stats;
    memset(&stats, 0, sizeof stats);
    if (!lock())
        return called_from_within();
    bool known = true;
    if (current == RUNNING || current == STOPPING)
        nsp__stats_read(&stats, &runtime->session);
    else if (last_stats.size != 0)
        stats = last_stats;
    else if (current != FORKED) // a forked child's accounting are empty until its first span
        known = false;
    unlock();
    if (!known)
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "nsp_init was not called yet");
    size_t size = out->size;
    memcpy(out, &stats, size < sizeof stats ? size : sizeof stats);
    out->size = size;
    if (size > sizeof stats)
        memset((char *)out + sizeof stats, 0, size - sizeof stats);
    return NSP_OK;
}
