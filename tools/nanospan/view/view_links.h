// SPDX-License-Identifier: Apache-2.0
//
// The links of a span: its own, and those to traces that were kept as its history, which come last.
#ifndef NANOSPAN_VIEW_VIEW_LINKS_H
#define NANOSPAN_VIEW_VIEW_LINKS_H

#include "support/trace_file.h"

enum { VIEW_LINKS_SHOWN = 3 }; // more of a kind are one line

typedef struct view_links {
    uint64_t own, history;
    uint64_t missing; // traces of the history for which there was no room for a link
} view_links;

view_links view_links_of(const span_notes *notes);

// "64 links to traces kept as history, 41 more have none; --links shows them".
void view_links_say(text *out, const view_links *links, bool history);

#endif
