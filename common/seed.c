// SPDX-License-Identifier: Apache-2.0
#include "common/seed.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <unistd.h>

#include "common/time.h"

// The fallback if the kernel's generator is not ready or not allowed (early boot, a seccomp filter): the 16
// random bytes that the kernel gives every process, combined with process, time and call.
static uint64_t fallback_seed(void)
{
    static uint64_t calls;
    uint64_t seed = 0;
    uint64_t parts[6] = {
        [0] = nsp__monotonic_ns(),
        [1] = (uint64_t)getpid(),
        [2] = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED),
        [3] = (uint64_t)(uintptr_t)&seed,
    };
    const void *start_bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    if (start_bytes != NULL)
        memcpy(&parts[4], start_bytes, 2 * sizeof parts[0]);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        seed = nsp__random_mix(seed + UINT64_C(0x9e3779b97f4a7c15) + parts[i]);
    return seed;
}

uint64_t nsp__random_seed(void)
{
    int saved_errno = errno;
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != (ssize_t)sizeof seed)
        seed = fallback_seed();
    errno = saved_errno;
    return seed;
}
