// SPDX-License-Identifier: Apache-2.0
//
// A user's folder of sessions (".../nanospan-UID"): finding it, and listing what is in it.
#ifndef NSP_OUTSIDE_FOLDER_H
#define NSP_OUTSIDE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

// What the paths need, of a user's folder and of a session in it.
enum { NSP__FOLDER_PATH_MAX = 400, NSP__SESSION_PATH_MAX = 512, NSP__SESSIONS_SEEN_MAX = 1024 };

// The path of this user's folder in shm_dir; size: that of `path`. False if it does not fit.
bool nsp__folder_path(const char *shm_dir, char *path, size_t size);

// Opens a folder that has to belong to this user (geteuid), and that nobody else may access: others could
// replace what is in it while it is read. Root is no exception, since whoever owns the folder could lead root
// to any file. Returns a descriptor, which the caller closes, or -1 with errno set and a line about it,
// which names the folder, in `problem`.
int nsp__folder_open(const char *path, char *problem, size_t size);

// True if the owner of the open folder or file is this user. Otherwise, or if others may access it, `problem`
// becomes the end of a sentence that says so and what to do.
bool nsp__ours_alone(int fd, char *problem, size_t size);

// True if this can be the name of a session's directory.
bool nsp__session_name_valid(const char *name);

// True for a session that was never completed, or whose removal was cut short. While a session is created
// (session.c), and while it is removed, its name begins with a dot.
bool nsp__session_name_half_made(const char *name);

// Divides the path of a session's directory: into the path of its folder, of which `size` is the room, and
// its name, which lies in `folder` too. Slashes at the end do no harm. False: it is too long (errno
// ENAMETOOLONG), or not the path of a session.
bool nsp__folder_split(const char *directory, char *folder, size_t size, const char **name);

// The names of the sessions in the open folder, those with valid names or the half-made ones, sorted; at most
// NSP__SESSIONS_SEEN_MAX. To be freed with nsp__folder_free. NULL with errno set: no memory (ENOMEM), or the
// folder cannot be read.
char **nsp__folder_list(int folder_fd, bool half_made, size_t *count);
void nsp__folder_free(char **names, size_t count);

#endif
