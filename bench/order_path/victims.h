// SPDX-License-Identifier: Apache-2.0
//
// Work whose data or code is in the caches, and which becomes slower when something else evicts it.
#ifndef NSP_BENCH_VICTIMS_H
#define NSP_BENCH_VICTIMS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct victim {
    const char *name, *what;
    bool (*open)(const struct victim *victim); // false: no memory
    void (*close)(void);
    void (*run)(size_t steps);  // continues where the last call ended
    size_t (*bytes)(void);      // size of the working set
    size_t (*round_trip)(void); // number of steps that use the whole working set
} victim;

enum { VICTIMS = 5 };
extern const victim victims[VICTIMS];

#endif
