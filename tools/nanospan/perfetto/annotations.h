// SPDX-License-Identifier: Apache-2.0
//
// Debug annotations: what Perfetto shows of a slice besides its name and times. Their names, and those of slices, are
// written once and referred to by number.
#ifndef NANOSPAN_PERFETTO_ANNOTATIONS_H
#define NANOSPAN_PERFETTO_ANNOTATIONS_H

#include "support/interning.h"
#include "support/trace_details.h"

// Of slices and events, and of annotations. Perfetto numbers each kind from 1.
typedef struct interned_names {
    interning events, annotations;
} interned_names;

void interned_names_free(interned_names *names);

// Writes the name of a slice or of an event.
void annotate_name(text *out, interned_names *names, slice name);

// Each writes an annotation into `field`: EVENT_ANNOTATIONS of an event, or ANNOTATION_DICT of another annotation.
void annotate_text(text *out, uint32_t field, interned_names *names, slice key, slice value);
void annotate_count(text *out, uint32_t field, interned_names *names, const char *key, uint64_t value);
void annotate_attribute(text *out, uint32_t field, interned_names *names, const attribute *a);

// Text that was written before, under a number of its own.
void annotate_known_text(text *out, uint32_t field, interned_names *names, const char *key, uint64_t number);

// A span's id as 16 hexadecimal digits.
void annotate_span_id(text *out, uint32_t field, interned_names *names, const char *key, uint64_t id);

// An array, one element for each link.
void annotate_links(text *out, uint32_t field, interned_names *names, const span_details *details);

#endif
