// SPDX-License-Identifier: Apache-2.0
#include "base/paging.h"

#include <errno.h>
#include <stdio.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"

// Linux 6.1; headers of older systems lack it. Unlike MADV_HUGEPAGE it works at once, says whether it did, and
// does so for tmpfs whatever shmem_enabled and the mount's huge= say.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

// One of the two wishes. The counts are in bytes, and relaxed: they are only compared and shown.
typedef struct nsp__wish {
    bool wanted, said;
    uint64_t asked, given;
    const char *why; // the first refusal's; NULL: nothing was refused
} nsp__wish;

static nsp__wish huge_pages, locked_memory;

static bool has_collapse; // looked up at the start, because what comes later may run on a small stack

static bool kernel_has_collapse(void)
{
    struct utsname system;
    unsigned major = 0, minor = 0;
    if (uname(&system) != 0 || sscanf(system.release, "%u.%u", &major, &minor) != 2)
        return true; // it may have
    return major > 6 || (major == 6 && minor >= 1);
}

// A collector that was left behind by an earlier session may still look at it.
static void renew(nsp__wish *wish, bool wanted)
{
    __atomic_store_n(&wish->why, NULL, __ATOMIC_RELAXED);
    __atomic_store_n(&wish->said, false, __ATOMIC_RELAXED);
    __atomic_store_n(&wish->asked, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&wish->given, 0, __ATOMIC_RELAXED);
    wish->wanted = wanted;
}

void nsp__paging_choose(bool huge, bool locked)
{
    has_collapse = !huge || kernel_has_collapse();
    renew(&huge_pages, huge);
    renew(&locked_memory, locked);
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t nsp__paging_up(size_t bytes)
{
    size_t page = huge_pages.wanted ? NSP__HUGE_PAGE : page_size();
    return (bytes + page - 1) & ~(page - 1);
}

size_t nsp__paging_alignment(size_t bytes)
{
    return huge_pages.wanted && bytes != 0 && bytes % NSP__HUGE_PAGE == 0 ? NSP__HUGE_PAGE : 0;
}

// why: NULL if the wish was fulfilled.
static void note(nsp__wish *wish, size_t bytes, const char *why)
{
    const char *none = NULL;
    __atomic_fetch_add(&wish->asked, bytes, __ATOMIC_RELAXED);
    if (why == NULL)
        __atomic_fetch_add(&wish->given, bytes, __ATOMIC_RELAXED);
    else // a constant, so there is nothing to release
        __atomic_compare_exchange_n(&wish->why, &none, why, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// ---- huge pages ----

static bool in_file_system(int fd, unsigned long type, struct statfs *status)
{
    return fd >= 0 && fstatfs(fd, status) == 0 && (unsigned long)status->f_type == type;
}

bool nsp__paging_in_hugetlbfs(int fd)
{
    struct statfs status;
    return in_file_system(fd, HUGETLBFS_MAGIC, &status);
}

bool nsp__paging_fits(int fd)
{
    struct statfs status;
    if (!in_file_system(fd, HUGETLBFS_MAGIC, &status) ||
        (huge_pages.wanted && (size_t)status.f_bsize == NSP__HUGE_PAGE))
        return true;
    errno = EMEDIUMTYPE;
    return false;
}

static const char *why_no_huge_pages(int fd, int error)
{
    struct statfs status;
    if (page_size() != 4096)
        return "this system's pages do not have 4 KiB, so its huge ones do not have 2 MiB";
    if (error != EINVAL)
        return "no 2 MiB of memory were free in one piece, or within the control group's limit; start the "
               "program earlier, or write 1 to /proc/sys/vm/compact_memory before it starts";
    if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) > 0)
        return "this process has them turned off (prctl PR_SET_THP_DISABLE)";
    if (fd >= 0 && !in_file_system(fd, TMPFS_MAGIC, &status))
        return "NSP_SHM_DIR is neither in a tmpfs nor in a hugetlbfs";
    if (!has_collapse)
        return "this kernel is older than Linux 6.1, so they come later if at all; mount a hugetlbfs for "
               "NSP_SHM_DIR";
    return "this system has them turned off; write madvise to /sys/kernel/mm/transparent_hugepage/enabled "
           "and advise to shmem_enabled beside it, or mount a hugetlbfs for NSP_SHM_DIR";
}

static void make_huge(void *address, size_t bytes, int fd)
{
    enum { TRIES = 8 }; // a page that the kernel is just busy with is refused
    int error = page_size() == 4096 ? EAGAIN : EINVAL;
    if (nsp__paging_in_hugetlbfs(fd))
        error = 0; // its pages are what they are
    else
        madvise(address, bytes, MADV_HUGEPAGE); // for khugepaged, should they be taken apart later
    for (int i = 0; i < TRIES && error == EAGAIN; i++)
        error = madvise(address, bytes, MADV_COLLAPSE) == 0 ? 0 : errno;
    note(&huge_pages, bytes, error != 0 ? why_no_huge_pages(fd, error) : NULL);
}

// ---- locked memory ----

static const char *why_not_locked(int error)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (error == ENOMEM || error == EPERM || error == EAGAIN))
        return "RLIMIT_MEMLOCK is too low";
    return error == EPERM ? "the system does not permit it" : "the system has no memory to lock";
}

static bool lock(void *address, size_t bytes)
{
    bool locked = mlock(address, bytes) == 0;
    note(&locked_memory, bytes, locked ? NULL : why_not_locked(errno));
    return locked;
}

bool nsp__paging_apply(void *address, size_t bytes, int fd)
{
    int error = errno;
    if (nsp__paging_alignment(bytes) != 0)
        make_huge(address, bytes, fd);
    bool locked = locked_memory.wanted && lock(address, bytes);
    errno = error;
    return locked;
}

// ---- what is said about it ----

static const char *refusal(const nsp__wish *wish)
{
    return __atomic_load_n(&wish->why, __ATOMIC_RELAXED);
}

static bool unsaid(const nsp__wish *wish)
{
    return refusal(wish) != NULL && !__atomic_load_n(&wish->said, __ATOMIC_RELAXED);
}

// True for one caller.
static bool claim(nsp__wish *wish)
{
    return unsaid(wish) && !__atomic_exchange_n(&wish->said, true, __ATOMIC_RELAXED);
}

static unsigned long long kib(uint64_t bytes)
{
    return (unsigned long long)((bytes + 1023) / 1024);
}

static unsigned long long asked_kib(const nsp__wish *wish)
{
    return kib(__atomic_load_n(&wish->asked, __ATOMIC_RELAXED));
}

static unsigned long long given_kib(const nsp__wish *wish)
{
    return kib(__atomic_load_n(&wish->given, __ATOMIC_RELAXED));
}

// "unlimited" where nothing can be read.
static const char *memlock_limit(char *text, size_t size)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        snprintf(text, size, "unlimited");
    else
        snprintf(text, size, "%llu KiB", (unsigned long long)limit.rlim_cur / 1024);
    return text;
}

bool nsp__paging_unsaid(void)
{
    return unsaid(&huge_pages) || unsaid(&locked_memory);
}

void nsp__paging_report(void)
{
    char limit[40];
    if (claim(&huge_pages))
        nsp__log(
            NSP_LOG_WARN, "",
            "NSP_HUGE_PAGES: %llu of the session's %llu KiB lie in huge pages, the rest in ordinary ones: "
            "%s",
            given_kib(&huge_pages), asked_kib(&huge_pages), refusal(&huge_pages));
    if (claim(&locked_memory))
        nsp__log(
            NSP_LOG_WARN, "",
            "NSP_LOCK_MEMORY: %llu of the session's %llu KiB are locked, the rest may be swapped out: %s "
            "(RLIMIT_MEMLOCK: %s; needed: %llu KiB, and more for each thread that comes later); raise it "
            "with ulimit -l or LimitMEMLOCK= of a systemd service, or give CAP_IPC_LOCK",
            given_kib(&locked_memory), asked_kib(&locked_memory), refusal(&locked_memory),
            memlock_limit(limit, sizeof limit), asked_kib(&locked_memory));
}

const char *nsp__paging_describe(void)
{
    bool huge = huge_pages.wanted && refusal(&huge_pages) == NULL;
    bool locked = locked_memory.wanted && refusal(&locked_memory) == NULL;
    if (huge)
        return locked ? ", in huge pages, locked" : ", in huge pages";
    return locked ? ", locked" : "";
}
