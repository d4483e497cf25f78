// SPDX-License-Identifier: Apache-2.0
#include "base/fork.h"

#include <sys/mman.h>
#include <unistd.h>

// Used where the kernel cannot wipe memory in a child (before Linux 4.14): no child is recognised before the
// handler has run there.
static uint32_t never_wiped = 1;
uint32_t *nsp__process_mark = &never_wiped;
static uint32_t number; // written while there is no other thread
__thread bool nsp__forking __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) void nsp__process_prepare(void)
{
    if (nsp__process_mark != &never_wiped)
        return;
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return;
    if (madvise(page, bytes, MADV_WIPEONFORK) != 0) {
        munmap(page, bytes);
        return;
    }
    nsp__process_mark = page;
    nsp__process_claim();
}

uint32_t nsp__process_number(void)
{
    return number;
}

void nsp__process_claim(void)
{
    number++;
    __atomic_store_n(nsp__process_mark, 1, __ATOMIC_RELAXED);
}
