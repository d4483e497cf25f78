// SPDX-License-Identifier: Apache-2.0
#ifndef NSP_BENCH_SELECT_H
#define NSP_BENCH_SELECT_H

#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

// Does the name match a comma-separated list of names and shell patterns?
static inline bool selected(const char *list, const char *name)
{
    while (*list != '\0') {
        char pattern[64];
        size_t length = strcspn(list, ",");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, list);
        if (fnmatch(pattern, name, 0) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

#endif
