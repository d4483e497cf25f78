// SPDX-License-Identifier: Apache-2.0
//
// The engine's own numbers: a line each second, a summary at the end, and the same as JSON.
#ifndef ENGINE_SUMMARY_H
#define ENGINE_SUMMARY_H

#include <stdbool.h>

#include "engine/engine.h"

// Prints one line about the time since the previous one. For use while the engine trades.
void summary_progress(const struct engine *engine, double seconds);

// Prints the summary. Call it after the trading thread has ended and tracing was shut down. Returns true if
// cash and units are conserved and the span counters balance.
bool summary_print(const struct engine *engine, double ns_per_tick);

// Writes the final numbers to a file. On failure, prints a line on standard error and returns false.
bool summary_write_json(const struct engine *engine, double ns_per_tick, const char *path);

#endif
