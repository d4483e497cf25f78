// SPDX-License-Identifier: Apache-2.0
//
// Every slow trace that is kept passes nsp_outlier_kept: a process that is watched by a breakpoint there. Its parent
// reads the arguments, as a debugger does.
// Sanitizers: none, because what is traced cannot be searched for leaks
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <nanospan/outlier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/capture.h"
#include "support/child.h"

#ifdef __x86_64__

enum { SLOW_NS = 1000000 };

static nsp_span *begin_at(const char *name, nsp_ticks start)
{
    return nsp_span_begin_at(nsp_intern(name, strlen(name)), start);
}

static void trace(const char *name, uint64_t ns)
{
    const nsp_ticks now = nsp_now();
    nsp_span *root = begin_at(name, now);
    nsp_span_end(nsp_span_begin(NSP_NAME("below")));
    nsp_span_end_at(root, nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(now) + ns));
}

static void apart(const char *name, uint64_t ns)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.start = nsp_now();
    nsp_span *root = nsp_span_begin_detached(nsp_intern(name, strlen(name)), &options);
    nsp_span_end_at(root, nsp_ticks_from_unix_ns(nsp_ticks_to_unix_ns(options.start) + ns));
}

static void watched(void)
{
    nsp_config config;
    capture_config(&config);
    config.sample_rate = 0;
    config.outliers = "sampled: slower=1ms; *: slower=1ms, errors, asked";
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
    CHILD_CHECK(nsp_sampler_set_rule("sampled", 1) == NSP_OK);
    trace("attached", 10);
    CHILD_CHECK(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
    CHILD_CHECK(raise(SIGSTOP) == 0);
    trace("quick", 10);
    trace("slow", 3 * SLOW_NS);
    trace("sampled", 2 * SLOW_NS);
    trace("sampled", 10);
    apart("apart", 5 * SLOW_NS);
    nsp_span *failed = begin_at("failed", 0);
    nsp_span_set_status(failed, NSP_SPAN_STATUS_ERROR, NULL);
    nsp_span_end(failed);
    nsp_span *asked = begin_at("asked", 0);
    CHILD_CHECK(nsp_trace_keep());
    nsp_span_end(asked);
    trace("slow too", 7 * SLOW_NS);
    CHILD_CHECK(nsp_shutdown(5000000000) == NSP_OK);
    CHILD_CHECK(capture_count_named("failed") == 1 && capture_count_named("asked") == 1);
    _exit(0);
}

static void read_text(pid_t child, uint64_t address, char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        errno = 0;
        const long word = ptrace(PTRACE_PEEKDATA, child, address + i, NULL);
        assert_int_equal(errno, 0);
        text[i] = (char)word;
        if (text[i] == 0)
            return;
    }
    fail();
}

static void slow_traces_pass_it(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t ns;
    } expected[] = {
        {"slow", 3 * SLOW_NS}, {"sampled", 2 * SLOW_NS}, {"apart", 5 * SLOW_NS}, {"slow too", 7 * SLOW_NS}};
    const size_t count = sizeof expected / sizeof *expected;
    const uintptr_t place = (uintptr_t)nsp_outlier_kept;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        watched();
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFSTOPPED(status)) {
        printf("skipped: this process may not be traced (status %x)\n", (unsigned)status);
        skip();
    }
    const long code = ptrace(PTRACE_PEEKTEXT, child, place, NULL);
    assert_int_equal(ptrace(PTRACE_POKETEXT, child, place, (code & ~0xffL) | 0xcc), 0);
    size_t seen = 0;
    for (int signal = 0;;) {
        assert_int_equal(ptrace(PTRACE_CONT, child, NULL, signal), 0);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status))
            break;
        assert_true(WIFSTOPPED(status));
        signal = WSTOPSIG(status);
        if (signal != SIGTRAP)
            continue;
        signal = 0;
        struct user_regs_struct registers;
        char name[32];
        assert_int_equal(ptrace(PTRACE_GETREGS, child, NULL, &registers), 0);
        assert_int_equal(registers.rip, place + 1);
        assert_true(seen < count);
        read_text(child, registers.rdi, name, sizeof name);
        assert_string_equal(name, expected[seen].name);
        // To a nanosecond: it was made from ticks and back.
        assert_in_range(registers.rsi, expected[seen].ns - 100, expected[seen].ns + 100);
        seen++;
        // Since it does nothing, it returns here.
        registers.rip = (unsigned long)ptrace(PTRACE_PEEKDATA, child, registers.rsp, NULL);
        registers.rsp += 8;
        assert_int_equal(ptrace(PTRACE_SETREGS, child, NULL, &registers), 0);
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(seen, count);
}

#else

static void slow_traces_pass_it(void **state)
{
    (void)state;
    skip(); // it reads the registers of x86-64
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(slow_traces_pass_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
