// SPDX-License-Identifier: Apache-2.0
//
// Memory that the hot path writes to. It is never unmapped, because a thread may still hold a pointer into it
// after shutdown or in the child of a fork. Instead its pages are replaced by private zero pages at the same
// address: late writes to them are harmless, and every span reads as closed.
#ifndef NSP_BASE_MAPPING_H
#define NSP_BASE_MAPPING_H

#include <nanospan/base.h>

// Maps bytes of an open file (MAP_SHARED), populates all pages, and keeps the mapping out of forked children.
// The file's space must have been allocated. Huge pages and locking are as paging.h says. Returns NULL on
// failure, with errno set. Does not call malloc.
void *nsp__map_file(int fd, uint64_t offset, size_t bytes);

// The same without a file, zeroed. A forked child finds zeros there.
void *nsp__map_private(size_t bytes);

// The same, except that a forked child gets its own copy of the first `kept` bytes, a multiple of the page
// size.
void *nsp__map_private_keeping(size_t kept, size_t bytes);

// To be called in the child of a fork; async-signal-safe there. Puts private zero pages where files were
// mapped, and forgets all mappings. Addresses at which another fork handler has already mapped something are
// left alone.
void nsp__mappings_replace_after_fork(void);

// Replaces the pages of one mapping at shutdown; it stays readable and writable for good. Here and below,
// address may be any address within the mapping.
void nsp__mapping_retire(void *address);

// Leaves one mapping as it is for good, also in the children of later forks.
void nsp__mapping_leave(void *address);

#endif
