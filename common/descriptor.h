// SPDX-License-Identifier: Apache-2.0
//
// Files that are opened, used and closed within one call. The library keeps no descriptor between its calls: the application
// may close any of them (daemons close all), and the number may then stand for a file of its own.
#ifndef NSP_COMMON_DESCRIPTOR_H
#define NSP_COMMON_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/stat.h>

// Which file it is, whatever its name.
typedef struct nsp__file_id {
    dev_t device;
    ino_t inode;
} nsp__file_id;

// Takes a descriptor over from its number, if that is one of the standard ones, to a higher one. -1 with errno where there is
// none, or fd is -1 already. Async-signal-safe.
int nsp__above_standard(int fd);

enum { NSP__STANDARD_DESCRIPTORS = 3 };

// For calls of other libraries that make descriptors: holds those of the standard ones that are closed, so that none of
// them is taken, until they are released. Whoever reads or writes one meanwhile still finds it closed (EBADF).
void nsp__standard_hold(int held[NSP__STANDARD_DESCRIPTORS]);
void nsp__standard_release(const int held[NSP__STANDARD_DESCRIPTORS]);

// As openat with O_CLOEXEC and O_NOFOLLOW, but never one of the descriptors 0 to 2, which the application may have closed:
// its output would go into the file. at: a folder's descriptor, or AT_FDCWD. mode: for O_CREAT, whatever the process's
// umask is. -1 with errno. Async-signal-safe.
int nsp__open(int at, const char *path, int flags, mode_t mode);

// The same of a file that is there already, if it is still this one; -1 otherwise, errno ESTALE where it is another one.
int nsp__open_again(const char *path, int flags, const nsp__file_id *id);

// False with errno if the descriptor is none.
bool nsp__file_identify(int fd, nsp__file_id *id);

// Closes it and leaves errno as it is; -1 is none.
void nsp__close(int fd);

#endif
