// SPDX-License-Identifier: Apache-2.0
//
// Does the kernel permit what NSP_SWITCHES needs? The same software perf event as the one that a collector opens for each
// thread, tried with this process.
#include "doctor.h"

#include "common/perf_permission.h"
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RING_PAGES = 5 };

// 0, or an errno. *opened: it was the ring that could not be mapped.
static int try_event(bool *opened)
{
    struct perf_event_attr event = {.size = sizeof event,
                                    .type = PERF_TYPE_SOFTWARE,
                                    .config = PERF_COUNT_SW_DUMMY,
                                    .context_switch = 1,
                                    .exclude_kernel = 1,
                                    .exclude_hv = 1,
                                    .sample_id_all = 1,
                                    .sample_type = PERF_SAMPLE_TIME,
                                    .use_clockid = 1,
                                    .clockid = CLOCK_MONOTONIC};
    const size_t bytes = RING_PAGES * (size_t)sysconf(_SC_PAGESIZE);
    const int fd = (int)syscall(SYS_perf_event_open, &event, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
    *opened = fd >= 0;
    if (fd < 0)
        return errno;
    void *ring = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int error = ring == MAP_FAILED ? errno : 0;
    if (ring != MAP_FAILED)
        munmap(ring, bytes);
    close(fd);
    return error;
}

void doctor_switches(doctor *d)
{
    bool opened;
    char paranoid[NSP__PERF_PARANOID], remedy[400];
    if (!d->config.switches)
        return;
    const int error = try_event(&opened);
    nsp__perf_paranoid(paranoid);
    if (error == 0) {
        doctor_say(d, DOCTOR_OK, "machine.switches",
                   "the kernel permits perf events of context switches (kernel.perf_event_paranoid is %s)",
                   paranoid[0] != 0 ? paranoid : "not known");
        return;
    }
    if (opened) {
        doctor_say(d, DOCTOR_WARN, "machine.switches",
                   "NSP_SWITCHES: there is no memory for the context switches of a thread: %s",
                   strerror(error));
        doctor_advise(
            d, "raise kernel.perf_event_mlock_kb (20 KiB for each thread) or RLIMIT_MEMLOCK, or give the "
               "program CAP_IPC_LOCK; without it, spans do not say how long they were off the CPU");
        return;
    }
    if (error != EACCES && error != EPERM) {
        const bool short_of = error == EMFILE || error == ENFILE || error == ENOMEM || error == EBUSY;
        doctor_say(d, DOCTOR_WARN, "machine.switches",
                   short_of
                       ? "NSP_SWITCHES: the context switches of threads cannot be recorded: %s"
                       : "NSP_SWITCHES: this kernel has no perf events of context switches, or a seccomp "
                         "profile hides them: %s",
                   strerror(error));
        doctor_advise(d, "spans will not say how long they were off the CPU; everything else works");
        return;
    }
    doctor_say(d, DOCTOR_WARN, "machine.switches",
               "NSP_SWITCHES: the kernel does not permit perf events (kernel.perf_event_paranoid is %s): %s",
               paranoid[0] != 0 ? paranoid : "not known", strerror(error));
    nsp__perf_remedy(remedy, sizeof remedy, paranoid);
    doctor_advise(d, "%s", remedy);
}
