// SPDX-License-Identifier: Apache-2.0
//
// What a recovery leaves out unless --speculative is given.
#ifndef NANOSPAN_SUPPORT_LEFT_OUT_H
#define NANOSPAN_SUPPORT_LEFT_OUT_H

#include "text.h"

// "600 spans lay in history and were not exported"; nothing if both are 0. undecided: spans of traces that were open, and
// of which an outlier rule would have decided.
void left_out_spans(text *out, uint64_t history, uint64_t undecided);

// "46.0 KiB of history and 3 spans of traces that were not decided" of a session; nothing if both are 0.
void left_out_held(text *out, uint64_t history_bytes, uint64_t undecided);

#endif
