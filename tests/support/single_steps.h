// SPDX-License-Identifier: Apache-2.0
//
// Runs code one instruction at a time: the processor's trap flag raises SIGTRAP after each of them. And
// breakpoints, which raise it at one instruction only. For x86-64; elsewhere there is none of this.
#ifndef NSP_TESTS_SINGLE_STEPS_H
#define NSP_TESTS_SINGLE_STEPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100 };

// The trap comes after the instruction that follows the one that sets the flag.
static inline __attribute__((always_inline)) void step_on(void)
{
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
}

static inline __attribute__((always_inline)) void step_off(void)
{
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRAP_FLAG);
}

static inline __attribute__((unused)) bool run_stepped(bool (*body)(void))
{
    step_on();
    bool result = body();
    step_off();
    return result;
}

// An instruction that is replaced by one that raises SIGTRAP, with the address behind it.
typedef struct breakpoint {
    uint8_t *at; // NULL: none
    uint8_t was;
} breakpoint;

static inline __attribute__((unused)) bool breakpoint_set(breakpoint *point, uintptr_t at)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (mprotect((void *)(at & ~(page - 1)), page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        return false;
    point->at = (uint8_t *)at;
    point->was = *point->at;
    *(volatile uint8_t *)point->at = 0xcc; // int3
    return true;
}

static inline __attribute__((unused)) void breakpoint_clear(breakpoint *point)
{
    if (point->at != NULL)
        *(volatile uint8_t *)point->at = point->was;
    point->at = NULL;
}
#endif

#endif
