// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

#include "say.h"
#include "support/complain.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

bool agent_watch_open(agent_watch *watch, const char *shm_dir)
{
    *watch = (agent_watch){.fd = -1, .on_folder = -1, .on_above = -1};
    int above = snprintf(watch->above, sizeof watch->above, "%s", shm_dir);
    int folder =
        snprintf(watch->folder, sizeof watch->folder, "%s/nanospan-%u", shm_dir, (unsigned)geteuid());
    if (above < 0 || folder < 0 || (size_t)folder >= sizeof watch->folder) {
        complain("the path of the folder of sessions is too long: %s", shm_dir);
        return false;
    }
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0)
        complain("the folder of sessions cannot be watched (%s), so new engines are found within a second",
                 strerror(errno));
    return true;
}

void agent_watch_close(agent_watch *watch)
{
    if (watch->fd >= 0)
        close(watch->fd);
    watch->fd = -1;
}

static void stop_watching(agent_watch *watch, int *which)
{
    if (*which >= 0)
        inotify_rm_watch(watch->fd, *which); // fails if what it watched is gone, and the watch with it
    *which = -1;
}

void agent_watch_renew(agent_watch *watch)
{
    _Alignas(struct inotify_event) char events[4096];
    if (watch->fd < 0)
        return;
    while (read(watch->fd, events, sizeof events) > 0)
        continue;
    // The same folder gives the same watch again. Another one of that name gives a new one. A session is complete
    // when it is moved to its name.
    int before = watch->on_folder;
    watch->on_folder = inotify_add_watch(
        watch->fd, watch->folder, IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW);
    if (before >= 0 && before != watch->on_folder)
        stop_watching(watch, &before);
    if (watch->on_folder >= 0)
        stop_watching(watch, &watch->on_above);
    else
        watch->on_above = inotify_add_watch(watch->fd, watch->above, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
}

// One line for each change of what is wrong with the folder.
static void tell(agent_watch *watch, const char *wrong)
{
    if (strcmp(watch->told, wrong) == 0)
        return;
    snprintf(watch->told, sizeof watch->told, "%s", wrong);
    if (*wrong)
        say_problem("%s", wrong);
}

// NULL with *missing: there is no such folder.
static DIR *open_folder(agent_watch *watch, bool *missing)
{
    struct stat status;
    char wrong[sizeof watch->told] = "";
    int fd = open(watch->folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *missing = fd < 0 && errno == ENOENT;
    if (fd < 0 && !*missing)
        snprintf(wrong, sizeof wrong, "%s cannot be read: %s", watch->folder, strerror(errno));
    else if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid != geteuid())
        snprintf(wrong, sizeof wrong, "%s belongs to another user, so nothing in it is read", watch->folder);
    else if (fd >= 0 && (status.st_mode & 077) != 0)
        snprintf(wrong, sizeof wrong,
                 "%s may be accessed by other users, so nothing in it is read: use chmod go-rwx",
                 watch->folder);
    tell(watch, wrong);
    DIR *stream = fd >= 0 && !*wrong ? fdopendir(fd) : NULL; // which closes it
    if (stream == NULL && fd >= 0)
        close(fd);
    return stream;
}

bool agent_watch_list(agent_watch *watch, agent_watch_visit visit, void *argument)
{
    bool missing;
    DIR *stream = open_folder(watch, &missing);
    if (stream == NULL)
        return missing;
    // While a session is made, and while it is removed, its name begins with a dot.
    struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL)
        if (entry->d_name[0] != '.' && (entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN))
            visit(argument, entry->d_name);
    bool whole = errno == 0;
    closedir(stream);
    return whole;
}
