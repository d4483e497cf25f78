// SPDX-License-Identifier: Apache-2.0
//
// Engines that are drained from outside, each in a child of the test.
#ifndef NSP_TESTS_EXTERNAL_ENGINE_H
#define NSP_TESTS_EXTERNAL_ENGINE_H

#include <nanospan/nanospan.h>

#include "support/outside_drainer.h"
#include "support/session_dir.h"

typedef struct external_engine {
    pid_t pid;
    int told; // the reading end of what the engine tells
    char session[SESSION_PATH_MAX];
} external_engine;

// The folder of the sessions; made and removed by a test's setup and teardown.
extern char external_folder[SESSION_PATH_MAX];
int external_folder_make(void **state);
int external_folder_remove(void **state);

// The configuration of such an engine: rings of 64 KiB, a receiver that it must not connect to, and external_exit_timeout_ns
// for its exit, which external_folder_make sets to 20 ms.
extern uint64_t external_exit_timeout_ns;
void external_config(nsp_config *config);

// In an engine: records so many spans, all roots.
void external_record(unsigned spans);
// In an engine: tells the test that it has come so far.
void external_tell(void);

// Starts one that calls nsp_init and then `body`, and ends by _exit(0). Returns when its session is there.
void external_start(external_engine *engine, void (*body)(void *), void *argument);
// Waits until it has told something, or has ended.
void external_await(const external_engine *engine);
// True if it has not told anything until now.
bool external_silent(const external_engine *engine);
// Waits for its end; fails the test unless that is the exit code 0.
void external_join(external_engine *engine);
// Waits for its end by this signal.
void external_join_killed(external_engine *engine, int signal);
// Drains the session until the engine ends.
void external_drain_until_end(external_engine *engine, outside_drainer *drainer);

#endif
