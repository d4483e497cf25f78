// SPDX-License-Identifier: Apache-2.0
//
// Threads of our own: named, SCHED_OTHER, all signals blocked, timer slack 1 ns, on the CPUs of the process,
// not on the pinned one of whoever called nsp_init.
#ifndef NSP_BASE_THREAD_START_H
#define NSP_BASE_THREAD_START_H

#include <nanospan/base.h>
#include <pthread.h>

// cpus: a list as "0,2-3", or NULL for the process's: the mask of its leader (taskset), unless that was
// narrowed to a single CPU after the library was loaded, which is how main pins itself; then the mask that
// the leader had at that time. A list that names no usable CPU is logged and ignored.
nsp_status nsp__thread_start(pthread_t *thread, const char *name, const char *cpus, void *(*run)(void *),
                             void *argument);

// True if the text is a well formed CPU list.
bool nsp__cpu_list_valid(const char *cpus);

#endif
