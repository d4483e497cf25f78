// SPDX-License-Identifier: Apache-2.0
//
// A seccomp filter traps every system call except those of one instruction, which is below. The handler of
// the trap counts the call, and then makes it with that instruction, so the program works as if nobody
// watched.
#include "zero/watch.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <ucontext.h>

static __thread uint64_t system_calls, log_lines; // in this window so far
static __thread uint64_t allocations_before;
static __thread struct rusage usage_before;

#if defined(__x86_64__)
// The filter identifies an instruction by the address after it.
__asm__(".pushsection .text\n"
        "watch_make_call:\n" // rdi: the number of the call, rsi: its six arguments
        "    movq %rdi, %rax\n"
        "    movq 40(%rsi), %r9\n"
        "    movq 32(%rsi), %r8\n"
        "    movq 24(%rsi), %r10\n"
        "    movq 16(%rsi), %rdx\n"
        "    movq 0(%rsi), %rdi\n"
        "    movq 8(%rsi), %rsi\n"
        "    syscall\n"
        "watch_call_made:\n"
        "    ret\n"
        ".popsection\n");
__attribute__((visibility("hidden"))) extern long watch_make_call(long number, const long arguments[6]);
__attribute__((visibility("hidden"))) extern const char watch_call_made[];

static void on_call(int number, siginfo_t *info, void *context)
{
    (void)number;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    system_calls += watch_armed;
    const long arguments[6] = {registers[REG_RDI], registers[REG_RSI], registers[REG_RDX],
                               registers[REG_R10], registers[REG_R8],  registers[REG_R9]};
    registers[REG_RAX] = watch_make_call(info->si_syscall, arguments);
}

bool watch_system_calls(void)
{
    uint64_t behind = (uint64_t)(uintptr_t)watch_call_made;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_call;
    action.sa_flags = SA_SIGINFO;
    if (sigaction(SIGSYS, &action, NULL) != 0)
        return false;
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)behind, 0, 2),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(behind >> 32), 2, 0),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 0, 1), // with which the handler returns
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}
#else
bool watch_system_calls(void)
{
    return false;
}
#endif

void watch_begin(void)
{
    allocations_before = watch_allocations;
    system_calls = log_lines = 0;
    getrusage(RUSAGE_THREAD, &usage_before);
    watch_armed = true;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void watch_end(watch_counts *sum)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    watch_armed = false;
    struct rusage now;
    getrusage(RUSAGE_THREAD, &now);
    sum->allocations += watch_allocations - allocations_before;
    sum->system_calls += system_calls;
    sum->log_lines += log_lines;
    sum->page_faults += (uint64_t)(now.ru_minflt - usage_before.ru_minflt) +
                        (uint64_t)(now.ru_majflt - usage_before.ru_majflt);
    sum->voluntary_switches += (uint64_t)(now.ru_nvcsw - usage_before.ru_nvcsw);
}

void watch_log(void *context, nsp_log_level level, const char *line)
{
    (void)context, (void)level, (void)line;
    log_lines += watch_armed;
}
