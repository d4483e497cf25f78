// SPDX-License-Identifier: Apache-2.0
//
// Named places in race windows where a test can stall, kill or signal a thread. They compile to nothing in
// product builds.
#ifndef NSP_BASE_TESTPOINT_H
#define NSP_BASE_TESTPOINT_H

#include <nanospan/base.h>

#ifdef NSP_TESTPOINTS
// Set by tests before threads start.
extern void (*nsp__testpoint_hook)(const char *name);
// TP2: acquires what a test did before it set the hook (TP1).
#define NSP__TESTPOINT(name)                                                                                 \
    do {                                                                                                     \
        void (*hook_)(const char *) = __atomic_load_n(&nsp__testpoint_hook, __ATOMIC_ACQUIRE);               \
        if (NSP__UNLIKELY(hook_ != NULL))                                                                    \
            hook_(name);                                                                                     \
    } while (0)
#else
#define NSP__TESTPOINT(name) ((void)0)
#endif

#endif
