// SPDX-License-Identifier: Apache-2.0
#include "trace/switch_names.h"

static nsp_name name_of(const char *text)
{
    return nsp_intern(text, __builtin_strlen(text));
}

void nsp__switch_names_prepare(nsp__control *control, bool wanted)
{
    if (!wanted)
        return;
    nsp__drainer *shared = &control->drainer;
    shared->switch_names =
        (nsp__switch_names){name_of("nanospan.off_cpu_ns"), name_of("preempted"), name_of("waited")};
    __atomic_store_n(&shared->switches, 1, __ATOMIC_RELEASE); // DN7: releases the names to DN8
}
