// SPDX-License-Identifier: Apache-2.0
//
// Opens the session of a dead engine for recovery, and ends it.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/log.h"
#include "base/testpoint.h"
#include "clock/clock_share.h"
#include "common/descriptor.h"
#include "outside/session/opening.h"
#include "outside/recover/recover_attempts.h"
#include "outside/recover/recover_file.h"
#include "outside/recover/recovery.h"
#include "outside/session/session_files.h"
#include "shm/session_lock.h"

// ---- opening ----

typedef struct opening {
    nsp_recovery *recovery;
    nsp__opening at;
    int directory; // open
} opening;

static nsp_status no_memory(opening *me)
{
    return nsp__opening_refuse(&me->at, NSP_ERR_NO_MEMORY, "there is not enough memory to read it");
}

// Takes the consumer's lock, and looks for the engine under it: nobody else can begin to work on the session
// then. One without that file is locked by nobody.
static nsp_status lock(opening *me)
{
    me->recovery->lock = nsp__session_consume(me->directory);
    int error = errno;
    errno = 0;
    if (!nsp__session_lock_free(me->directory, "alive"))
        return errno == 0 ? nsp__opening_refuse(&me->at, NSP_ERR_BUSY, "its engine is running")
                          : nsp__opening_refuse(&me->at, NSP_ERR_SYSTEM,
                                                "its engine's lock cannot be read: %s", strerror(errno));
    if (me->recovery->lock >= 0 || error == ENOENT)
        return NSP_OK;
    if (error == EAGAIN)
        return nsp__opening_refuse(&me->at, NSP_ERR_BUSY, "another process is recovering or draining it");
    return nsp__opening_refuse(&me->at, NSP_ERR_SYSTEM, "it cannot be locked: %s", strerror(error));
}

// Opens it. Where a recovery died while it entered a settlement, that is completed first; so the attempt had got on.
static bool open_copy(opening *me)
{
    nsp_recovery *recovery = me->recovery;
    bool readable = nsp__session_copy_open_damaged(&recovery->copy, recovery->folder, me->at.name);
    if (readable && recovery->lock >= 0 && nsp__writes_complete(&recovery->copy)) {
        recovery->attempts = 0;
        nsp__session_copy_close(&recovery->copy);
        readable = nsp__session_copy_open_damaged(&recovery->copy, recovery->folder, me->at.name);
    }
    return readable;
}

static nsp_status copy(opening *me)
{
    const nsp__session_copy *copy = &me->recovery->copy;
    const bool readable = open_copy(me);
    me->recovery->empty = copy->state == NSP__SESSION_NOT_STARTED;
    if (me->recovery->empty)
        return NSP_OK;
    if (readable && me->recovery->lock < 0)
        return nsp__opening_refuse(&me->at, NSP_ERR_DAMAGED,
                                   "it cannot be locked: it has no file \"consumer\"");
    return readable ? NSP_OK : nsp__opening_refuse_copy(&me->at, copy);
}

bool nsp__recovery_tables_init(nsp_recovery *recovery)
{
    const bool paths = nsp__path_plans_init(&recovery->paths, &recovery->copy.control->paths);
    if (!nsp__recovery_names_init(&recovery->names, &recovery->copy) || !paths)
        return false;
    recovery->paths.left_out = recovery->names.left_out;
    recovery->paths.name_text = nsp__recovery_name_text;
    recovery->paths.names = &recovery->names;
    return true;
}

void nsp__recovery_tell_paths(nsp_recovery *recovery)
{
    if (recovery->paths.untold[0] != 0)
        nsp__log(NSP_LOG_WARN, "",
                 "%s: %s: of such paths only the root is sent, and the other spans are counted as invalid",
                 recovery->copy.name, recovery->paths.untold);
    recovery->paths.untold[0] = 0;
}

static nsp_status find(opening *me)
{
    nsp_recovery *recovery = me->recovery;
    nsp_status status = copy(me);
    if (status != NSP_OK || recovery->empty)
        return status;
    if (!nsp__clock_sane(&recovery->copy.control->clock)) // its times would be impossible
        return nsp__opening_refuse(&me->at, NSP_ERR_DAMAGED, "its map of the clock is damaged");
    NSP__TESTPOINT("recover: before it is counted");
    recovery->interrupted = nsp__settling_interrupted(recovery->copy.directory);
    if (!nsp__recovery_tables_init(recovery) || !nsp__recovery_find(recovery) ||
        !nsp__recovery_count_left_out(recovery))
        return no_memory(me);
    return NSP_OK;
}

// What was found.
static void forget(nsp_recovery *recovery)
{
    nsp__settlement_free(&recovery->later);
    nsp__writes_free(&recovery->writes);
    free(recovery->rings);
    free(recovery->buffers);
    free(recovery->frames);
    free(recovery->batches);
    nsp__recovery_names_free(&recovery->names);
    nsp__path_plans_free(&recovery->paths);
    nsp__session_copy_close(&recovery->copy);
    *recovery = (nsp_recovery){.copy = recovery->copy, // closed
                               .folder = recovery->folder,
                               .lock = recovery->lock,
                               .attempts = recovery->attempts};
}

static nsp_status look_through(opening *me)
{
    int error = 0;
    nsp_status status = find(me);
    if (status != NSP_OK || me->recovery->empty)
        return status;
    if (nsp__recovery_settle_file(me->recovery, &error)) {
        forget(me->recovery);
        return find(me);
    }
    if (error == 0)
        return NSP_OK;
    if (error == ENOMEM)
        return no_memory(me);
    nsp__recovery_unwritable(error);
    return nsp__opening_refuse(&me->at, NSP_ERR_SYSTEM, "%s", nsp_error_detail());
}

static nsp_status open_session(opening *me, const char *directory)
{
    nsp_status status = nsp__opening_folder(&me->at, directory, &me->recovery->folder);
    if (status == NSP_OK)
        status = nsp__opening_directory(&me->at, me->recovery->folder, &me->directory);
    if (status == NSP_OK)
        status = lock(me);
    if (status != NSP_OK)
        return status;
    me->recovery->attempts = nsp__attempts_read(me->directory);
    nsp__attempts_note(me->directory, me->at.name, me->recovery->attempts + 1);
    status = look_through(me);
    if (status != NSP_ERR_DAMAGED)
        nsp__attempts_note(me->directory, me->at.name, me->recovery->attempts);
    return status;
}

nsp_status nsp_recovery_open(nsp_recovery **out, const char *directory, char *problem, size_t size)
{
    NSP__NO_CANCEL;
    char unwanted[NSP_RECOVERY_PROBLEM_MAX];
    if (out == NULL || directory == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_recovery_open: out or directory is NULL");
    opening me = {.at = {.name = directory, .problem = problem, .size = size}, .directory = -1};
    if (problem == NULL || size == 0) {
        me.at.problem = unwanted;
        me.at.size = sizeof unwanted;
    }
    me.at.problem[0] = 0;
    *out = NULL;
    me.recovery = calloc(1, sizeof *me.recovery);
    if (me.recovery == NULL)
        return no_memory(&me);
    me.recovery->folder = me.recovery->lock = -1;
    me.recovery->copy.directory = me.recovery->copy.control_fd = me.recovery->copy.threads_fd =
        me.recovery->copy.detached_fd = me.recovery->copy.batches_fd = -1;
    nsp_status status = open_session(&me, directory);
    if (status == NSP_OK) {
        *out = me.recovery;
        snprintf(me.at.problem, me.at.size, "%s", me.recovery->copy.damage);
    } else {
        nsp_recovery_close(me.recovery);
    }
    nsp__close(me.directory);
    return status;
}

bool nsp_recovery_set_aside(const nsp_recovery *recovery)
{
    return recovery->attempts >= NSP__ATTEMPTS_MAX;
}

bool nsp_recovery_damaged(const nsp_recovery *recovery)
{
    return recovery->damaged;
}

bool nsp_recovery_exporter_failed(const nsp_recovery *recovery)
{
    return recovery->exporter_failed;
}

// ---- the end ----

void nsp__recovery_end_attempt(const nsp_recovery *recovery)
{
    nsp__attempts_note(recovery->copy.directory, recovery->copy.name,
                       recovery->attempts + (recovery->damaged ? 1 : 0));
}

nsp_status nsp_recovery_settle(nsp_recovery *recovery)
{
    NSP__NO_CANCEL;
    if (recovery->later.count == 0)
        return NSP_OK;
    NSP__TESTPOINT("recover: file to be settled");
    bool written = nsp__recovery_write(recovery, &recovery->later);
    int error = errno;
    nsp__settlement_clear(&recovery->later);
    NSP__TESTPOINT("recover: file settled");
    nsp__recovery_end_attempt(recovery);
    if (!written)
        return nsp__recovery_unwritable(error);
    nsp__recovery_forget_file(recovery);
    return NSP_OK;
}

void nsp_recovery_account_get(const nsp_recovery *recovery, nsp_recovery_account *out)
{
    nsp_recovery_account account = recovery->account;
    size_t size = out->size < sizeof account ? out->size : sizeof account;
    account.left = account.finished + account.unfinished + account.from_batches - account.exported -
                   account.rejected - account.unconfirmed - account.skipped - account.invalid;
    account.size = out->size;
    memcpy(out, &account, size);
}

nsp_status nsp_recovery_remove(nsp_recovery *recovery, bool with_what_is_left)
{
    NSP__NO_CANCEL;
    nsp_recovery_account account = NSP_RECOVERY_ACCOUNT_INIT;
    nsp_recovery_account_get(recovery, &account);
    if (!with_what_is_left && account.left != 0)
        return nsp__fail(NSP_ERR_INVALID, "%llu spans are left in the session",
                         (unsigned long long)account.left);
    if (!with_what_is_left && recovery->damaged)
        return nsp__fail(NSP_ERR_DAMAGED, "what is damaged is left in the session");
    if (!with_what_is_left && recovery->later.count != 0)
        return nsp__fail(NSP_ERR_INVALID, "what was exported is not settled yet");
    if (!nsp__session_remove(recovery->folder, recovery->copy.name, recovery->copy.directory))
        return nsp__fail(NSP_ERR_SYSTEM, "the session cannot be removed: %s", strerror(errno));
    return NSP_OK;
}

void nsp_recovery_close(nsp_recovery *recovery)
{
    if (recovery == NULL)
        return;
    forget(recovery);
    nsp__session_unlock(recovery->lock);
    nsp__close(recovery->folder);
    free(recovery);
}
