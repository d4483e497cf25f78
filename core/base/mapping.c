// SPDX-License-Identifier: Apache-2.0
#include "base/mapping.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/paging.h"
#include "base/tsan.h"

enum { MAPPINGS_MAX = 4096 * 2 + 64 };

// A table rather than a list, because the child of a fork walks it without a lock. An entry is taken by
// changing its address from 0 to non-zero (CAS), and is free again once the mapping is retired.
static struct {
    uintptr_t address;
    size_t bytes;
    bool inherited; // children have it too, wiped except for what is kept
    bool locked;
} mappings[MAPPINGS_MAX];

static uint32_t mappings_used; // entries ever taken, counted from the front

static bool remember(void *address, size_t bytes, bool inherited, bool locked)
{
    for (uint32_t i = 0; i < MAPPINGS_MAX; i++) {
        uintptr_t expected = 0;
        if (__atomic_load_n(&mappings[i].address, __ATOMIC_RELAXED) != 0)
            continue;
        // The size must be there before the address is seen, so the place is reserved with an odd mark first.
        if (!__atomic_compare_exchange_n(&mappings[i].address, &expected, 1, false,
                                         __ATOMIC_ACQUIRE, // MP3: acquires MP2, the place is free
                                         __ATOMIC_RELAXED))
            continue;
        __atomic_store_n(&mappings[i].bytes, bytes, __ATOMIC_RELEASE); // MP5: releases the mark to MP6
        mappings[i].inherited = inherited;
        mappings[i].locked = locked;
        // MP1: releases the size to MP4.
        __atomic_store_n(&mappings[i].address, (uintptr_t)address, __ATOMIC_RELEASE);
        uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_RELAXED);
        while (used < i + 1 &&
               !__atomic_compare_exchange_n(&mappings_used, &used, i + 1, true, __ATOMIC_RELEASE,
                                            __ATOMIC_RELAXED)) // MU1: to MU2
            ;
        return true;
    }
    return false;
}

// A child must neither share our rings nor pay for copies of them, and our pages must stay writable without a
// fault after a fork. Private memory is wiped in the child, so that pointers into it remain valid there. File
// mappings cannot be wiped, so the child does not get them. Returns whether the child has the memory.
static bool keep_from_children(char *address, size_t kept, size_t bytes, bool private)
{
    if (private && madvise(address + kept, bytes - kept, MADV_WIPEONFORK) == 0)
        return true;
    madvise(address, bytes, MADV_DONTFORK);
    return false;
}

// An address that is a multiple of the alignment, and at which nothing was mapped a moment ago; NULL if there
// is none. It is not kept reserved: if a mapping in its place fails, nothing may be unmapped that another
// thread could have mapped there meanwhile.
static void *aligned_gap(size_t bytes, size_t alignment)
{
    char *start =
        mmap(NULL, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    munmap(start, bytes + alignment);
    return start + (-(uintptr_t)start & (alignment - 1));
}

static void *map_pages(int fd, uint64_t offset, size_t bytes, int flags)
{
    enum { TRIES = 4, PROTECTION = PROT_READ | PROT_WRITE };
    size_t alignment = nsp__paging_alignment(bytes);
    flags |= MAP_POPULATE;
    for (int i = 0; alignment != 0 && i < TRIES; i++) {
        void *place = aligned_gap(bytes, alignment);
        if (place == NULL)
            break;
        void *address = mmap(place, bytes, PROTECTION, flags | MAP_FIXED_NOREPLACE, fd, (off_t)offset);
        if (address == place)
            return address;
        if (address != MAP_FAILED)
            munmap(address, bytes); // a kernel before 4.17 takes the place as a hint only
        else if (errno != EEXIST)
            break;
    }
    return mmap(NULL, bytes, PROTECTION, flags, fd, (off_t)offset);
}

static void *map(int fd, uint64_t offset, size_t kept, size_t bytes, int flags)
{
    void *address = map_pages(fd, offset, bytes, flags);
    if (address == MAP_FAILED)
        return NULL;
    bool inherited = keep_from_children(address, kept, bytes, fd < 0);
    bool locked = nsp__paging_apply(address, bytes, fd);
    if (!remember(address, bytes, inherited, locked)) {
        munmap(address, bytes);
        errno = ENOMEM; // as mmap fails when the process has too many mappings
        return NULL;
    }
    return address;
}

void *nsp__map_file(int fd, uint64_t offset, size_t bytes)
{
    return map(fd, offset, 0, bytes, MAP_SHARED);
}

void *nsp__map_private_keeping(size_t kept, size_t bytes)
{
    return map(-1, 0, kept, bytes, MAP_PRIVATE | MAP_ANONYMOUS);
}

void *nsp__map_private(size_t bytes)
{
    return nsp__map_private_keeping(0, bytes);
}

static void *map_zeroes(void *address, size_t bytes, int how)
{
    enum { PROTECTION = PROT_READ | PROT_WRITE, FLAGS = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
#ifdef NSP__TSAN
    // ThreadSanitizer treats mmap as a write to the whole range. Threads that still use a session which has
    // ended may find zeros at any moment, so ThreadSanitizer is not told.
    NSP__TSAN_RELEASE(address);
    return (void *)syscall(SYS_mmap, address, bytes, PROTECTION, FLAGS | how, -1, 0);
#else
    return mmap(address, bytes, PROTECTION, FLAGS | how, -1, 0);
#endif
}

// In a child, the range is unmapped, or another library's fork handler has mapped something there since.
// Whatever is still free is filled, page by page if necessary. Kernels before 4.17 take the address only as a
// hint.
static void fill_hole(char *address, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    void *found = map_zeroes(address, bytes, MAP_FIXED_NOREPLACE);
    if (found == address || (found == MAP_FAILED && errno != EEXIST))
        return;
    if (found != MAP_FAILED)
        munmap(found, bytes);
    if (bytes <= page)
        return; // the other library's
    size_t half = (bytes / 2 + page - 1) & ~(page - 1);
    fill_hole(address, half);
    fill_hole(address + half, bytes - half);
}

static void replace(uint32_t i, uintptr_t address)
{
    // If even this fails (no memory for the mapping itself), the old pages stay; nothing better can be done
    // here.
    map_zeroes((void *)address, mappings[i].bytes, MAP_FIXED);
    __atomic_store_n(&mappings[i].address, 0, __ATOMIC_RELEASE); // MP2: releases the place to MP3
}

void nsp__mappings_replace_after_fork(void)
{
    uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_ACQUIRE); // MU2: acquires MU1
    for (uint32_t i = 0; i < used; i++) {
        uintptr_t address = __atomic_load_n(&mappings[i].address, __ATOMIC_ACQUIRE); // MP4: acquires MP1
        if (address > 1 && !mappings[i].inherited)
            fill_hole((char *)address, mappings[i].bytes);
        // An address of 1 is the mark of a thread that does not exist in this process.
        __atomic_store_n(&mappings[i].address, 0, __ATOMIC_RELEASE); // MP2
    }
}

// The mapping's index in the table, or MAPPINGS_MAX if it is not there.
static uint32_t find(const void *address)
{
    uint32_t used = __atomic_load_n(&mappings_used, __ATOMIC_ACQUIRE); // MU2: acquires MU1
    for (uint32_t i = 0; i < used && address != NULL; i++) {
        uintptr_t start = __atomic_load_n(&mappings[i].address, __ATOMIC_ACQUIRE); // MP4: acquires MP1
        size_t bytes = __atomic_load_n(&mappings[i].bytes, __ATOMIC_ACQUIRE);      // MP6: acquires MP5
        // The address is read again, because another thread may just have given the place to another mapping.
        // Whoever sees that mapping's size also sees its mark.
        if (start > 1 && (uintptr_t)address - start < bytes &&
            __atomic_load_n(&mappings[i].address, __ATOMIC_RELAXED) == start)
            return i;
    }
    return MAPPINGS_MAX;
}

void nsp__mapping_retire(void *address)
{
    uint32_t i = find(address);
    if (i != MAPPINGS_MAX)
        replace(i, mappings[i].address);
}

void nsp__mapping_leave(void *address)
{
    uint32_t i = find(address);
    if (i == MAPPINGS_MAX)
        return;
    void *start = (void *)mappings[i].address;
    madvise(start, mappings[i].bytes, mappings[i].inherited ? MADV_KEEPONFORK : MADV_DOFORK);
    if (mappings[i].locked) // or each session would take some of what the process may lock
        munlock(start, mappings[i].bytes);
    __atomic_store_n(&mappings[i].address, 0, __ATOMIC_RELEASE); // MP2
}
