// SPDX-License-Identifier: Apache-2.0
//
// Work that lives in the caches, and suffers when something else takes room there.
#ifndef NSP_BENCH_VICTIMS_H
#define NSP_BENCH_VICTIMS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct victim {
    const char *name, *what;
    bool (*open)(const struct victim *victim); // false: no memory
    void (*close)(void);
    void (*run)(size_t steps);  // goes on where the last call has ended
    size_t (*bytes)(void);      // of its working set
    size_t (*round_trip)(void); // steps after which all of the working set was in use
} victim;

enum { VICTIMS = 5 };
extern const victim victims[VICTIMS];

#endif
