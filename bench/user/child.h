// SPDX-License-Identifier: Apache-2.0
//
// Runs nanospan-bench-user, once, against a receiver of its own.
#ifndef NSP_BENCH_USER_CHILD_H
#define NSP_BENCH_USER_CHILD_H

#include "harness/setup.h"
#include "user/page.h"

typedef struct user_setting {
    const char *name, *value; // an environment variable of the program
} user_setting;

enum { USER_SETTINGS = 6 };

// Runs the program with this task (whose `best` is filled in here) and these settings (up to the first one
// without a name), of which none is inherited: OTEL_, NSP_ and the short names are removed from the
// environment first. The endpoint is that of a receiver that runs on the collector's CPU of the setup.
// Returns the page, which is valid until the next call, or NULL with a problem in out.
user_page *user_run(const user_task *task, const user_setting settings[USER_SETTINGS],
                    const bench_setup *setup, bench_result *out);

#endif
