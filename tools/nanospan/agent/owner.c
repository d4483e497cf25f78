// SPDX-License-Identifier: Apache-2.0
#include "owner.h"

#include "say.h"
#include "support/complain.h"
#include "support/other_users.h"
#include "support/shell_word.h"
#include "common/user_name.h"
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOLD_MAX = 64 };

typedef struct look {
    const char *shm_dir, *endpoint;
    bool any;
} look;

// Once for each user; of very many, those that are found first.
static void tell(void *argument, const char *folder, uid_t user)
{
    static uid_t told[TOLD_MAX];
    static size_t count;
    look *me = argument;
    char name[NSP__USER_NAME_MAX];
    text command = {0};
    me->any = true;
    for (size_t i = 0; i < count; i++)
        if (told[i] == user)
            return;
    if (count == TOLD_MAX)
        return;
    told[count++] = user;
    nsp__user_name(user, name);
    other_users_command(&command, user, me->shm_dir);
    text_put(&command, " agent --endpoint ");
    shell_word(&command, me->endpoint != NULL ? me->endpoint : "URL");
    text_char(&command, '\0');
    if (*name == '#') // a number, which systemctl does not take
        say_problem("%s belongs to another user, and is left alone: run an agent as that user: %s", folder,
                    command.data);
    else
        say_problem(
            "%s belongs to the user %s, and is left alone: run an agent as that user, with systemctl start "
            "nanospan-agent@%s, or %s",
            folder, name, name, command.data);
    text_free(&command);
}

void owner_look(const char *shm_dir, const char *endpoint)
{
    look me = {.shm_dir = shm_dir, .endpoint = endpoint};
    if (geteuid() == 0)
        other_users_each(shm_dir, tell, &me);
}

bool owner_check(const char *shm_dir, const char *endpoint)
{
    look me = {.shm_dir = shm_dir, .endpoint = endpoint};
    char own[PATH_MAX];
    struct stat status;
    if (geteuid() != 0)
        return true;
    other_users_each(shm_dir, tell, &me);
    snprintf(own, sizeof own, "%s/nanospan-0", shm_dir);
    if (!me.any || stat(own, &status) == 0)
        return true;
    complain("root has no engines in %s: start an agent for each of the users above", shm_dir);
    return false;
}
