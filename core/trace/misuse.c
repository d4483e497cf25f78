// SPDX-License-Identifier: Apache-2.0
#include "trace/misuse.h"

#include "trace/trace_state.h"

void nsp__count_unattached(size_t counter)
{
    nsp__control *control = __atomic_load_n(&nsp__trace_state.control, __ATOMIC_ACQUIRE); // T4: acquires T3
    if (control != NULL && !nsp__process_copied())
        nsp__count_nested((uint64_t *)(void *)((char *)control + counter));
}

void nsp__misused(void)
{
    nsp__producer *producer = nsp__producer_self();
    if (producer != NULL && !nsp__session_over(producer))
        nsp__count_nested(&producer->home.slot->counters.misused);
    else
        nsp__count_unattached(offsetof(nsp__control, unattached_misused));
}
