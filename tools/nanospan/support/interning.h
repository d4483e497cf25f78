// SPDX-License-Identifier: Apache-2.0
//
// Distinct texts, numbered from 0 in the order in which they came. They lie one after the other in one buffer.
#ifndef NANOSPAN_SUPPORT_INTERNING_H
#define NANOSPAN_SUPPORT_INTERNING_H

#include "text.h"

typedef struct interning {
    text bytes;
    size_t *ends; // of each text, in the bytes
    size_t count, capacity;
    uint32_t *slots; // number + 1; 0: free
    size_t mask;
} interning;

// The number of the text. *is_new, which may be NULL, says whether it came for the first time.
uint32_t interning_add(interning *in, slice value, bool *is_new);
slice interning_at(const interning *in, uint32_t number);
void interning_free(interning *in);

#endif
