// SPDX-License-Identifier: Apache-2.0
//
// A program that runs with more rights than its caller takes nothing from the caller's environment: no proxy,
// no file for TLS keys, no methods. The test runs a copy of itself that belongs to another user.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "http/methods.h"
#include "support/child.h"
#include "support/emulator.h"
#include "support/otlp_sender.h"

enum { NOBODY = 65534 };

static char folder[] = "/tmp/nanospan-setuid-XXXXXX";
static char copy[128], keys[128];
static otlp_sender otlp;

static void send_to(const char *endpoint)
{
    otlp_sender_prepare(&otlp, 1);
    snprintf(otlp.endpoint, sizeof otlp.endpoint, "%s", endpoint);
    otlp.config.protocol = "http/protobuf";
    CHILD_CHECK(otlp_sender_create(&otlp) == NSP_OK);
    CHILD_CHECK(otlp_sender_send(&otlp, 100, 3000) == NSP_SEND_RETRY);
    otlp_sender_destroy(&otlp);
}

static int as_somebody_else(bool trusted)
{
    if (!trusted && !getauxval(AT_SECURE))
        return 77; // the file system ignores the set-user-id bit
    send_to("https://127.0.0.1:1");
    CHILD_CHECK((access(getenv("SSLKEYLOGFILE"), F_OK) == 0) == trusted);
    send_to("http://collector.invalid:4318");
    CHILD_CHECK((strstr(otlp.report.detail, "the proxy") != NULL) == trusted);
    const nsp__method *method = nsp__method_of("BREW");
    CHILD_CHECK(method->known == trusted);
    return 0;
}

static int run(const char *program, const char *role)
{
    pid_t child = fork();
    if (child == 0) {
        program_exec(program, environ, program, role, (char *)NULL);
        _exit(98);
    }
    int status = child_wait(child, 30);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int prepare(void **state)
{
    (void)state;
    char program[PATH_MAX], command[PATH_MAX + 512];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return -1;
    program[length] = '\0';
    if (!mkdtemp(folder) || chmod(folder, 0777) != 0)
        return -1;
    snprintf(copy, sizeof copy, "%s/copy", folder);
    snprintf(keys, sizeof keys, "%s/keys", folder);
    snprintf(command, sizeof command, "cp '%s' %s", program, copy);
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("SSLKEYLOGFILE", keys, 1);
    setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "GET,BREW", 1);
    return system(command) == 0 && chown(copy, NOBODY, NOBODY) == 0 && chmod(copy, 04755) == 0 ? 0 : -1;
}

static int clean_up(void **state)
{
    (void)state;
    unlink(copy);
    unlink(keys);
    return rmdir(folder);
}

static void its_callers_environment_is_not_taken(void **state)
{
    (void)state;
    SKIP_ON_EMULATOR("the kernel sees no setuid bit of a program that it does not run itself");
    int status = run(copy, "secure");
    if (status == 77)
        skip();
    assert_int_equal(status, 0);
}

// A control: a program with no more rights than its caller does use these variables.
static void an_ordinary_program_takes_it(void **state)
{
    (void)state;
    assert_int_equal(chmod(copy, 0755), 0);
    assert_int_equal(run(copy, "ordinary"), 0);
}

int main(int argc, char **argv)
{
    if (argc > 1) // _exit skips the leak check, which a set-user-id program cannot run
        _exit(as_somebody_else(strcmp(argv[1], "ordinary") == 0));
    if (geteuid() != 0)
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_callers_environment_is_not_taken),
        cmocka_unit_test(an_ordinary_program_takes_it),
    };
    return cmocka_run_group_tests_name("setuid", tests, prepare, clean_up);
}
