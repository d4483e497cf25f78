// SPDX-License-Identifier: Apache-2.0
//
// How both programs start tracing: configured by the environment, with a few defaults of their own.
#ifndef EXAMPLES_TRACING_H
#define EXAMPLES_TRACING_H

#include <stdbool.h>
#include <stdint.h>

// Starts tracing under this service name, unless the environment names another, with room for this many detached spans
// at once. False, with a line on standard error, where the configuration is wrong: a program that would otherwise run
// untraced and unnoticed.
bool tracing_start(const char *service, uint32_t detached_spans);

// Sends what is left, for at most five seconds.
void tracing_stop(void);

#endif
