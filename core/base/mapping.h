// SPDX-License-Identifier: Apache-2.0
//
// Memory that the hot path writes to. Such memory is never unmapped: a thread may still hold a pointer into it after
// shutdown, or in the child of a fork. Instead its pages are replaced by private zero pages at the same address, in
// which late writes are harmless and every span reads as closed.
#ifndef NSP_BASE_MAPPING_H
#define NSP_BASE_MAPPING_H

#include <nanospan/base.h>

// Maps bytes of an open file, all pages in place (MAP_SHARED, populated), kept out of forked children. The file's space
// must have been allocated. NULL on failure (errno says why). No malloc.
void *nsp__map_file(int fd, uint64_t offset, size_t bytes);

// The same without a file, zeroed. A forked child finds zeroes in its place.
void *nsp__map_private(size_t bytes);

// The same, with a beginning that a forked child finds as it was, in a copy of its own. kept: a multiple of the page size.
void *nsp__map_private_keeping(size_t kept, size_t bytes);

// For the child of a fork (async-signal-safe there): puts private zero pages where there were mappings of files, and forgets
// all mappings. What another handler of fork has mapped there already is left alone.
void nsp__mappings_replace_after_fork(void);

// address, here and below: any one within the mapping. Replaces one mapping's pages (shutdown); it stays readable and writable for ever.
void nsp__mapping_retire(void *address);

// Leaves one mapping as it is for ever, children of later forks included.
void nsp__mapping_leave(void *address);

#endif
