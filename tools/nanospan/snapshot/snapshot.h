// SPDX-License-Identifier: Apache-2.0
//
// `nanospan snapshot`: what its parts share.
#ifndef NANOSPAN_SNAPSHOT_SNAPSHOT_H
#define NANOSPAN_SNAPSHOT_SNAPSHOT_H

#include "support/figures.h"
#include "support/text.h"
#include <nanospan/recover.h>
#include <sys/types.h>

typedef struct snapshot_options {
    const char *wanted, *endpoint, *output, *shm_dir;
    uint64_t before_ns, timeout_ns;
    bool json;
    int argc;
    char **argv;
} snapshot_options;

// The running engine that is meant; NULL after a message.
const figures_engine *snapshot_choose(const figures *seen, const snapshot_options *o, const char *given);

// Says that something belongs to another user, and what that user may type. shm_dir: or NULL.
void snapshot_point_to_other_user(const snapshot_options *o, const char *owned, uid_t user,
                                  const char *shm_dir);

// What it did.
typedef struct snapshot_result {
    const figures_engine *engine;
    nsp_history_account account;
    text threads;      // the lines, or objects, of threads
    uint64_t reach_ns; // of the thread whose buffer reaches back the furthest
    bool json;
} snapshot_result;

// Adds the lines of one thread; of the type nsp_history_visit, with the result as its argument.
void snapshot_add_thread(void *argument, const nsp_history_thread *thread);
// target: where the spans went, for people. False after a message: it cannot be written.
bool snapshot_print(const snapshot_result *me, const char *target);
// Says what of it was not exported, and why. False: something was not.
bool snapshot_say_problems(const snapshot_result *me, nsp_status status, const char *problem);

#endif
