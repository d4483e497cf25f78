// SPDX-License-Identifier: Apache-2.0
//
// How the programs start tracing: configured by the environment, with a few defaults of their own.
#ifndef EXAMPLES_TRACING_H
#define EXAMPLES_TRACING_H

#include <stdbool.h>
#include <stdint.h>

// Starts tracing under this service name, unless the environment sets another, with room for this many open
// detached spans. If the configuration is wrong, prints a line on standard error and returns false, so that
// no program runs untraced without anybody noticing.
bool tracing_start(const char *service, uint32_t detached_spans);

// Sends the remaining spans, for at most five seconds.
void tracing_stop(void);

#endif
