// SPDX-License-Identifier: Apache-2.0
//
// Which engine is meant?
#include "snapshot.h"

#include "support/complain.h"
#include "support/other_users.h"
#include "support/session_match.h"
#include "support/shell_word.h"
#include "common/user_name.h"
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool fits(const figures_engine *engine, const char *given, bool exactly)
{
    return exactly ? session_is(engine->directory, engine->seen.pid, given)
                   : session_of_service(engine->directory, engine->service, given);
}

// The only one that fits and runs. *count: how many do; *ended: one that fits and does not run.
static const figures_engine *find(const figures *seen, const char *given, bool exactly, size_t *count,
                                  const figures_engine **ended)
{
    const figures_engine *found = NULL;
    *count = 0;
    for (size_t i = 0; i < seen->count; i++) {
        const figures_engine *engine = &seen->engines[i];
        if (!fits(engine, given, exactly))
            continue;
        if (engine->seen.alive) {
            found = engine;
            ++*count;
        } else {
            *ended = engine;
        }
    }
    return found;
}

static void say_several(const figures *seen, const char *given)
{
    text names = {0};
    for (size_t i = 0; i < seen->count; i++)
        if (fits(&seen->engines[i], given, false) && seen->engines[i].seen.alive)
            text_format(&names, "%s%" PRIu32, names.length != 0 ? ", " : "", seen->engines[i].seen.pid);
    complain("several engines of the service %s run: name one by its process id: %.*s", given,
             (int)names.length, names.data);
    text_free(&names);
}

// ---- other users ----

void snapshot_point_to_other_user(const snapshot_options *o, const char *owned, uid_t user,
                                  const char *shm_dir)
{
    char name[NSP__USER_NAME_MAX];
    text command = {0};
    other_users_command(&command, user, shm_dir);
    text_put(&command, " snapshot");
    for (int i = 1; i < o->argc; i++) {
        text_char(&command, ' ');
        shell_word(&command, o->argv[i]);
    }
    complain("%s belongs to the user %s, and only that user may read it%s%.*s", owned,
             nsp__user_name(user, name),
             geteuid() == 0 ? ": " : "; root may become that user: ", (int)command.length, command.data);
    text_free(&command);
}

// An engine that this user does not have may be another user's.
static void hint_others(const snapshot_options *o)
{
    struct stat status;
    char process[64];
    nsp_config config;
    snprintf(process, sizeof process, "/proc/%.20s", o->wanted);
    if (!session_is_number(o->wanted) || stat(process, &status) != 0 || status.st_uid == geteuid())
        return;
    nsp_config_init(&config);
    snprintf(process, sizeof process, "the process %.20s", o->wanted);
    snapshot_point_to_other_user(o, process, status.st_uid, o->shm_dir != NULL ? o->shm_dir : config.shm_dir);
}

// ---- the choice ----

const figures_engine *snapshot_choose(const figures *seen, const snapshot_options *o, const char *given)
{
    const figures_engine *ended = NULL;
    size_t count;
    const figures_engine *found = find(seen, given, true, &count, &ended);
    if (found == NULL && ended == NULL)
        found = find(seen, given, false, &count, &ended);
    if (count > 1) {
        say_several(seen, given);
        return NULL;
    }
    if (found != NULL && found->problem != NULL) {
        complain("%s (pid %" PRIu32 "): %s", found->service, found->seen.pid, found->problem);
        return NULL;
    }
    if (found == NULL && ended != NULL) {
        complain("%s (pid %" PRIu32
                 "): its engine has ended, or died; `nanospan recover --speculative %" PRIu32
                 "` sends what it has left",
                 ended->service, ended->seen.pid, ended->seen.pid);
    } else if (found == NULL) {
        complain("no engine of this user fits %s; `nanospan top` shows which run", given);
        hint_others(o);
    }
    return found;
}
