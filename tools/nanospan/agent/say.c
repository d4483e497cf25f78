// SPDX-License-Identifier: Apache-2.0
#include "say.h"

#include "support/complain.h"
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static bool only_problems;

void say_only_problems(void)
{
    only_problems = true;
}

__attribute__((format(printf, 1, 0))) static void say(const char *format, va_list arguments)
{
    char line[1000];
    struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&log, 1, 0) == 0)
        return;
    vsnprintf(line, sizeof line, format, arguments);
    complain("%s", line);
}

void say_event(const char *format, ...)
{
    va_list arguments;
    if (only_problems)
        return;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}

void say_problem(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(format, arguments);
    va_end(arguments);
}
