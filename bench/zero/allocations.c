// SPDX-License-Identifier: Apache-2.0
//
// The malloc of this program: counts calls of threads that are being watched, and calls the C library's
// malloc.
#include <errno.h>
#include <stddef.h>

#include "zero/watch.h"

__thread bool watch_armed;
__thread uint64_t watch_allocations;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MISSING "an instrumented build has its own allocator"
#elif !defined(__GLIBC__)
#define MISSING "this needs the allocator of glibc"
#else
#if defined(__x86_64__)
#define MISSING NULL
#else
#define MISSING "system calls can only be watched on x86-64"
#endif

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);
void __libc_free(void *);
void *memalign(size_t, size_t);
void *malloc(size_t);
void *calloc(size_t, size_t);
void *realloc(void *, size_t);
void *aligned_alloc(size_t, size_t);
int posix_memalign(void **, size_t, size_t);
void free(void *);

void *malloc(size_t size)
{
    watch_allocations += watch_armed;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    watch_allocations += watch_armed;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    watch_allocations += watch_armed;
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    watch_allocations += watch_armed;
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    watch_allocations += watch_armed;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    watch_allocations += watch_armed;
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0)
        return EINVAL;
    *out = __libc_memalign(alignment, size);
    return *out != NULL ? 0 : ENOMEM;
}

void free(void *pointer)
{
    watch_allocations += watch_armed;
    __libc_free(pointer);
}
#endif

const char *watch_missing(void)
{
    return MISSING;
}
