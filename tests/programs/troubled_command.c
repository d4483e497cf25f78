// SPDX-License-Identifier: Apache-2.0
//
// The command `nanospan`, with the tests' copy of the library, and trouble at one of its testpoints:
//
//     NSP_TROUBLE="kill|fsync|ftruncate VISIT TESTPOINT" troubled_command recover ...
//
// At this visit of the testpoint the process is killed, or the system refuses this call from then on with EIO.
#include <errno.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/testpoint.h"

#ifdef NSP_TESTPOINTS
static char trouble[16], testpoint[64];
static unsigned visits;

__attribute__((noreturn)) static void cannot(const char *what)
{
    fprintf(stderr, "troubled_command: %s\n", what);
    _exit(99);
}

static void refuse(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO(EIO), seccomp_syscall_resolve_name(trouble), 0) != 0 ||
        seccomp_load(filter) != 0)
        cannot("there is no filter of system calls");
    seccomp_release(filter);
}

static void visit(const char *name)
{
    if (strcmp(name, testpoint) != 0 || --visits != 0)
        return;
    if (strcmp(trouble, "kill") == 0)
        raise(SIGKILL);
    refuse();
}
#endif

__attribute__((constructor)) static void begin(void)
{
#ifdef NSP_TESTPOINTS
    const char *given = getenv("NSP_TROUBLE");
    if (given == NULL || sscanf(given, "%15s %u %63[^\n]", trouble, &visits, testpoint) != 3)
        cannot("NSP_TROUBLE is not set");
    __atomic_store_n(&nsp__testpoint_hook, visit, __ATOMIC_RELEASE);
#else
    fputs("troubled_command: without testpoints\n", stderr);
    _exit(77);
#endif
}
