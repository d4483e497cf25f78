// SPDX-License-Identifier: Apache-2.0
#include "session_match.h"

#include "complain.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool session_is_number(const char *given)
{
    return *given && given[strspn(given, "0123456789")] == '\0';
}

static const char *name_of(const char *directory)
{
    const char *slash = strrchr(directory, '/');
    return slash != NULL ? slash + 1 : directory;
}

bool session_is(const char *directory, uint32_t pid, const char *given)
{
    return (session_is_number(given) && pid == strtoul(given, NULL, 10)) ||
           strcmp(name_of(directory), given) == 0;
}

// NAME.PID.RANDOM
static bool has_name(const char *directory, const char *given)
{
    const char *name = name_of(directory);
    size_t length = strlen(given);
    return strncmp(name, given, length) == 0 && name[length] == '.' &&
           strspn(name + length + 1, "0123456789") != 0;
}

bool session_of_service(const char *directory, const char *service, const char *given)
{
    return strcmp(service, given) == 0 || has_name(directory, given);
}

// ---- directories ----

// The user whose session's directory this is, by its place: FOLDER/nanospan-UID/NAME.PID.RANDOM. False if it
// lies elsewhere.
static bool user_of_place(const char *path, uid_t *user)
{
    const char *name = strrchr(path, '/'), *parent = name;
    while (parent > path && parent[-1] != '/')
        parent--;
    unsigned number = 0;
    int length = 0;
    bool placed =
        parent != name && sscanf(parent, "nanospan-%u%n", &number, &length) == 1 && parent + length == name;
    *user = number;
    return placed;
}

bool session_may_be_directory(const char *given)
{
    char path[PATH_MAX];
    uid_t user;
    return strchr(given, '/') != NULL || (realpath(given, path) != NULL && user_of_place(path, &user));
}

bool session_place_of(session_place *out, const char *given)
{
    struct stat status;
    if (realpath(given, out->path) == NULL || stat(out->path, &status) != 0) {
        const bool closed = errno == EACCES; // as the folder of another user is
        complain("cannot find %s: %s; %s", given, strerror(errno),
                 closed ? "sessions can be used only by the user of their engine"
                        : "`nanospan recover --list` shows the sessions");
        return false;
    }
    if (!S_ISDIR(status.st_mode) || !user_of_place(out->path, &out->user) || out->user != status.st_uid) {
        complain("%s is not a session: sessions of this user lie in a folder nanospan-%u, usually below "
                 "/dev/shm",
                 given, (unsigned)geteuid());
        return false;
    }
    out->name = name_of(out->path);
    memcpy(out->folder, out->path, sizeof out->folder);
    *strrchr(out->folder, '/') = '\0'; // of the session
    *strrchr(out->folder, '/') = '\0'; // of the user's
    if (!*out->folder)
        memcpy(out->folder, "/", 2);
    return true;
}
