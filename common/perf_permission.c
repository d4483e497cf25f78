// SPDX-License-Identifier: Apache-2.0
#include "common/perf_permission.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Software events of a program's own instructions need no more than this.
enum { PARANOID_ENOUGH = 2 };

void nsp__perf_paranoid(char out[NSP__PERF_PARANOID])
{
    FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
    if (file == NULL || fgets(out, NSP__PERF_PARANOID, file) == NULL)
        out[0] = 0;
    if (file != NULL)
        fclose(file);
    out[strcspn(out, "\n")] = 0;
}

void nsp__perf_remedy(char *out, size_t size, const char *paranoid)
{
    char *end;
    const long value = strtol(paranoid, &end, 10);
    if (end != paranoid && value <= PARANOID_ENOUGH)
        snprintf(out, size,
                 "kernel.perf_event_paranoid is %s, which is enough, so something else forbids it: a seccomp "
                 "profile, "
                 "such as a container's, which has to allow perf_event_open; a security module (SELinux, "
                 "AppArmor); or "
                 "the threads are another user's, or of another user namespace",
                 paranoid);
    else
        snprintf(out, size,
                 "kernel.perf_event_paranoid has to be 2 or less%s%s%s, or the program needs CAP_PERFMON; "
                 "and a seccomp "
                 "profile, such as a container's, has to allow perf_event_open",
                 paranoid[0] != 0 ? " (it is " : "", paranoid, paranoid[0] != 0 ? ")" : "");
}
