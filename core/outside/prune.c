// SPDX-License-Identifier: Apache-2.0
#include "outside/prune.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "common/descriptor.h"
#include "outside/session/folder.h"
#include "outside/session/session_files.h"
#include "outside/session/session_history.h"
#include "outside/session/session_stats.h"
#include "shm/session_lock.h"

typedef struct dead_session {
    const char *name;
    uint64_t bytes;
    int64_t since_ns;
    uint64_t unsent; // spans; UINT64_MAX: nobody can tell
    bool history;    // there are traces that were not decided, or lie in history
    char other[160]; // "", or why it is of another version
} dead_session;

// Of a pass over the folder.
typedef struct pruning {
    int folder_fd;
    dead_session *dead;
    size_t count; // of them
    unsigned removed;
    bool none_created;  // no engine is creating a session without having it locked
    uint64_t lost;      // unsent spans in those that were removed
    unsigned histories; // of those that were removed: how many had such traces
    unsigned uncounted; // of those that were removed: nobody can tell what they held
} pruning;

// A time in the future says nothing: the clock has been set back since.
static bool younger_than(const struct stat *status, int seconds)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t age = (int64_t)now.tv_sec - (int64_t)status->st_mtim.tv_sec;
    return age < seconds && age > -seconds;
}

// True if the session, which nobody has locked, is old enough to be removed. Except for its first moment a
// session is locked all the time while it is created, so one without a lock was left by an engine that died,
// unless some engine is in that moment (nsp__sessions_creating_deny) and the session is very new.
static bool old_enough(const pruning *me, int directory, const char *name, const struct stat *status)
{
    enum { HALF_MADE_SECONDS = 60, EMPTY_SECONDS = 2 };
    if (nsp__session_name_half_made(name))
        return me->none_created || !younger_than(status, HALF_MADE_SECONDS);
    // Earlier versions gave a session its final name first, and removed its locks before its folder.
    return faccessat(directory, "alive", F_OK, 0) == 0 || !younger_than(status, EMPTY_SECONDS);
}

// True if the engine has died and nobody else is at work on its session.
static bool is_dead(const pruning *me, int directory, const char *name, struct stat *status)
{
    return fstat(directory, status) == 0 && nsp__session_lock_free(directory, "alive") &&
           nsp__session_lock_free(directory, "consumer") && old_enough(me, directory, name, status);
}

// Removes the session if it is still dead. Holds the consumer's lock meanwhile; a session without that file
// was never complete, or is half removed.
static bool remove_dead(const pruning *me, const char *name)
{
    int directory = nsp__session_open(me->folder_fd, name);
    struct stat status;
    bool removed = false;
    if (directory >= 0 && fstat(directory, &status) == 0 && old_enough(me, directory, name, &status)) {
        errno = 0;
        int lock = nsp__session_consume(directory);
        if ((lock >= 0 || errno == ENOENT) && nsp__session_lock_free(directory, "alive"))
            removed = nsp__session_remove(me->folder_fd, name, directory);
        nsp__session_unlock(lock);
    }
    nsp__close(directory);
    return removed;
}

// Since when there is this session. Its directory is younger if a recovery has left a mark there.
static int64_t since(int directory, const struct stat *status)
{
    struct stat alive;
    if (fstatat(directory, "alive", &alive, AT_SYMLINK_NOFOLLOW) == 0)
        status = &alive;
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static void find_dead(pruning *me, char **names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int directory = nsp__session_open(me->folder_fd, names[i]);
        struct stat status;
        if (directory >= 0 && is_dead(me, directory, names[i], &status))
            me->dead[me->count++] = (dead_session){
                .name = names[i],
                .bytes = nsp__session_bytes(directory),
                .since_ns = since(directory, &status),
            };
        nsp__close(directory);
    }
}

// What would be lost. What was never complete, or is half removed, has none.
static void examine(const pruning *me, dead_session *session)
{
    nsp__session_copy copy;
    nsp_stats stats;
    session->unsent = UINT64_MAX;
    bool readable = nsp__session_copy_open(&copy, me->folder_fd, session->name, false);
    if (readable && nsp__session_stats(&copy, &stats, NULL)) {
        session->unsent = nsp__stats_unsent(&stats);
        session->history = stats.speculating != 0 || nsp__session_history_bytes(&copy) != 0;
    } else if (copy.state == NSP__SESSION_NOT_STARTED)
        session->unsent = 0;
    else if (copy.state == NSP__SESSION_OTHER_VERSION)
        snprintf(session->other, sizeof session->other, "%s", copy.problem);
    nsp__session_copy_close(&copy);
}

// The least is removed first.
static int worth(const dead_session *session)
{
    return session->unsent != 0 ? 2 : session->history ? 1 : 0;
}

static int first_to_go(const void *left, const void *right)
{
    const dead_session *a = left, *b = right;
    if (worth(a) != worth(b))
        return worth(a) < worth(b) ? -1 : 1;
    return a->since_ns < b->since_ns ? -1 : a->since_ns > b->since_ns;
}

// True if the session may be removed: it is of this version, or somebody was told about it before. A file in
// the session remembers that.
static bool was_told(const pruning *me, const dead_session *session)
{
    if (session->other[0] == 0)
        return true;
    int directory = nsp__session_open(me->folder_fd, session->name);
    int mark = nsp__open(directory, "told", O_WRONLY | O_CREAT | O_EXCL, 0600);
    bool told = mark < 0 && errno == EEXIST;
    nsp__close(mark);
    nsp__close(directory);
    if (!told)
        nsp__log(NSP_LOG_WARN, "",
                 "the session %s of a dead engine is to make room, but %s; recover it with that version, or "
                 "the next engine that needs room removes it",
                 session->name, session->other);
    return told;
}

// Removes sessions until the rest is within the limits.
static void make_room(pruning *me, uint32_t keep_sessions, uint64_t keep_bytes)
{
    uint64_t bytes = 0, count = me->count;
    for (size_t i = 0; i < me->count; i++)
        bytes += me->dead[i].bytes;
    if (count <= keep_sessions && bytes <= keep_bytes)
        return;
    for (size_t i = 0; i < me->count; i++)
        examine(me, &me->dead[i]);
    qsort(me->dead, me->count, sizeof *me->dead, first_to_go);
    for (size_t i = 0; i < me->count && (count > keep_sessions || bytes > keep_bytes); i++) {
        const dead_session *session = &me->dead[i];
        if (!was_told(me, session) || !remove_dead(me, session->name))
            continue;
        me->removed++;
        me->histories += session->history;
        if (session->unsent != UINT64_MAX)
            me->lost += session->unsent;
        else
            me->uncounted++;
        count--;
        bytes -= session->bytes;
    }
}

// The lock is taken before the names are read, so whoever made one of these has locked it, or is dead.
static void remove_half_made(pruning *me)
{
    size_t count;
    me->none_created = nsp__sessions_creating_deny(me->folder_fd);
    char **names = nsp__folder_list(me->folder_fd, true, &count);
    for (size_t i = 0; i < count; i++)
        me->removed += remove_dead(me, names[i]);
    nsp__folder_free(names, count);
    if (me->none_created)
        nsp__sessions_creating_allow(me->folder_fd);
    me->none_created = false;
}

static void report(const pruning *me, const char *user_directory)
{
    char lost[80] = "", uncounted[80] = "", histories[120] = "";
    if (me->removed == 0)
        return;
    if (me->lost != 0)
        snprintf(lost, sizeof lost, "; %llu of their spans had not been sent", (unsigned long long)me->lost);
    if (me->uncounted != 0)
        snprintf(uncounted, sizeof uncounted, "; %u could not be read, so nobody knows what %s held",
                 me->uncounted, me->uncounted == 1 ? "it" : "they");
    if (me->histories != 0)
        snprintf(histories, sizeof histories,
                 "; %u had history or traces that were not decided (nanospan recover --speculative)",
                 me->histories);
    const bool anything = me->lost != 0 || me->uncounted != 0 || me->histories != 0;
    nsp__log(anything ? NSP_LOG_WARN : NSP_LOG_INFO, "", "removed %u session%s of dead engines from %s%s%s%s",
             me->removed, me->removed == 1 ? "" : "s", user_directory, lost, uncounted, histories);
}

unsigned nsp__session_prune(const char *user_directory, uint32_t keep_sessions, uint64_t keep_bytes)
{
    pruning me = {.folder_fd = nsp__open(AT_FDCWD, user_directory, O_RDONLY | O_DIRECTORY, 0)};
    if (me.folder_fd < 0)
        return 0;
    size_t count;
    char **names = nsp__folder_list(me.folder_fd, false, &count);
    me.dead = calloc(count + 1, sizeof *me.dead);
    if (me.dead != NULL) {
        remove_half_made(&me);
        find_dead(&me, names, count);
        make_room(&me, keep_sessions, keep_bytes);
        report(&me, user_directory);
    }
    free(me.dead);
    nsp__folder_free(names, count);
    nsp__close(me.folder_fd);
    return me.removed;
}
