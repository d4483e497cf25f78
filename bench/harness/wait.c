// SPDX-License-Identifier: Apache-2.0
#include "harness/wait.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "progress.h"

enum { TURNS_PER_S = 20 };

bool wait_for_child(pid_t process, unsigned patience_s, const unsigned *done, const unsigned *of,
                    const bench_result *out)
{
    struct timespec pause = {.tv_nsec = 1000 * 1000 * 1000 / TURNS_PER_S};
    for (unsigned turns = 0; waitpid(process, NULL, WNOHANG) == 0; turns++) {
        if (turns > patience_s * TURNS_PER_S || progress_stopped() != 0) {
            kill(process, SIGKILL);
            waitpid(process, NULL, 0);
            return false;
        }
        nanosleep(&pause, NULL);
        unsigned count = __atomic_load_n(done, __ATOMIC_RELAXED);
        unsigned most = __atomic_load_n(of, __ATOMIC_RELAXED);
        if (most != 0)
            progress(out, count < most ? count : most, most);
    }
    return true;
}
