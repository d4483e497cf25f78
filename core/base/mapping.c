// SPDX-License-Identifier: Apache-2.0
#include "base/mapping.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tsan.h"

enum { MAPPINGS_MAX = 4096 * 2 + 64 };

// A table instead of a list: the child of a fork walks it without a lock. A place is taken by its address going from 0
// to non-zero (CAS) and is free again once the mapping is retired.
static struct {
    uintptr_t address;
    size_t bytes;
} mappings[MAPPINGS_MAX];

static uint32_t mappings_used; // places that were ever taken, from the front

static bool remember(void *address, size_t bytes)
{
    for (uint32_t i = 0; i < MAPPINGS_MAX; i++) {
        uintptr_t expected = 0;
        if (__atomic_load_n(&mappings[i].address, __ATOMIC_RELAXED) != 0)
            continue;
        // The size must be there before the address is seen: reserve with an odd mark first.
        if (!__atomic_compare_exchange_n(&mappings[i].address, &expected, 1, false, __ATOMIC_ACQUIRE,
                                         __ATOMIC_RELAXED))
            continue;
        mappings[i].bytes = bytes;
        __atomic_store_n(&mappings[i].address, (uintptr_t)address, __ATOMIC_RELEASE);
        uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_RELAXED);
        while (used < i + 1 && !__atomic_compare_exchange_n(&mappings_used, &used, i + 1, true,
                                                            __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            ;
        return true;
    }
    return false;
}

static void *map(int fd, uint64_t offset, size_t bytes, int flags)
{
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_POPULATE, fd, (off_t)offset);
    if (address == MAP_FAILED)
        return NULL;
    if (!remember(address, bytes)) {
        munmap(address, bytes);
        return NULL;
    }
    // A child must neither share our rings nor pay for copies of them (and our pages stay writable without a fault).
    madvise(address, bytes, MADV_DONTFORK);
    return address;
}

void *nsp__map_file(int fd, uint64_t offset, size_t bytes)
{
    return map(fd, offset, bytes, MAP_SHARED);
}

void *nsp__map_private(size_t bytes)
{
    return map(-1, 0, bytes, MAP_PRIVATE | MAP_ANONYMOUS);
}

static void map_zeroes(void *address, size_t bytes)
{
    enum {
        PROTECTION = PROT_READ | PROT_WRITE,
        FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE
    };
#ifdef NSP__TSAN
    // ThreadSanitizer takes mmap for a write to all of it. Threads that go on with a session that has ended are meant to
    // find zeroes at any moment, so it is not told.
    NSP__TSAN_RELEASE(address);
    syscall(SYS_mmap, address, bytes, PROTECTION, FLAGS, -1, 0);
#else
    mmap(address, bytes, PROTECTION, FLAGS, -1, 0);
#endif
}

static void replace(uint32_t i, uintptr_t address)
{
    // If even this fails (no memory for the mapping itself), the old pages stay, or there are none in a child: nothing
    // better can be done here.
    map_zeroes((void *)address, mappings[i].bytes);
    __atomic_store_n(&mappings[i].address, 0, __ATOMIC_RELEASE);
}

void nsp__mappings_replace_after_fork(void)
{
    uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used; i++) {
        uintptr_t address = __atomic_load_n(&mappings[i].address, __ATOMIC_ACQUIRE);
        if (address > 1)
            replace(i, address);
        else if (address == 1)
            __atomic_store_n(&mappings[i].address, 0,
                             __ATOMIC_RELEASE); // the thread that was at it is not here
    }
}

// Where a mapping stands in the table; MAPPINGS_MAX if it does not.
static uint32_t find(const void *address)
{
    uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < used && address != NULL; i++)
        if (__atomic_load_n(&mappings[i].address, __ATOMIC_ACQUIRE) == (uintptr_t)address)
            return i;
    return MAPPINGS_MAX;
}

void nsp__mapping_retire(void *address)
{
    uint32_t i = find(address);
    if (i != MAPPINGS_MAX)
        replace(i, (uintptr_t)address);
}

void nsp__mapping_leave(void *address)
{
    uint32_t i = find(address);
    if (i == MAPPINGS_MAX)
        return;
    madvise(address, mappings[i].bytes, MADV_DOFORK);
    __atomic_store_n(&mappings[i].address, 0, __ATOMIC_RELEASE);
}
