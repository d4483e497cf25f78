// SPDX-License-Identifier: Apache-2.0
//
// The handlers of fork.
#include <pthread.h>
#include <string.h>

#include "base/exit_gate.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/mapping.h"
#include "drain/sender.h"
#include "lifecycle/state.h"
#include "trace/inherited.h"
#include "trace/inherited_keep.h"
#include "trace/sampler.h"
#include "trace/trace_state.h"

static void fork_prepare(void)
{
    nsp__forking = true;
    if (!nsp__life_held()) // or else an exporter forks while it is created
        pthread_mutex_lock(&nsp__life.mutex);
    nsp__sampler_lock();
    nsp__inherited_keep();
    nsp__log_fork_prepare();
    nsp__clock_keep(); // the child has no session, and handlers that run first there may ask for the time
}

static void fork_parent(void)
{
    const nsp__runtime *runtime = nsp__life.runtime;
    if (runtime != NULL && runtime->session.control != NULL) // also while an exporter is created
        nsp__clock_set_active(&runtime->session.control->clock);
    nsp__log_fork_parent();
    nsp__inherited_drop();
    nsp__sampler_unlock();
    if (!nsp__life_held())
        pthread_mutex_unlock(&nsp__life.mutex);
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
    pthread_cond_init(&nsp__life.changed, NULL); // threads of the parent may be waiting on it
    nsp__exit_fork_child();
    nsp__sender_fork_child();
    if (nsp__life.current == NSP__LIFE_RUNNING || nsp__life.current == NSP__LIFE_STOPPING) {
        nsp__runtime_abandon(nsp__life.runtime);
        nsp__life.users = 0;
        nsp__life.stopping = false;
        if (nsp__life.current == NSP__LIFE_RUNNING) {
            // Its accounting begins empty: that of an earlier session is the parent's.
            memset(&nsp__life.last_stats, 0, sizeof nsp__life.last_stats);
            nsp__life.last_stats.size = sizeof nsp__life.last_stats;
        }
        if (nsp__life.current == NSP__LIFE_STOPPING)
            nsp__life_drop();
        nsp__life.current = nsp__life.current == NSP__LIFE_RUNNING ? NSP__LIFE_FORKED : NSP__LIFE_NONE;
    }
    // Whoever recorded a span before this handler ran has found tracing turned off.
    nsp__trace_activate(nsp__life.current == NSP__LIFE_FORKED);
    if (!nsp__life_held())
        pthread_mutex_unlock(&nsp__life.mutex);
    nsp__forking = false;
}

void nsp__life_handle_forks(void)
{
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}
