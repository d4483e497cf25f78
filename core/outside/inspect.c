// SPDX-License-Identifier: Apache-2.0
//
// nsp_settings_each, over the table of environment.c, and nsp_sessions_each, over the sessions in shared
// memory.
#include <nanospan/inspect.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/call.h"
#include "common/descriptor.h"
#include "base/log.h"
#include "outside/scan.h"
#include "config/environment.h"
#include "outside/prune.h"

enum { SESSIONS_MAX = 1024, PROBLEM_SIZE = 700 };

// ---- settings ----

// True if the variable sets its member: it is set, and either accepted or one that hides variables of lower
// precedence even when it is bad.
static bool sets_member(const nsp__variable *variable, const nsp_config *used)
{
    char problem[PROBLEM_SIZE];
    return !variable->kind->sets_nothing && nsp__environment_text(variable->name) != NULL &&
           (variable->kind->keeps_its_place ||
            nsp__environment_judge(variable, used, problem, sizeof problem) != NSP__BAD);
}

// The variable of highest precedence that sets the same member, or NULL if none does.
static const nsp__variable *winner_of(const nsp__variable *variable, const nsp_config *used)
{
    for (size_t i = 0; i < nsp__variable_count; i++)
        if (nsp__variables[i].offset == variable->offset && sets_member(&nsp__variables[i], used))
            return &nsp__variables[i];
    return NULL;
}

static void judge(const nsp__variable *variable, const nsp_config *used, nsp_setting *out, char *problem,
                  size_t size)
{
    const nsp__variable *winner = winner_of(variable, used);
    out->is_default = winner == NULL;
    out->state = NSP_SETTING_UNSET;
    if (out->text == NULL)
        return;
    out->state = NSP_SETTING_IN_FORCE;
    nsp__verdict verdict = nsp__environment_judge(variable, used, problem, size);
    if (verdict == NSP__BAD) {
        out->state = NSP_SETTING_BAD;
    } else if (variable->kind == &nsp__kind_ignored) {
        out->state = NSP_SETTING_WITHOUT_EFFECT;
        snprintf(problem, size, "is ignored: it %s", variable->meaning);
    } else if (variable->kind == &nsp__kind_sampler_argument) {
        const char *sampler =
            winner != NULL && winner->kind == &nsp__kind_sampler ? nsp__environment_text(winner->name) : NULL;
        if (sampler != NULL && strcasestr(sampler, "traceidratio") != NULL)
            return;
        out->state = NSP_SETTING_WITHOUT_EFFECT;
        snprintf(problem, size,
                 "is used only if OTEL_TRACES_SAMPLER is traceidratio or parentbased_traceidratio");
    } else if (winner != NULL && winner != variable) {
        out->state = NSP_SETTING_BEATEN;
        out->beaten_by = winner->name;
        return;
    }
    if (out->state != NSP_SETTING_IN_FORCE || verdict == NSP__PARTLY)
        out->problem = problem;
}

nsp_status nsp_settings_each(nsp_setting_visit visit, void *argument)
{
    NSP__NO_CANCEL;
    if (visit == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_settings_each: visit is NULL");
    nsp_config used;
    nsp__environment_read(&used);
    for (size_t i = 0; i < nsp__variable_count; i++) {
        const nsp__variable *variable = &nsp__variables[i];
        char accepts[160], value[256], problem[PROBLEM_SIZE];
        const char *text = nsp__environment_text(variable->name);
        nsp_setting setting = {
            .size = sizeof setting,
            .variable = variable->name,
            .member = variable->member,
            .accepted = accepts,
            .fallback = variable->fallback,
            .meaning = variable->meaning,
            .text = text != NULL ? nsp__variable_shown(variable, text) : NULL,
            .value = value,
        };
        nsp__variable_accepts(variable, false, accepts, sizeof accepts);
        nsp__variable_value(variable, false, &used, value, sizeof value);
        setting.secret = variable->secret || setting.text != text;
        judge(variable, &used, &setting, problem, sizeof problem);
        if (!visit(argument, &setting))
            break;
    }
    return NSP_OK;
}

// ---- sessions ----

static int by_name(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

// Reads all names first, because visitors may take their time while engines come and go.
static size_t list_names(DIR *folder, char **names)
{
    size_t count = 0;
    for (struct dirent *entry; count < SESSIONS_MAX && (entry = readdir(folder)) != NULL;) {
        char *name =
            entry->d_name[0] != '.' && nsp__session_name_valid(entry->d_name) ? strdup(entry->d_name) : NULL;
        if (name != NULL)
            names[count++] = name;
    }
    qsort(names, count, sizeof *names, by_name);
    return count;
}

// The same check as for an engine's own sessions: if others may write to the folder, it may hold anything.
static bool ours_alone(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_uid == geteuid() && (status.st_mode & 077) == 0;
}

static nsp_status visit_folder(const char *path, DIR *folder, nsp_session_visit visit, void *argument)
{
    char **names = calloc(SESSIONS_MAX, sizeof *names);
    nsp__session_scan *scan = malloc(sizeof *scan);
    nsp_status status = NSP_OK;
    if (names == NULL || scan == NULL) {
        status = nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory");
    } else {
        size_t count = list_names(folder, names);
        bool more = true;
        for (size_t i = 0; i < count; i++) {
            errno = 0;
            if (more && nsp__session_scan_read(scan, dirfd(folder), path, names[i]))
                more = visit(argument, &scan->seen);
            else if (more && errno == ENOMEM)
                status = nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory");
            free(names[i]);
        }
    }
    free(scan);
    free(names);
    return status;
}

nsp_status nsp_sessions_each(const char *folder, nsp_session_visit visit, void *argument)
{
    NSP__NO_CANCEL;
    if (visit == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_sessions_each: visit is NULL");
    nsp_config used;
    nsp__environment_read(&used);
    if (folder == NULL)
        folder = used.shm_dir;
    if (folder == NULL || strcmp(folder, "none") == 0)
        return NSP_OK;
    char path[400];
    int length = snprintf(path, sizeof path, "%s/nanospan-%u", folder, (unsigned)geteuid());
    if (length < 0 || (size_t)length >= sizeof path)
        return nsp__fail(NSP_ERR_INVALID, "nsp_sessions_each: the folder's path is too long");
    int fd = nsp__open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 && errno == ENOENT)
        return NSP_OK;
    if (fd < 0)
        return nsp__fail(NSP_ERR_SYSTEM, "%s: %s", path, strerror(errno));
    DIR *directory = NULL;
    nsp_status status = NSP_OK;
    if (!ours_alone(fd))
        status = nsp__fail(NSP_ERR_SYSTEM, "%s belongs to another user, or other users may access it", path);
    else if ((directory = fdopendir(fd)) == NULL)
        status = nsp__fail(NSP_ERR_SYSTEM, "%s: %s", path, strerror(errno));
    else
        status = visit_folder(path, directory, visit, argument);
    if (directory != NULL)
        closedir(directory);
    else
        close(fd);
    return status;
}
