// SPDX-License-Identifier: Apache-2.0
//
// Generates declarations of paths, and records of such paths, from a seed, without the library's own begin and end.
#ifndef NSP_TESTS_PATH_GENERATOR_H
#define NSP_TESTS_PATH_GENERATOR_H

#include "shm/path.h"
#include "shm/paths.h"

enum { PATH_RECORD_MAX = 4096 };

typedef union generated_path {
    nsp__record record;
    uint8_t bytes[PATH_RECORD_MAX];
} generated_path;

// A declaration of any shape, which is sane. Names are those of the process: short and long, of any characters; now and
// then one that is not a name, or a key that occurs twice.
void generated_layout(nsp__path_layout *layout, uint64_t *seed);

// A record of a path of this declaration, with this number, whose times lie behind `now`: phases and fields that are set
// or not, texts of any bytes and, if `items`, items behind the body.
void generated_path_make(generated_path *path, const nsp__path_layout *layout, uint32_t number, uint64_t now,
                         bool items, uint64_t *seed);

// Adds an item, as a setter does.
void generated_path_item(generated_path *path, nsp_name key, uint32_t type, const void *payload,
                         size_t length);

uint64_t generated_draw(uint64_t *seed, uint64_t below);

#endif
