// SPDX-License-Identifier: Apache-2.0
//
// What lies under the memory of mapping.h: pages of 2 MiB and locked memory, for those who ask for them. What
// the system refuses costs nothing but speed, so it is logged once and tracing goes on.
#ifndef NSP_BASE_PAGING_H
#define NSP_BASE_PAGING_H

#include <nanospan/base.h>

// The size of a huge page where ordinary ones have 4 KiB. Elsewhere there are none of this size.
#define NSP__HUGE_PAGE ((size_t)2 << 20)

// What the mappings from now on are to be like, until the next call. To be called at a session's start, before
// its memory is mapped; forgets what was refused before.
void nsp__paging_choose(bool huge, bool locked);

// Rounds up to whole pages, or to whole huge pages if those are wanted. Only mappings of such sizes get huge
// pages, so small ones do not take 2 MiB each.
size_t nsp__paging_up(size_t bytes);

// What a mapping of this size is to be aligned to; 0: to nothing more than a page.
size_t nsp__paging_alignment(size_t bytes);

// True if the file or folder lies in a hugetlbfs, where all mappings consist of huge pages. False for -1.
bool nsp__paging_in_hugetlbfs(int fd);

// True if mappings of sizes that nsp__paging_up returns can be made of this file, or of files in this folder.
// In a hugetlbfs they cannot if huge pages are not wanted, or have another size there: errno is EMEDIUMTYPE.
bool nsp__paging_fits(int fd);

// Puts huge pages under a populated mapping and locks it, as far as that is wanted. fd: its file; -1: none.
// Returns whether it is locked. Takes a few system calls; does not log or allocate. May be called by several
// threads at once.
bool nsp__paging_apply(void *address, size_t bytes, int fd);

// True if something was refused that nsp__paging_report has not logged yet in this session.
bool nsp__paging_unsaid(void);

// Logs what was refused, and what to do about it: one line for huge pages and one for locked memory, each once
// in a session.
void nsp__paging_report(void);

// What the session's memory is like, as the end of a sentence, such as ", in huge pages, locked"; "" for
// ordinary memory, also if something else was wanted and any of it was refused.
const char *nsp__paging_describe(void);

#endif
