// SPDX-License-Identifier: Apache-2.0
//
// Runs a command for which perf_event_open fails with this error, as in a container: refusing EACCES COMMAND...
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    const int error = strcmp(argv[1], "EACCES") == 0   ? EACCES
                      : strcmp(argv[1], "EPERM") == 0  ? EPERM
                      : strcmp(argv[1], "EMFILE") == 0 ? EMFILE
                                                       : ENOSYS;
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (filter == NULL ||
        seccomp_rule_add(filter, SCMP_ACT_ERRNO((unsigned)error), SCMP_SYS(perf_event_open), 0) != 0 ||
        seccomp_load(filter) != 0) {
        printf("skipped: system calls cannot be filtered here\n");
        return 77;
    }
    seccomp_release(filter);
    execv(argv[2], argv + 2);
    perror(argv[2]);
    return 1;
}
