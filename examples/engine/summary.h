// SPDX-License-Identifier: Apache-2.0
//
// What the engine has to say about itself: a line each second, a summary at the end, and the same as JSON.
#ifndef ENGINE_SUMMARY_H
#define ENGINE_SUMMARY_H

#include <stdbool.h>

#include "engine/engine.h"

// One line about the time since the last one; while the engine trades.
void summary_progress(const struct engine *engine, double seconds);

// After the trading thread has ended and tracing was shut down. Returns true if everything is in balance: cash and
// units, and the tracing books.
bool summary_print(const struct engine *engine, double ns_per_tick);

// Writes the final numbers into a file; false with a line on standard error.
bool summary_write_json(const struct engine *engine, double ns_per_tick, const char *path);

#endif
