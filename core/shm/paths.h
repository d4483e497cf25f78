// SPDX-License-Identifier: Apache-2.0
//
// The declarations of paths that the session's records refer to (abi/path.h): what the body of a record means. The
// table is the same in all sessions of a process, and only grows.
#ifndef NSP_SHM_PATHS_H
#define NSP_SHM_PATHS_H

#include <nanospan/path.h>

#include "common/fnv.h"

enum { NSP__PATHS_MAX = NSP_PATHS_MAX };

typedef struct nsp__path_field {
    nsp_name key;
    uint16_t offset; // in the body; of a text, that of its length, behind which the bytes lie
    uint16_t size;   // bytes of the value; of a text, its capacity
    uint8_t type;    // NSP_TYPE_I64, F64, BOOL or STR
    uint8_t phase;   // whose attribute it is, from 1; 0: the path's span's
    uint16_t reserved0;
    uint32_t reserved1;
    uint64_t unset; // the bits that stand for "not set"; of a text, its length
} nsp__path_field;

typedef struct nsp__path_layout {
    uint64_t checksum; // of the rest; 0: it is not there yet. Stored last (release PL1, acquire PL2)
    nsp_name name;     // of the path's span, as it is declared
    uint16_t bytes;    // of the body, a multiple of 16
    uint8_t phases, fields;
    uint64_t reserved;
    nsp_name phase_names[NSP_PATH_PHASES_MAX];
    nsp__path_field field[NSP_PATH_FIELDS_MAX]; // in the order of declaration
} nsp__path_layout;

// What `checksum` is if the rest is whole. Never 0.
static inline uint64_t nsp__path_layout_checksum(const nsp__path_layout *layout)
{
    const size_t from = sizeof layout->checksum;
    const uint64_t sum = nsp__fnv(NSP__FNV_START, (const char *)layout + from, sizeof *layout - from);
    return sum != 0 ? sum : 1;
}

typedef struct nsp__paths {
    uint32_t count; // numbers that are taken, perhaps more than there are
    uint32_t reserved;
    uint64_t overflowed;                   // declarations that found no number
    uint64_t shared;                       // detached paths that do not record and found no room of their own
    nsp__path_layout path[NSP__PATHS_MAX]; // that of number n is path[n - 1]
} nsp__paths;

#endif
