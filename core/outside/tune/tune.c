// SPDX-License-Identifier: Apache-2.0
//
// A writer of a session's policy in another process than the engine's.
#include <nanospan/tune.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "outside/drainer/live_policy.h"
#include "outside/session/opening.h"
#include "shm/session_lock.h"
#include "trace/sampler.h"

struct nsp_tune {
    nsp__session_live live;
    bool opened; // live is to be closed
    nsp__live_names names;
    nsp__live_policy policy;
    nsp__ring_source *sources; // of the threads, as they are found
    nsp__policy_draft draft;
};

// ---- opening ----

static nsp_status open_session(nsp_tune *tune, nsp__opening *at, const char *directory)
{
    const nsp__session_copy *copy = &tune->live.copy;
    int folder;
    nsp_status status = nsp__opening_folder(at, directory, &folder);
    if (status != NSP_OK)
        return status;
    tune->opened = true;
    bool opened = nsp__session_live_open(&tune->live, folder, at->name);
    nsp__close(folder);
    if (!opened)
        return nsp__opening_refuse_copy(at, copy);
    if (!copy->alive)
        return nsp__opening_refuse(at, NSP_ERR_NOT_INITIALISED, "its engine has ended, or died");
    if (!nsp__live_policy_init(&tune->policy, &tune->live))
        return nsp__opening_refuse(
            at, NSP_ERR_UNSUPPORTED,
            "it belongs to another version of nanospan, whose sampler can only be tuned by that");
    tune->sources = calloc((size_t)tune->live.threads_max + 1, sizeof *tune->sources);
    if (tune->sources == NULL || !nsp__live_names_init(&tune->names, copy, tune->live.control))
        return nsp__opening_refuse(at, NSP_ERR_NO_MEMORY, "there is not enough memory to tune it");
    return NSP_OK;
}

nsp_status nsp_tune_open(nsp_tune **out, const char *directory, char *problem, size_t size)
{
    char own[256];
    if (out == NULL || directory == NULL)
        return nsp__fail(NSP_ERR_INVALID, "no directory is given, or nothing to write the handle to");
    *out = NULL;
    NSP__ADMIT_FAULTS;
    nsp__opening at = {.name = directory, .problem = own, .size = sizeof own};
    own[0] = 0;
    nsp_tune *tune = calloc(1, sizeof *tune);
    nsp_status status =
        tune != NULL ? open_session(tune, &at, directory)
                     : nsp__opening_refuse(&at, NSP_ERR_NO_MEMORY, "there is not enough memory to tune it");
    if (problem != NULL && size != 0)
        snprintf(problem, size, "%s", own);
    if (status == NSP_OK)
        *out = tune;
    else
        nsp_tune_close(tune);
    return status;
}

void nsp_tune_close(nsp_tune *tune)
{
    if (tune == NULL)
        return;
    nsp__live_names_free(&tune->names);
    if (tune->opened)
        nsp__session_live_close(&tune->live);
    free(tune->sources);
    free(tune);
}

bool nsp_tune_matches(nsp_tune *tune, const char *pattern)
{
    if (tune == NULL || pattern == NULL)
        return false;
    NSP__ADMIT_FAULTS;
    bool found = false;
    for (nsp_name name = 1; !found && name < nsp__live_policy_names(&tune->names); name++) {
        size_t length;
        const char *text = nsp__live_name_text(&tune->names, name, &length);
        found = length != 0 && nsp__pattern_match(pattern, text, length);
    }
    return found;
}

// ---- a change ----

static void classify_all(nsp_tune *tune)
{
    for (nsp_name name = 1; name < nsp__live_policy_names(&tune->names); name++) {
        size_t length;
        const char *text = nsp__live_name_text(&tune->names, name, &length);
        tune->draft.policy.classes[name] =
            length != 0 ? nsp__policy_class(&tune->draft.policy, &tune->draft.outliers, text, length) : 0;
    }
}

static nsp_status ended(void)
{
    return nsp__fail(NSP_ERR_NOT_INITIALISED, "the engine has ended, or died: its sampler cannot be changed");
}

// What core's own calls of <nanospan/sampler.h> make of the same change.
static nsp__policy_change wanted(const nsp_tune_change *change)
{
    static const nsp__policy_change_kind kinds[] = {
        [NSP_TUNE_RATE] = NSP__CHANGE_RATE,
        [NSP_TUNE_RULE] = NSP__CHANGE_RULE,
        [NSP_TUNE_REMOVE_RULE] = NSP__CHANGE_REMOVE_RULE,
        [NSP_TUNE_PARENT_POLICY] = NSP__CHANGE_PARENT_POLICY,
        [NSP_TUNE_LIMIT] = NSP__CHANGE_LIMIT,
        [NSP_TUNE_OUTLIER_RULE] = NSP__CHANGE_OUTLIER_RULE,
        [NSP_TUNE_REMOVE_OUTLIER_RULE] = NSP__CHANGE_REMOVE_OUTLIER_RULE,
    };
    const size_t kind = (size_t)change->kind, count = sizeof kinds / sizeof kinds[0];
    return (nsp__policy_change){.kind = kind < count ? kinds[kind] : NSP__CHANGE_NONE,
                                .pattern = change->pattern,
                                .rate = change->value,
                                .limit = change->value,
                                .outlier = change->outlier,
                                .parent_policy = change->parent_policy};
}

// The changes of one call.
typedef struct change_list {
    const nsp_tune_change *changes;
    size_t count;
    size_t failed; // which one cannot be made
} change_list;

static nsp_status check_all(change_list *list)
{
    nsp_status status = NSP_OK;
    for (size_t i = 0; i < list->count && status == NSP_OK; i++) {
        const nsp__policy_change change = wanted(&list->changes[i]);
        status = nsp__policy_change_check(&change);
        list->failed = status != NSP_OK ? i : list->count;
    }
    return status;
}

static nsp_status draft_all(change_list *list, nsp__policy_draft *draft)
{
    nsp_status status = NSP_OK;
    for (size_t i = 0; i < list->count && status == NSP_OK; i++) {
        const nsp__policy_change change = wanted(&list->changes[i]);
        status = nsp__policy_change_apply(&change, draft, NSP_SAMPLER_TUNE);
        list->failed = status != NSP_OK ? i : list->count;
    }
    return status;
}

// With the lock.
static nsp_status change_locked(nsp_tune *tune, change_list *list)
{
    const nsp__policy_place *place = &tune->policy.place;
    uint32_t before = __atomic_load_n(place->generation, __ATOMIC_ACQUIRE); // N1: acquires N2
    if (before == 0 || !nsp__session_live_alive(&tune->live))
        return ended();
    if (!nsp__policy_copy(&tune->draft, place, before))
        return nsp__fail(NSP_ERR_DAMAGED, "the session is damaged: its sampler's rules are torn");
    nsp_status status = draft_all(list, &tune->draft);
    if (status != NSP_OK)
        return status;
    uint32_t expected = before, generation = nsp__policy_next(before);
    classify_all(tune);
    nsp__policy_write(place, generation, &tune->draft);
    // N2. It fails if the engine has just ended.
    if (!__atomic_compare_exchange_n(place->generation, &expected, generation, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_RELAXED))
        return ended();
    __atomic_thread_fence(__ATOMIC_SEQ_CST); // N5: at N4; N7: at N6
    NSP__TESTPOINT("tune: published");
    nsp__live_policy_tell(&tune->policy, &tune->live, tune->sources);
    nsp__live_policy_classify(&tune->policy, &tune->names, 1, SIZE_MAX);
    NSP__TESTPOINT("tune: names replayed");
    if (nsp__session_live_lost(&tune->live))
        return nsp__fail(NSP_ERR_DAMAGED, "the session is damaged: %s", tune->live.problem);
    return NSP_OK;
}

nsp_status nsp_tune_apply(nsp_tune *tune, const nsp_tune_change *changes, size_t count, size_t *failed)
{
    const uint64_t patience_ns = 100 * NSP__MILLISECOND;
    size_t unwanted;
    failed = failed != NULL ? failed : &unwanted;
    *failed = count;
    if (tune == NULL || changes == NULL || count == 0)
        return nsp__fail(NSP_ERR_INVALID, "no session is given, or no change");
    change_list list = {.changes = changes, .count = count, .failed = count};
    nsp_status status = check_all(&list);
    *failed = list.failed;
    if (status != NSP_OK)
        return status;
    NSP__ADMIT_FAULTS;
    int fd = tune->live.copy.control_fd;
    bool locked = nsp__file_lock_until(fd, nsp__monotonic_ns() + patience_ns);
    if (!locked && errno == EAGAIN)
        return nsp__fail(NSP_ERR_TIMEOUT,
                         "somebody else is changing the sampler's rules and has not finished "
                         "within 100 ms; try again");
    status = change_locked(tune, &list);
    *failed = list.failed;
    if (locked)
        nsp__file_unlock(fd);
    return status;
}
