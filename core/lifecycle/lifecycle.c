// SPDX-License-Identifier: Apache-2.0
//
// nsp_init, nsp_flush, nsp_do_work, nsp_stats_get; the session of a forked child.
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "base/call.h"
#include "base/exit_gate.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "config/config.h"
#include "config/environment.h"
#include "drain/stats.h"
#include "lifecycle/external.h"
#include "lifecycle/state.h"
#include "propagation/propagators.h"
#include "trace/trace_state.h"

// ---- start ----

static void make_hooks(void);

// With the mutex held.
static nsp_status start(void)
{
    nsp_status status = nsp__runtime_start(nsp__life.runtime);
    if (status != NSP_OK)
        return status;
    if (nsp__life.runtime->exporter != NULL)
        nsp__exit_hook_renew(); // to run before the handlers of the libraries that the exporter has loaded
    make_hooks();               // before any thread may record, or fork
    nsp__life.stopping = false;
    __atomic_store_n(&nsp__life.current, NSP__LIFE_RUNNING, __ATOMIC_RELEASE); // L1: to L2
    // A1: releases all of the session to the threads' A2.
    nsp__trace_activate(true);
    return NSP_OK;
}

static bool session_wanted(void)
{
    // Only the child of a fork has to take the lock, which no signal handler should.
    if (__atomic_load_n(&nsp__life.current, __ATOMIC_ACQUIRE) != NSP__LIFE_FORKED) // L2: acquires L1
        return true;
    if (nsp__forking)
        return false;
    NSP__COLD_CALL;
    if (!nsp__life_lock())
        return false;
    bool running = nsp__life.current == NSP__LIFE_RUNNING ||
                   (nsp__life.current == NSP__LIFE_FORKED && start() == NSP_OK);
    if (nsp__life.current == NSP__LIFE_FORKED) {
        // This child could not create a session, and does not try again at each span.
        nsp__trace_activate(false);
        __atomic_store_n(&nsp__life.current, NSP__LIFE_NONE, __ATOMIC_RELEASE); // L1
        nsp__life_drop();
    }
    nsp__life_unlock();
    return running;
}

static void make_hooks(void)
{
    static bool hooks_made;
    if (hooks_made)
        return;
    hooks_made = true;
    nsp__session_wanted = session_wanted;
}

// Registers the fork handlers when the library is loaded rather than in nsp_init. Handlers in a child run in
// the order of their registration, so few others can record spans, or map memory where ours was, before ours
// have put zero pages there. Handlers before the fork run in reverse order, so few run after ours, which take
// the mutexes. The constructor is in this file so that a program that links the static library and calls
// nsp_init gets it too.
__attribute__((constructor)) static void handle_forks(void)
{
    nsp__life_handle_forks();
}

// ---- public ----

nsp_status nsp_init(const nsp_config *config)
{
    NSP__COLD_CALL;
    nsp_status status = nsp__life_amid_fork();
    if (status != NSP_OK)
        return status;
    if (!nsp__life_lock())
        return nsp__life_called_from_within();
    if (nsp__life.current != NSP__LIFE_NONE || nsp__exit_closed()) {
        bool exiting = nsp__life.current == NSP__LIFE_NONE;
        nsp__life_unlock();
        if (exiting)
            return nsp__fail(NSP_ERR_SYSTEM, "the process is exiting");
        return nsp__fail(NSP_ERR_ALREADY, "nsp_init has already been called; call nsp_shutdown first");
    }
    nsp__life_make_exit_hook();
    nsp__life.runtime = calloc(1, sizeof *nsp__life.runtime);
    if (nsp__life.runtime == NULL)
        status = nsp__fail(NSP_ERR_NO_MEMORY, "no memory to start tracing");
    else
        status = nsp__config_resolve(&nsp__life.runtime->config, config);
    if (status == NSP_OK) {
        const nsp_config *resolved = &nsp__life.runtime->config;
        nsp__log_configure(resolved->log_level, resolved->log, resolved->log_context);
        nsp__environment_report(config);
        nsp__propagators_choose(resolved->propagators);
        if (!resolved->enabled) {
            __atomic_store_n(&nsp__life.current, NSP__LIFE_DISABLED, __ATOMIC_RELEASE); // L1
            memset(&nsp__life.last_stats, 0, sizeof nsp__life.last_stats);
            nsp__life.last_stats.size = sizeof nsp__life.last_stats;
            nsp__log(NSP_LOG_INFO, "",
                     "tracing is turned off by configuration (ENABLE_TRACING, OTEL_SDK_DISABLED or "
                     "nsp_config.enabled)");
        } else if (!nsp__trace_quiesce(100)) {
            status = nsp__fail(NSP_ERR_SYSTEM, "a thread is still attaching to the previous session");
        } else {
            status = start();
            if (status == NSP_OK)
                nsp__runtime_announce(nsp__life.runtime);
        }
    }
    if (status != NSP_OK)
        nsp__life_drop();
    if (status == NSP_OK)
        make_hooks();
    __atomic_store_n(&nsp__trace_state.disabled, nsp__life.current == NSP__LIFE_DISABLED, __ATOMIC_RELAXED);
    nsp__life_unlock();
    return status;
}

// Begins a call that works on the running session; leave ends it. False if no session is running.
static bool use(void)
{
    if (nsp__life_amid_fork() != NSP_OK || !nsp__life_lock())
        return false;
    bool running = nsp__life.current == NSP__LIFE_RUNNING;
    nsp__life.users += running;
    nsp__life_unlock();
    return running;
}

static void leave(void)
{
    nsp__runtime *runtime = nsp__life.runtime;
    const bool external = runtime->session.external;
    nsp__notices notices = {.any = false};
    if (!external)
        notices = nsp__collector_notices(&runtime->collector);
    nsp__life_lock();
    if (external)
        nsp__notices_look(&notices, &runtime->known, runtime->session.control);
    if (--nsp__life.users == 0)
        pthread_cond_broadcast(&nsp__life.changed);
    nsp__life_unlock();
    nsp__notices_log(&notices, NULL); // a shutdown does not wait for this
}

static nsp_status not_running(void)
{
    nsp_status status = nsp__life_amid_fork();
    if (status != NSP_OK)
        return status;
    if (!nsp__life_lock())
        return nsp__life_called_from_within();
    bool fine =
        nsp__life.current == NSP__LIFE_DISABLED || nsp__life.current == NSP__LIFE_FORKED; // nothing to do
    nsp__life_unlock();
    return fine ? NSP_OK : nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running; call nsp_init first");
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
    nsp__runtime *runtime = nsp__life.runtime;
    const uint64_t deadline_ns = nsp__life_deadline_in(timeout_ns);
    char why[160] = "";
    bool settled;
    if (runtime->session.external) {
        settled = nsp__external_flush(&runtime->session, deadline_ns, &nsp__life.stopping);
        if (!settled)
            nsp__external_explain(&runtime->session, why, sizeof why);
    } else {
        settled = nsp__collector_flush(&runtime->collector, deadline_ns, &nsp__life.stopping);
    }
    leave();
    return settled ? NSP_OK
                   : nsp__fail(NSP_ERR_TIMEOUT, "not all spans were settled within %llu ms%s%s",
                               (unsigned long long)(timeout_ns / 1000000), *why != 0 ? ": " : "", why);
}

size_t nsp_do_work(size_t max_spans)
{
    NSP__COLD_CALL;
    if (nsp__call_depth() > 1 || !use())
        return 0;
    size_t spans = 0;
    if (nsp__life.runtime->config.collector == NSP_COLLECTOR_INVOKER)
        spans = nsp__collector_work(&nsp__life.runtime->collector, max_spans);
    leave();
    return spans;
}

nsp_status nsp_stats_get(nsp_stats *out)
{
    if (out == NULL || out->size < sizeof out->size)
        return nsp__fail(NSP_ERR_INVALID, "nsp_stats.size is not set; use NSP_STATS_INIT");
    NSP__COLD_CALL;
    nsp_status status = nsp__life_amid_fork();
    if (status != NSP_OK)
        return status;
    nsp_stats stats;
    memset(&stats, 0, sizeof stats);
    if (!nsp__life_lock())
        return nsp__life_called_from_within();
    bool known = true;
    if (nsp__life.current == NSP__LIFE_RUNNING || nsp__life.current == NSP__LIFE_STOPPING)
        nsp__stats_read(&stats, &nsp__life.runtime->session);
    else if (nsp__life.last_stats.size != 0)
        stats = nsp__life.last_stats;
    else
        known = nsp__life.current == NSP__LIFE_FORKED; // whose accounting is empty until its first span
    nsp__life_unlock();
    if (!known)
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "nsp_init has not been called yet");
    size_t size = out->size;
    memcpy(out, &stats, size < sizeof stats ? size : sizeof stats);
    out->size = size;
    if (size > sizeof stats)
        memset((char *)out + sizeof stats, 0, size - sizeof stats);
    return NSP_OK;
}
