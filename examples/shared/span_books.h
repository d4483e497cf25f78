// SPDX-License-Identifier: Apache-2.0
//
// The tracing books of this process, as a table for people and as JSON for scripts.
#ifndef EXAMPLES_SPAN_BOOKS_H
#define EXAMPLES_SPAN_BOOKS_H

#include <stdbool.h>
#include <stdio.h>

// Prints what became of every span, and whether the sum is right. At rest, after nsp_shutdown, it must be. Returns
// true if the books balance or tracing is off.
bool span_books_print(FILE *out, const char *who);

// Writes the same numbers as one JSON object.
void span_books_json(FILE *out);

#endif
