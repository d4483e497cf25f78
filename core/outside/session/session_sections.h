// SPDX-License-Identifier: Apache-2.0
//
// Reads the head of a control file and its table of sections, and the sections by that table. What is not read
// by it are the versions: a section of a version that is not known here is refused by name, or passed over if
// it is optional.
#ifndef NSP_OUTSIDE_SESSION_SECTIONS_H
#define NSP_OUTSIDE_SESSION_SECTIONS_H

#include "outside/session/session_copy.h"

// Reads head and table into copy->control and copy->sections. Every section that is not optional is there
// afterwards, with a stride that is at least the size of its elements; those of the file `control` lie within
// it. False: `problem` says why.
bool nsp__session_sections_read(nsp__session_copy *copy);

// Checks that the pools of detached spans and of batches have possible sizes: false, and `problem` says so. That
// their files do not hold all of them is damage.
bool nsp__session_pools_check(nsp__session_copy *copy);

// Reads the first `count` elements of a section into an array. place: what the section's offset counts from in
// the file that is open as fd. False if there are fewer, or if they cannot be read.
bool nsp__session_section_read(const nsp__session_copy *copy, nsp__section_kind kind, int fd, uint64_t place,
                               void *to, size_t element, uint64_t count);

// True if `count` elements of this size, `stride` apart, lie within the file's size from there.
bool nsp__elements_within(uint64_t size, uint64_t offset, uint64_t stride, uint64_t element, uint64_t count);

#endif
