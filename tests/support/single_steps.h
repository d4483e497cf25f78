// SPDX-License-Identifier: Apache-2.0
//
// Runs code one instruction at a time: between step_on() and step_off(), SIGTRAP arrives after each of them.
// Breakpoints raise it at one instruction only. Single steps take the trap flag of x86-64; elsewhere, a test
// calls STEPS_OR_SKIP first and is skipped, and there are no breakpoints.
#ifndef NSP_TESTS_SINGLE_STEPS_H
#define NSP_TESTS_SINGLE_STEPS_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "support/sanitizer.h"

#if defined(__x86_64__)
enum { TRAP_FLAG = 0x100 };

#define STEPS_OR_SKIP() ((void)0)

// The trap comes after the instruction that follows the one that sets the flag.
static inline __attribute__((always_inline)) void step_on(void)
{
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() | TRAP_FLAG);
}

static inline __attribute__((always_inline)) void step_off(void)
{
    __builtin_ia32_writeeflags_u64(__builtin_ia32_readeflags_u64() & ~(unsigned long long)TRAP_FLAG);
}

// In the handler, with its third argument: the instruction that is executed next.
static inline __attribute__((unused)) uintptr_t stepped_to(const void *context)
{
    return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

// The same: after the handler, the program runs without steps.
static inline __attribute__((unused)) void step_no_more(void *context)
{
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
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

#else

#define STEPS_OR_SKIP() SKIP_BECAUSE("single steps need the trap flag of x86-64")

static inline void step_on(void) {}

static inline void step_off(void) {}

static inline __attribute__((unused)) uintptr_t stepped_to(const void *context)
{
    (void)context;
    return 0;
}

static inline __attribute__((unused)) void step_no_more(void *context)
{
    (void)context;
}

#endif

// True for an instruction of the program itself, nanospan's among them, and not of a shared library.
static inline __attribute__((unused)) bool of_this_program(uintptr_t at)
{
    extern const char __executable_start[], etext[]; // from the linker
    return at >= (uintptr_t)__executable_start && at < (uintptr_t)etext;
}

static inline __attribute__((unused)) bool run_stepped(bool (*body)(void))
{
    step_on();
    bool result = body();
    step_off();
    return result;
}

// With this handler of SIGTRAP.
static inline __attribute__((unused)) bool run_stepped_into(void (*handler)(int), bool (*body)(void))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    if (sigaction(SIGTRAP, &action, NULL) != 0)
        return false;
    const bool result = run_stepped(body);
    signal(SIGTRAP, SIG_DFL);
    return result;
}

// For handlers that call the library.
#define HANDLER_STEPS_OR_SKIP()                                                                              \
    do {                                                                                                     \
        STEPS_OR_SKIP();                                                                                     \
        if (TEST_UNDER_TSAN)                                                                                 \
            SKIP_BECAUSE(                                                                                    \
                "the thread sanitizer is not reentrant: no handler may run within its own functions");       \
    } while (0)

#endif
