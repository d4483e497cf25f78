// SPDX-License-Identifier: Apache-2.0
//
// Which engines are meant?
#include "tune.h"

#include "support/other_users.h"
#include "support/session_match.h"
#include "support/shell_word.h"
#include "support/units.h"
#include "common/time.h"
#include "common/user_name.h"
#include <nanospan/config.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NAMED = 8 }; // engines that a message names

void tune_choice_free(tune_choice *choice)
{
    figures_free(&choice->seen);
    free(choice->engines);
    free(choice->folder_owned);
    *choice = (tune_choice){0};
}

static bool look(tune_choice *out)
{
    if (figures_look(&out->seen, out->folder) != NSP_OK) {
        complain("the sessions of this user cannot be read: %s", nsp_error_detail());
        return false;
    }
    out->engines = need_zeroes(out->seen.count + 1, sizeof(figures_engine *));
    return true;
}

// ---- other users ----

// Adds this command line as another user has to type it.
static void add_command(text *out, const tune_options *o, uid_t user, const char *shm_dir)
{
    other_users_command(out, user, shm_dir);
    text_put(out, " tune");
    for (int i = 1; i < o->argc; i++) {
        text_char(out, ' ');
        shell_word(out, o->argv[i]);
    }
}

static void point_to_other_user(const tune_options *o, const char *owned, uid_t user, const char *shm_dir)
{
    char name[NSP__USER_NAME_MAX];
    text command = {0};
    add_command(&command, o, user, shm_dir);
    complain("%s belongs to the user %s, and only that user may tune it%s%.*s", owned,
             nsp__user_name(user, name),
             geteuid() == 0 ? ": " : "; root may become that user: ", (int)command.length, command.data);
    text_free(&command);
}

typedef struct hint {
    const tune_options *options;
    const char *shm_dir;
} hint;

static void hint_other_user(void *argument, const char *folder, uid_t user)
{
    const hint *me = argument;
    point_to_other_user(me->options, folder, user, me->shm_dir);
}

// A session that this user does not have may be another user's; a process of this user may have none.
static void hint_others(const tune_options *o, const char *folder)
{
    struct stat status;
    char process[64], owned[80];
    hint me = {.options = o, .shm_dir = folder};
    snprintf(process, sizeof process, "/proc/%.20s", o->wanted);
    const bool runs = session_is_number(o->wanted) && stat(process, &status) == 0;
    if (runs && status.st_uid != geteuid()) {
        snprintf(owned, sizeof owned, "the process %.20s", o->wanted);
        point_to_other_user(o, owned, status.st_uid, me.shm_dir);
    } else if (runs) {
        complain(
            "the process %.20s runs, and has no session there: its memory may be private or its tracing off, "
            "as its log says then; it may have another NSP_SHM_DIR; or it does not use nanospan",
            o->wanted);
    } else if (geteuid() == 0) {
        other_users_each(me.shm_dir, hint_other_user, &me);
    }
}

// ---- messages ----

static void add_engine(text *out, const figures_engine *engine)
{
    char age[UNITS_SIZE];
    const uint64_t now = nsp__clock_ns(CLOCK_REALTIME), start = engine->seen.start_unix_ns;
    units_age(age, now > start ? now - start : 0);
    text_format(out, "%s%s (pid %u", out->length != 0 ? ", " : "", engine->service, engine->seen.pid);
    text_format(out, engine->problem == NULL ? ", for %s)" : ")", age);
}

static void add_engines(text *out, figures_engine *const *engines, size_t count)
{
    for (size_t i = 0; i < count && i < NAMED; i++)
        add_engine(out, engines[i]);
    if (count > NAMED)
        text_format(out, " and %zu more", count - NAMED);
}

static bool none_matches(const tune_choice *choice, const tune_options *o)
{
    figures_engine **running = need_zeroes(choice->seen.count + 1, sizeof *running);
    size_t count = 0;
    text names = {0};
    nsp_config config;
    nsp_config_init(&config);
    const char *folder = choice->folder != NULL ? choice->folder : config.shm_dir;
    for (size_t i = 0; i < choice->seen.count; i++)
        if (choice->seen.engines[i].seen.alive)
            running[count++] = &choice->seen.engines[i];
    add_engines(&names, running, count);
    if (count != 0)
        complain("no session of this user in %s matches %s; running are: %.*s", folder, o->wanted,
                 (int)names.length, names.data);
    else
        complain("no session of this user in %s matches %s; none of an engine that runs is there", folder,
                 o->wanted);
    hint_others(o, folder);
    text_free(&names);
    free(running);
    return false;
}

static bool several(const tune_choice *choice, const tune_options *o)
{
    text names = {0};
    add_engines(&names, choice->engines, choice->count);
    complain(
        "%s fits %zu running engines, and none was changed: %.*s; name one by its process id, or change them "
        "with --all",
        o->wanted, choice->count, (int)names.length, names.data);
    text_free(&names);
    return false;
}

static bool readable(const figures_engine *engine)
{
    if (engine->problem == NULL)
        return true;
    complain("%s (pid %u): %s%s", engine->service, engine->seen.pid, engine->problem,
             engine->seen.other_version ? "; the command `nanospan` of that version can tune it" : "");
    return false;
}

static bool not_running(const figures_engine *engine)
{
    // Of one that cannot be read, it is not known whether its engine runs.
    if (!readable(engine))
        return false;
    complain(
        "%s (pid %u): its engine has ended, or died; a sampler can be changed only while its engine runs",
        engine->service, engine->seen.pid);
    return false;
}

// ---- the choice ----

// Takes the engines that run; `ended` gets one that fits and does not.
static void take(tune_choice *out, bool (*fits)(const figures_engine *, const char *), const char *given,
                 const figures_engine **ended)
{
    for (size_t i = 0; i < out->seen.count; i++) {
        figures_engine *engine = &out->seen.engines[i];
        if (!fits(engine, given))
            continue;
        if (engine->seen.alive)
            out->engines[out->count++] = engine;
        else
            *ended = engine;
    }
}

static bool fits_exactly(const figures_engine *engine, const char *given)
{
    return session_is(engine->directory, engine->seen.pid, given);
}

static bool fits_service(const figures_engine *engine, const char *given)
{
    return session_of_service(engine->directory, engine->service, given);
}

static bool take_directory(tune_choice *out, const tune_options *o, const figures_engine **ended)
{
    session_place place;
    if (!session_place_of(&place, o->wanted))
        return false;
    if (place.user != geteuid()) {
        point_to_other_user(o, o->wanted, place.user, NULL);
        return false;
    }
    tune_choice_free(out);
    out->folder = out->folder_owned = need_copy(place.folder);
    if (!look(out))
        return false;
    take(out, fits_exactly, place.name, ended);
    if (out->count == 0 && *ended == NULL)
        complain("%s is not a session", o->wanted);
    return out->count != 0 || *ended != NULL;
}

bool tune_choose(tune_choice *out, const tune_options *o)
{
    const figures_engine *ended = NULL;
    *out = (tune_choice){.folder = o->shm_dir};
    if (!look(out))
        return false;
    take(out, fits_exactly, o->wanted, &ended);
    if (out->count == 0 && ended == NULL)
        take(out, fits_service, o->wanted, &ended);
    if (out->count == 0 && ended == NULL) {
        if (!session_may_be_directory(o->wanted))
            return none_matches(out, o);
        if (!take_directory(out, o, &ended))
            return false;
    }
    if (out->count == 0)
        return not_running(ended);
    if (out->count > 1 && o->count != 0 && !o->all)
        return several(out, o);
    for (size_t i = 0; i < out->count; i++)
        if (!readable(out->engines[i]))
            return false;
    return true;
}

static const figures_engine *find(const tune_choice *choice, const char *name)
{
    for (size_t i = 0; i < choice->count; i++)
        if (strcmp(choice->engines[i]->name, name) == 0)
            return choice->engines[i];
    return NULL;
}

bool tune_look_again(tune_choice *out, const tune_choice *before)
{
    *out = (tune_choice){.folder = before->folder};
    if (!look(out))
        return false;
    for (size_t i = 0; i < out->seen.count; i++) {
        figures_engine *engine = &out->seen.engines[i];
        if (engine->problem == NULL && find(before, engine->name) != NULL)
            out->engines[out->count++] = engine;
    }
    return true;
}
