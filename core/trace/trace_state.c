// SPDX-License-Identifier: Apache-2.0
#include "trace/trace_state.h"

#include <time.h>

bool nsp__active;
nsp__trace nsp__trace_state;
bool (*nsp__session_wanted)(void);

void nsp__trace_activate(bool active)
{
    __atomic_store_n(&nsp__active, active, __ATOMIC_SEQ_CST); // A1
    __atomic_store_n(&nsp__nobody.top->current, active ? NSP__UNATTACHED : NSP__OFF, __ATOMIC_RELAXED);
}

bool nsp__parents_state_left(void)
{
    nsp__trace_activate(false);
    nsp__thread_v4 = &nsp__nobody;
    return true;
}

bool nsp__trace_quiesce(uint32_t milliseconds)
{
    const struct timespec pause = {0, 100 * 1000};
    for (uint32_t tries = milliseconds * 10;; tries--) {
        if (__atomic_load_n(&nsp__trace_state.attaching, __ATOMIC_SEQ_CST) == 0) // AT2: acquires AT1
            return true;
        if (tries == 0)
            return false;
        nanosleep(&pause, NULL);
    }
}
