// SPDX-License-Identifier: Apache-2.0
//
// Conditions on the attributes of spans and of their resources, which are checked while a file is read: what cannot match
// is not decoded.
#ifndef NANOSPAN_SUPPORT_ATTRIBUTE_FILTER_H
#define NANOSPAN_SUPPORT_ATTRIBUTE_FILTER_H

#include "text.h"

enum { MOST_CONDITIONS = 8 }; // each is a bit of a row

typedef struct attribute_condition {
    text key;    // as `nanospan view` shows keys
    text member; // the key in quotes, as files have it unless they escape characters; empty: not known
    const char *pattern; // of the value as it is shown; NULL: any value
    uint64_t seen, met;  // attributes with this key, and those of them whose value matches
} attribute_condition;

typedef struct attribute_filter {
    attribute_condition conditions[MOST_CONDITIONS];
    size_t count;
    text copy, key, value; // of the attributes that are being read
} attribute_filter;

// Adds KEY=PATTERN, or KEY for any value. Returns false after printing an error. The text has to stay there.
bool attribute_filter_add(attribute_filter *filter, const char *given);
void attribute_filter_free(attribute_filter *filter);

// Every condition's bit.
uint8_t attribute_filter_all(const attribute_filter *filter);

// False if no attribute of this JSON text can match.
bool attribute_filter_may_match(const attribute_filter *filter, slice json);

// The bits of the conditions that hold for a list of attributes, which is JSON that was found to be sound.
uint8_t attribute_filter_list(attribute_filter *filter, slice json);

// The same for an object with a member `attributes`, such as a resource.
uint8_t attribute_filter_object(attribute_filter *filter, slice json);

// Says which conditions no attribute met.
void attribute_filter_complain(const attribute_filter *filter);

#endif
