// SPDX-License-Identifier: Apache-2.0
//
// Starts our own threads. They have a name, run under SCHED_OTHER with all signals blocked and a timer slack
// of 1 ns, and may use the CPUs of the process rather than the one that the caller of nsp_init is pinned to.
#ifndef NSP_BASE_THREAD_START_H
#define NSP_BASE_THREAD_START_H

#include <nanospan/base.h>
#include <pthread.h>

// cpus: a list such as "0,2-3", or NULL for the CPUs of the process. Those are the affinity mask of its main
// thread (as taskset sets it), unless that was narrowed to a single CPU after the library was loaded, which
// is how main pins itself; in that case they are the mask that the main thread had at load time. A list that
// names no usable CPU is logged and ignored.
nsp_status nsp__thread_start(pthread_t *thread, const char *name, const char *cpus, void *(*run)(void *),
                             void *argument);

// True if the text is a well-formed CPU list.
bool nsp__cpu_list_valid(const char *cpus);

#endif
