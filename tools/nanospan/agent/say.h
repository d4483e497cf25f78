// SPDX-License-Identifier: Apache-2.0
//
// The lines of a running agent. One that standard error has no room for is dropped, as those of the library
// are: spans do not wait for a reader of the log. Any thread may call these functions.
#ifndef NANOSPAN_AGENT_SAY_H
#define NANOSPAN_AGENT_SAY_H

#include <stdbool.h>

// From now on, events are not shown.
void say_only_problems(void);

// One line for an event.
void say_event(const char *format, ...) __attribute__((format(printf, 1, 2)));
// One line for something that is wrong, and what to do about it.
void say_problem(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
