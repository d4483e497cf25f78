// SPDX-License-Identifier: Apache-2.0
//
// Which sessions are meant?
#include "recover.h"

#include "support/other_users.h"
#include "support/session_match.h"
#include "support/shell_word.h"
#include "support/trace_notes.h"
#include "common/user_name.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

static char *copy_text(const char *from)
{
    size_t size = strlen(from) + 1;
    return memcpy(need_memory(size), from, size);
}

// ---- the sessions of a folder ----

static bool keep(void *argument, const nsp_session *seen)
{
    recover_choice *all = argument;
    all->sessions = need_room(all->sessions, all->count, &all->capacity, sizeof *all->sessions);
    recover_session *session = &all->sessions[all->count++];
    *session = (recover_session){
        .service = copy_text(seen->service != NULL && *seen->service ? seen->service : seen->name),
        .directory = copy_text(seen->directory),
        .problem = seen->problem != NULL ? copy_text(seen->problem) : NULL,
        .pid = seen->pid,
        .alive = seen->alive,
        .other_version = seen->other_version,
        .set_aside = seen->set_aside,
        .not_started = seen->not_started,
        .external = seen->external,
        .ended = seen->ended,
        .drained = seen->drained,
        .drainer_pid = seen->drainer_pid,
        .ring_fill = seen->ring_fill,
        .bytes = seen->bytes,
        .start_unix_ns = seen->start_unix_ns,
        .unsent = seen->unsent,
        .history_bytes = seen->history_bytes,
        .stats = seen->stats,
    };
    return true;
}

// Sessions that never got their name, and so begin with a dot, have nothing to recover: engines that start remove
// them.
static bool keep_named(void *argument, const nsp_session *seen)
{
    return strrchr(seen->directory, '/')[1] == '.' || keep(argument, seen);
}

// All sessions of this user below the folder that are to be kept; NULL: the one that the environment names.
static bool gather(recover_choice *all, const char *folder, nsp_session_visit visit)
{
    *all = (recover_choice){0};
    if (nsp_sessions_each(folder, visit, all) == NSP_OK)
        return true;
    complain("the sessions of this user cannot be read: %s", nsp_error_detail());
    recover_choice_free(all);
    return false;
}

void recover_choice_free(recover_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        free(choice->sessions[i].service);
        free(choice->sessions[i].directory);
        free(choice->sessions[i].problem);
    }
    free(choice->sessions);
    free(choice->dead);
    *choice = (recover_choice){0};
}

// ---- choosing among them ----

// Takes one session over, unless it is there already.
static void take(recover_choice *out, recover_session *from, bool named)
{
    for (size_t i = 0; i < out->count; i++)
        if (strcmp(out->sessions[i].directory, from->directory) == 0) {
            out->sessions[i].named |= named;
            return;
        }
    out->sessions = need_room(out->sessions, out->count, &out->capacity, sizeof *out->sessions);
    recover_session *taken = &out->sessions[out->count++];
    *taken = *from;
    taken->service = copy_text(from->service);
    taken->directory = copy_text(from->directory);
    taken->problem = from->problem != NULL ? copy_text(from->problem) : NULL;
    taken->named = named;
}

static bool take_one(recover_choice *out, recover_choice *all, const char *given)
{
    bool found = false;
    for (size_t i = 0; i < all->count; i++) {
        recover_session *session = &all->sessions[i];
        if (session_is(session->directory, session->pid, given)) {
            take(out, session, true);
            found = true;
        }
    }
    return found;
}

static void count_living(recover_choice *out, const recover_session *session)
{
    out->living++;
    out->living_external += session->external;
    out->living_undrained += session->external && !session->drained;
}

static bool take_service(recover_choice *out, recover_choice *all, const char *given, bool every)
{
    bool found = false;
    for (size_t i = 0; i < all->count; i++) {
        recover_session *session = &all->sessions[i];
        if (!session_of_service(session->directory, session->service, given))
            continue;
        found = true;
        if (every || !session->alive)
            take(out, session, false);
        else
            count_living(out, session);
    }
    return found;
}

// ---- directories ----

// As root, what belongs to others is not even opened: says whose it is, and what to type instead of this command,
// with the same target. folder, session: or NULL.
static void point_to_other_user(const recover_options *o, const char *owned, uid_t uid, const char *folder,
                                const char *session)
{
    char name[NSP__USER_NAME_MAX];
    text command = {0};
    other_users_command(&command, uid, folder);
    text_format(&command, " recover %s ", o->endpoint != NULL ? "--endpoint" : "--output");
    shell_word(&command, o->endpoint != NULL ? o->endpoint : o->output != NULL ? o->output : "FILE");
    if (session != NULL) {
        text_char(&command, ' ');
        shell_word(&command, session);
    }
    text_char(&command, '\0');
    complain("%s belongs to the user %s; this recovers it: %s", owned, nsp__user_name(uid, name),
             command.data);
    text_free(&command);
}

typedef struct hint {
    const recover_options *options;
    const char *shm_dir;
    bool any;
} hint;

// A folder stays when its sessions are gone.
static bool has_sessions(const char *folder)
{
    DIR *stream = opendir(folder);
    bool any = false;
    for (struct dirent *entry; stream != NULL && !any && (entry = readdir(stream)) != NULL;)
        any = entry->d_name[0] != '.';
    if (stream != NULL)
        closedir(stream);
    return any;
}

static void hint_other_user(void *argument, const char *folder, uid_t user)
{
    hint *me = argument;
    if (!has_sessions(folder))
        return;
    point_to_other_user(me->options, folder, user, me->shm_dir, NULL);
    me->any = true;
}

bool recover_hint_other_users(const recover_options *o)
{
    nsp_config config;
    nsp_config_init(&config);
    hint me = {.options = o, .shm_dir = config.shm_dir};
    if (geteuid() == 0)
        other_users_each(config.shm_dir, hint_other_user, &me);
    return me.any;
}

// False after a message.
static bool take_directory(recover_choice *out, const recover_options *o, const char *given)
{
    session_place place;
    if (!session_place_of(&place, given))
        return false;
    if (place.user != geteuid()) {
        point_to_other_user(o, given, place.user, NULL, place.path);
        return false;
    }
    recover_choice all;
    if (!gather(&all, place.folder, keep))
        return false;
    bool found = false;
    for (size_t i = 0; i < all.count && !found; i++) {
        found = strcmp(strrchr(all.sessions[i].directory, '/') + 1, place.name) == 0;
        if (found)
            take(out, &all.sessions[i], true);
    }
    recover_choice_free(&all);
    if (!found)
        complain("%s is not a session; --list shows the sessions", given);
    return found;
}

// ---- all of it ----

static void take_all(recover_choice *out, recover_choice *all, bool every)
{
    for (size_t i = 0; i < all->count; i++)
        if (every || !all->sessions[i].alive)
            take(out, &all->sessions[i], false);
}

// The services of dead sessions, each once. To be freed; NULL: there is none.
static char *dead_services(const recover_choice *all)
{
    text names = {0};
    for (size_t i = 0; i < all->count; i++) {
        bool known = all->sessions[i].alive;
        for (size_t k = 0; k < i && !known; k++)
            known =
                !all->sessions[k].alive && strcmp(all->sessions[k].service, all->sessions[i].service) == 0;
        if (known)
            continue;
        if (names.length != 0)
            text_put(&names, ", ");
        trace_notes_plain(&names, nsp__slice_of(all->sessions[i].service));
    }
    if (names.length != 0)
        text_char(&names, '\0');
    return names.data;
}

// What is no process id and no service may be a directory. Otherwise it may be a service that has nothing to recover, and
// only that is said.
static void choose_one(recover_choice *out, recover_choice *all, const recover_options *o, const char *given,
                       bool every)
{
    if (take_one(out, all, given) || take_service(out, all, given, every))
        return;
    if (session_may_be_directory(given)) {
        out->missing += !take_directory(out, o, given);
    } else if (session_is_number(given)) {
        complain("no session of this user has the process id %s; --list shows the sessions", given);
        out->missing++;
    } else if (every) {
        complain("no session matches %s", given);
    } else {
        complain("there is nothing to recover of %s: no dead session matches%s%s", given,
                 out->dead != NULL ? "; dead are: " : "", out->dead != NULL ? out->dead : "");
    }
}

static uint64_t start_of(const recover_session *session)
{
    return session->problem == NULL ? session->start_unix_ns : UINT64_MAX;
}

// The oldest first: that is the one which engines remove first, to make room. Those that cannot be read come last.
static int by_start(const void *one, const void *other)
{
    const recover_session *a = one, *b = other;
    if (start_of(a) != start_of(b))
        return start_of(a) < start_of(b) ? -1 : 1;
    return strcmp(a->directory, b->directory);
}

bool recover_choose(recover_choice *out, const recover_options *o, bool every)
{
    recover_choice all;
    *out = (recover_choice){0};
    if (!gather(&all, NULL, every ? keep : keep_named))
        return false;
    out->none = all.count == 0;
    out->dead = dead_services(&all);
    if (o->wanted_count == 0)
        take_all(out, &all, every);
    for (size_t i = 0; i < o->wanted_count; i++)
        choose_one(out, &all, o, o->wanted[i], every);
    recover_choice_free(&all);
    if (out->count != 0)
        qsort(out->sessions, out->count, sizeof *out->sessions, by_start);
    return true;
}
