// SPDX-License-Identifier: Apache-2.0
//
// Converts a span's attributes, events, links and status message from JSON to text that is safe for a
// terminal.
#ifndef NANOSPAN_SUPPORT_TRACE_NOTES_H
#define NANOSPAN_SUPPORT_TRACE_NOTES_H

#include "common/json_read.h"
#include "trace_file.h"

// Reads one span and adds its notes.
void trace_notes_read(nsp__json_reader *json, span_notes *out);

// Reads one KeyValue and adds its key and its value, as they are shown.
void trace_notes_key_value(nsp__json_reader *json, text *key, text *value);

// Reads one KeyValue; both results are empty if the value is not a string.
void trace_notes_string_attribute(nsp__json_reader *json, slice *key, slice *value);

// Adds a member of an AnyValue, whose name was read: a scalar, a list, or nothing if it has an unknown form.
void trace_notes_value_member(nsp__json_reader *json, slice name, text *out);

// Reads a number, NaN or an infinity, and writes it: as briefly as possible, since some writers use seventeen
// digits for 0.1.
bool trace_notes_double(slice digits, double *value);
void trace_notes_put_double(text *out, double value);

// Adds text that is safe to print. Control characters, which could steer the terminal, and bytes that are not
// UTF-8 become \xNN.
void trace_notes_plain(text *out, slice value);

#endif
