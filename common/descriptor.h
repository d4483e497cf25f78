// SPDX-License-Identifier: Apache-2.0
//
// Files that are opened, used and closed within one call. The library keeps no descriptor between its calls,
// because the application may close any of them (daemons close all), and the number may then stand for a file
// of its own. Functions that fail leave errno set.
#ifndef NSP_COMMON_DESCRIPTOR_H
#define NSP_COMMON_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/stat.h>

// Identifies a file, whatever its name is.
typedef struct nsp__file_id {
    dev_t device;
    ino_t inode;
} nsp__file_id;

// If fd is one of the standard descriptors, moves it to a higher number. Returns the descriptor, or -1 if
// there is no higher number or fd is -1. Async-signal-safe.
int nsp__above_standard(int fd);

enum { NSP__STANDARD_DESCRIPTORS = 3 };

// For calls of other libraries that open descriptors: occupies those of the standard descriptors that are
// closed, so that none of them is used, until they are released. Whoever reads or writes one of them
// meanwhile still gets EBADF.
void nsp__standard_hold(int held[NSP__STANDARD_DESCRIPTORS]);
void nsp__standard_release(const int held[NSP__STANDARD_DESCRIPTORS]);

// Like openat with O_CLOEXEC and O_NOFOLLOW, but never returns one of the descriptors 0 to 2. If the
// application had closed them, its output would go into the file. at: a folder's descriptor, or AT_FDCWD.
// mode: for O_CREAT, whatever the process's umask is. Returns -1 on failure. Async-signal-safe.
int nsp__open(int at, const char *path, int flags, mode_t mode);

// Opens a file that exists, if it is still the one that `id` identifies. Returns -1 on failure, with ESTALE
// if it is another file.
int nsp__open_again(const char *path, int flags, const nsp__file_id *id);

// fd may be any number, also one that stands for another thread's file by now. False if it is not an open
// descriptor.
bool nsp__file_identify(int fd, nsp__file_id *id);

// Closes fd, unless it is -1, and leaves errno as it is.
void nsp__close(int fd);

#endif
