// SPDX-License-Identifier: Apache-2.0
#include "harness/cpus.h"

const cpu_set_t *cpus_given(void)
{
    static cpu_set_t given;
    if (CPU_COUNT(&given) == 0 && sched_getaffinity(0, sizeof given, &given) != 0)
        CPU_ZERO(&given);
    return &given;
}

bool pin_to(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    return sched_setaffinity(0, sizeof set, &set) == 0;
}

void unpin(void)
{
    sched_setaffinity(0, sizeof(cpu_set_t), cpus_given());
}
