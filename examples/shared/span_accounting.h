// SPDX-License-Identifier: Apache-2.0
//
// The span counters of this process, as a table for people and as JSON for scripts.
#ifndef EXAMPLES_SPAN_ACCOUNTING_H
#define EXAMPLES_SPAN_ACCOUNTING_H

#include <stdbool.h>
#include <stdio.h>

// Prints what happened to all spans, and whether the sum balances, which it must after nsp_shutdown. Returns
// true if it balances or tracing is off.
bool span_accounting_print(FILE *out, const char *who);

// Writes the same numbers as one JSON object.
void span_accounting_json(FILE *out);

#endif
