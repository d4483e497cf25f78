// SPDX-License-Identifier: Apache-2.0
#include "outside/session/opening.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "outside/session/session_files.h"
#include "shm/session.h"

_Static_assert(sizeof((nsp__session *)NULL)->directory <= NSP__SESSION_PATH_MAX,
               "whatever path an engine's session has, it can be opened");

nsp_status nsp__opening_refuse(nsp__opening *opening, nsp_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(opening->problem, opening->size, format, arguments);
    va_end(arguments);
    return nsp__fail(status, "%s: %s", opening->name, opening->problem);
}

nsp_status nsp__opening_refuse_copy(nsp__opening *opening, const nsp__session_copy *copy)
{
    const nsp_status status = nsp__session_copy_status(copy);
    return nsp__opening_refuse(opening, status != NSP_OK ? status : NSP_ERR_SYSTEM, "%s",
                               copy->state == NSP__SESSION_GONE ? "there is no such session" : copy->problem);
}

nsp_status nsp__opening_folder(nsp__opening *opening, const char *directory, int *fd)
{
    *fd = -1;
    if (!nsp__folder_split(directory, opening->folder, sizeof opening->folder, &opening->name))
        return errno == ENAMETOOLONG
                   ? nsp__opening_refuse(opening, NSP_ERR_INVALID, "its path is too long")
                   : nsp__opening_refuse(opening, NSP_ERR_NOT_FOUND, "it is not the directory of a session");
    *fd = nsp__folder_open(opening->folder, opening->problem, opening->size);
    if (*fd < 0)
        return nsp__fail(errno == ENOENT ? NSP_ERR_NOT_FOUND : NSP_ERR_SYSTEM, "%s", opening->problem);
    return NSP_OK;
}

nsp_status nsp__opening_directory(nsp__opening *opening, int folder, int *fd)
{
    char fault[200];
    *fd = nsp__session_open(folder, opening->name);
    if (*fd < 0 && errno == ENOENT)
        return nsp__opening_refuse(opening, NSP_ERR_NOT_FOUND, "there is no such session");
    if (*fd < 0)
        return nsp__opening_refuse(opening, NSP_ERR_SYSTEM, "it cannot be opened: %s", strerror(errno));
    if (!nsp__ours_alone(*fd, fault, sizeof fault))
        return nsp__opening_refuse(opening, NSP_ERR_SYSTEM, "it %s", fault);
    return NSP_OK;
}
