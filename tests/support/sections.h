// SPDX-License-Identifier: Apache-2.0
//
// Entries of a session's table of sections, for tests that look at them or change them.
#ifndef NSP_TESTS_SECTIONS_H
#define NSP_TESTS_SECTIONS_H

#include "shm/control.h"

// The entry of this kind; NULL if there is none.
static inline __attribute__((unused)) const nsp__section *find_section(const nsp__control *control,
                                                                       nsp__section_kind kind)
{
    for (uint32_t i = 0; i < control->section_count; i++)
        if ((control->sections[i].kind & ~NSP__SECTION_OPTIONAL) == (uint32_t)kind)
            return &control->sections[i];
    return NULL;
}

#endif
