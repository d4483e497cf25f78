// SPDX-License-Identifier: Apache-2.0
#include "common/user_name.h"

#include <pwd.h>
#include <stddef.h>
#include <stdio.h>

const char *nsp__user_name(uid_t user, char *out)
{
    char texts[1024]; // ample for a line of /etc/passwd; a longer one is named by its number
    struct passwd entry, *found = NULL;
    if (getpwuid_r(user, &entry, texts, sizeof texts, &found) == 0 && found != NULL)
        snprintf(out, NSP__USER_NAME_MAX, "%s", found->pw_name);
    else
        snprintf(out, NSP__USER_NAME_MAX, "#%u", (unsigned)user);
    return out;
}
