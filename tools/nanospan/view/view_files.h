// SPDX-License-Identifier: Apache-2.0
//
// The files of the command line, whose spans are in one store: a trace may be spread over several of them.
#ifndef NANOSPAN_VIEW_VIEW_FILES_H
#define NANOSPAN_VIEW_VIEW_FILES_H

#include "support/trace_file.h"
#include "view_options.h"

typedef struct view_files {
    trace_file *files;
    size_t count;
    trace_store store;
} view_files;

// Opens and reads all of them, with these conditions on attributes, and arranges the store. Malformed lines are reported.
// Returns false after printing an error; free it in either case.
bool view_files_read(view_files *in, const name_list *names, attribute_filter *where);
// False, after printing an error, if a file is among both.
bool view_files_apart(const view_files *a, const view_files *b);
void view_files_free(view_files *in);

// Spans that could not be shown, or not entirely, were reported.
bool view_files_sound(const view_files *in);

// True, after printing an error, if what is written to this path would take the place of one of the files, or if its
// FILE.part would.
bool view_files_overwritten(const view_files *in, const char *path);

// Spans without an id, which are left out.
uint64_t view_files_bad_spans(const view_files *in);

// "spans.jsonl", "a.jsonl and b.jsonl" or "3 files".
void view_files_names(const view_files *in, text *out);

#endif
