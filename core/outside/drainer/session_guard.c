// SPDX-License-Identifier: Apache-2.0
//
// The handler may interrupt anything on any thread, so it takes no lock, and what it reads is never freed:
// guards that are given back are taken again.
#include "outside/drainer/session_guard.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct guarded_range {
    uintptr_t address;
    size_t bytes;
} guarded_range;

// Ranges of one guard. More follow when they are used up.
enum { RANGES = 62 };
typedef struct range_block {
    struct range_block *next; // constant once it is set (release GR1, acquire GR2)
    uint32_t used;            // from the front (release GR1, acquire GR2)
    guarded_range ranges[RANGES];
} range_block;

struct nsp__guard {
    nsp__guard *next; // in the list of all guards; constant once the guard is in it
    bool taken;       // of the thread that takes guards and gives them back
    bool lost;        // set before the mappings are replaced (release GL1, acquire GL2)
    range_block first;
};

static nsp__guard *all; // guards are only ever added (release GA1, acquire GA2)
static struct sigaction previous;

// ---- replacing ----

// As a system call: the function of that name is not made for signal handlers, and sanitizers replace it.
static bool put_zeroes(uintptr_t address, size_t bytes)
{
    return syscall(SYS_mmap, address, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == (long)address;
}

static const range_block *block_after(const range_block *block)
{
    return __atomic_load_n(&block->next, __ATOMIC_ACQUIRE); // GR2: acquires GR1
}

static uint32_t used_of(const range_block *block)
{
    return __atomic_load_n(&block->used, __ATOMIC_ACQUIRE); // GR2: acquires GR1
}

// Several threads may do this at the same time. A mapping that is just being added is replaced by whoever
// adds it (nsp__guard_map). False: the kernel refuses.
static bool replace(nsp__guard *guard)
{
    bool replaced = true;
    __atomic_store_n(&guard->lost, true, __ATOMIC_SEQ_CST); // GL1: to GL2; and see nsp__guard_map
    for (const range_block *block = &guard->first; block != NULL; block = block_after(block))
        for (uint32_t i = 0, used = used_of(block); i < used; i++)
            replaced = put_zeroes(block->ranges[i].address, block->ranges[i].bytes) && replaced;
    return replaced;
}

void nsp__guard_abandon(nsp__guard *guard)
{
    replace(guard);
}

bool nsp__guard_lost(const nsp__guard *guard)
{
    return __atomic_load_n(&guard->lost, __ATOMIC_ACQUIRE); // GL2: acquires GL1
}

// ---- the signal ----

static bool holds(const nsp__guard *guard, uintptr_t address)
{
    for (const range_block *block = &guard->first; block != NULL; block = block_after(block))
        for (uint32_t i = 0, used = used_of(block); i < used; i++)
            if (address - block->ranges[i].address < block->ranges[i].bytes)
                return true;
    return false;
}

static bool replace_around(uintptr_t address)
{
    nsp__guard *guard = __atomic_load_n(&all, __ATOMIC_ACQUIRE); // GA2: acquires GA1
    while (guard != NULL && !holds(guard, address))
        guard = guard->next;
    return guard != NULL && replace(guard);
}

// What would have happened without this handler. A fault happens again once the handler returns, and then
// ends the process; a signal that somebody sent has to be sent once more for that.
static void pass_on(int signal, siginfo_t *info, void *context)
{
    if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(signal, info, context);
    } else if (previous.sa_handler == SIG_DFL) {
        sigaction(signal, &previous, NULL);
        if (info->si_code <= 0)
            raise(signal);
    } else if (previous.sa_handler != SIG_IGN) {
        previous.sa_handler(signal);
    } else if (info->si_code > 0) { // nobody can ignore a fault
        sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    }
}

static void handle(int signal, siginfo_t *info, void *context)
{
    const int error = errno;
    if (info->si_code <= 0 || !replace_around((uintptr_t)info->si_addr))
        pass_on(signal, info, context);
    errno = error;
}

bool nsp__guard_install(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool installed;
    pthread_mutex_lock(&lock);
    if (!installed && sigaction(SIGBUS, NULL, &previous) == 0) {
        struct sigaction ours = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
        sigemptyset(&ours.sa_mask);
        installed = sigaction(SIGBUS, &ours, NULL) == 0;
    }
    bool is_installed = installed;
    pthread_mutex_unlock(&lock);
    return is_installed;
}

void nsp__guard_admit(sigset_t *before)
{
    sigset_t fault;
    sigemptyset(&fault);
    sigaddset(&fault, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &fault, before);
}

void nsp__guard_restore(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

// ---- guards ----

nsp__guard *nsp__guard_take(void)
{
    nsp__guard *guard = __atomic_load_n(&all, __ATOMIC_RELAXED); // our own stores
    while (guard != NULL && guard->taken)
        guard = guard->next;
    if (guard == NULL) {
        guard = calloc(1, sizeof *guard);
        if (guard == NULL)
            return NULL;
        guard->next = __atomic_load_n(&all, __ATOMIC_RELAXED);
        __atomic_store_n(&all, guard, __ATOMIC_RELEASE); // GA1: the guard, to GA2
    }
    guard->taken = true;
    __atomic_store_n(&guard->lost, false, __ATOMIC_RELAXED); // nobody else has it yet
    return guard;
}

// A block with room for one more range. NULL: no memory.
static range_block *block_with_room(nsp__guard *guard)
{
    range_block *block = &guard->first;
    while (block->used == RANGES) {
        if (block->next == NULL) {
            range_block *more = calloc(1, sizeof *more);
            if (more == NULL)
                return NULL;
            __atomic_store_n(&block->next, more, __ATOMIC_RELEASE); // GR1: an empty block, to GR2
        }
        block = block->next;
    }
    return block;
}

void *nsp__guard_map(nsp__guard *guard, int fd, uint64_t offset, size_t bytes)
{
    range_block *block = block_with_room(guard);
    if (block == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    void *address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
    if (address == MAP_FAILED)
        return NULL;
    madvise(address, bytes, MADV_DONTFORK);
    block->ranges[block->used] = (guarded_range){(uintptr_t)address, bytes};
    // GR1: the range, to GR2. Both this store and the look at `lost` are sequentially consistent with
    // replace: either that finds the range, or this finds that the session is lost.
    __atomic_store_n(&block->used, block->used + 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&guard->lost, __ATOMIC_SEQ_CST))
        put_zeroes((uintptr_t)address, bytes);
    return address;
}

void nsp__guard_give_back(nsp__guard *guard)
{
    if (guard == NULL)
        return;
    for (range_block *block = &guard->first; block != NULL; block = block->next) {
        const uint32_t used = block->used;
        // First: once the addresses are free, others may map something there, which is none of this guard's
        // business.
        __atomic_store_n(&block->used, 0, __ATOMIC_RELEASE); // GR1: there are none, to GR2
        for (uint32_t i = 0; i < used; i++)
            munmap((void *)block->ranges[i].address, block->ranges[i].bytes);
    }
    guard->taken = false;
}
