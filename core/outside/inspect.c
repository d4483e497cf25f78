// SPDX-License-Identifier: Apache-2.0
//
// nsp_sessions_each: the sessions in shared memory, of living and of dead engines.
#include <nanospan/inspect.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/log.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "config/environment.h"
#include "context/threshold.h"
#include "outside/session/folder.h"
#include "outside/recover/recover_attempts.h"
#include "outside/session/session_files.h"
#include "outside/session/session_history.h"
#include "outside/session/session_latencies.h"
#include "outside/session/session_stats.h"
#include "outside/session/session_threads.h"
#include "shm/session_lock.h"
#include "trace/outlier_rules.h"
#include "trace/policy_change.h"

_Static_assert(sizeof(nsp_stats) <= sizeof(((nsp_session *)NULL)->stats_room),
               "what follows the counters stays where it is");

// What a visitor sees, and the memory that its texts and arrays point to.
typedef struct inspection {
    nsp__session_copy copy;
    nsp_session seen;
    char name[NAME_MAX + 1];
    char directory[PATH_MAX];
    char service[256];
    char changed_process[NSP__TUNER_NAME];
    nsp_session_rule rules[NSP_SAMPLER_RULES_MAX];
    nsp_session_outlier outliers[NSP_OUTLIER_RULES_MAX];
    uint32_t *open;              // by slot of the session: spans on its thread's stack
    nsp_session_thread *threads; // room for one for each slot
    nsp_session_latency *latencies;
} inspection;

static void find_service(inspection *me)
{
    nsp__resource_entry entry;
    for (size_t at = 0; nsp__session_copy_resource(&me->copy, &at, &entry);)
        if (strcmp(entry.key, "service.name") == 0)
            snprintf(me->service, sizeof me->service, "%s", entry.value);
}

static nsp_sampler_source source_of(uint32_t written)
{
    return written <= NSP_SAMPLER_TUNE ? (nsp_sampler_source)written : NSP_SAMPLER_UNKNOWN;
}

static void read_limit(inspection *me, const nsp__tuning *tuning)
{
    const bool sane = tuning != NULL && nsp__tuning_valid(tuning);
    me->seen.limit = sane ? tuning->limit : 0;
    me->seen.limit_factor = sane ? tuning->factor : 1;
    me->seen.limit_source = source_of(sane ? tuning->limit_source : 0);
}

static void read_outliers(inspection *me, const nsp__outliers *outliers)
{
    me->seen.outlier_count = outliers != NULL ? outliers->rules : 0;
    for (uint32_t i = 0; i < me->seen.outlier_count; i++) {
        const nsp__outlier *rule = &outliers->rule[i + 1];
        nsp_session_outlier *out = &me->outliers[i];
        *out = (nsp_session_outlier){
            .size = sizeof *out, .source = source_of(rule->source), .rule = nsp__outlier_of(rule)};
        memcpy(out->pattern, rule->pattern, sizeof out->pattern);
    }
}

static bool read_policy(inspection *me)
{
    const nsp__tuning *tuning;
    const nsp__outliers *outliers;
    const nsp__policy *policy = nsp__session_copy_policy(&me->copy, &tuning, &outliers);
    if (policy == NULL)
        return nsp__session_copy_fail(&me->copy, NSP__SESSION_DAMAGED, "its sampler's policy is damaged");
    me->seen.rate = nsp__threshold_rate(policy->thresholds[0]);
    me->seen.parent_policy =
        policy->parent_policy == NSP_PARENT_DECIDE ? NSP_PARENT_DECIDE : NSP_PARENT_FOLLOW;
    me->seen.rule_count = policy->rules;
    for (uint32_t i = 0; i < policy->rules; i++) {
        memcpy(me->rules[i].pattern, policy->patterns[i + 1], sizeof me->rules[i].pattern);
        me->rules[i].pattern[NSP_SAMPLER_PATTERN_MAX] = 0;
        me->rules[i].rate = nsp__threshold_rate(policy->thresholds[i + 1]);
        me->rules[i].source = source_of(tuning != NULL ? tuning->sources[i + 1] : 0);
    }
    read_limit(me, tuning);
    read_outliers(me, outliers);
    if (tuning == NULL)
        return true;
    me->seen.rate_source = source_of(tuning->sources[0]);
    me->seen.changed_by = source_of(tuning->source);
    me->seen.changed_pid = tuning->pid;
    me->seen.changed_unix_ns = tuning->unix_ns;
    snprintf(me->changed_process, sizeof me->changed_process, "%s", tuning->name);
    return true;
}

// Reads NAME and PID from NAME.PID.RANDOM, which has a dot before it until the session is complete.
static void read_name(inspection *me, const char *folder)
{
    unsigned pid = 0;
    snprintf(me->directory, sizeof me->directory, "%s/%s", folder, me->copy.name);
    snprintf(me->name, sizeof me->name, "%s", me->copy.name + nsp__session_name_half_made(me->copy.name));
    char *dot = strchr(me->name, '.');
    if (sscanf(dot, ".%9u.", &pid) == 1)
        me->seen.pid = pid;
    *dot = 0;
}

// Whoever drains a dead session locks this file, so nobody can recover a session that has none.
static bool has_consumer(inspection *me)
{
    return me->copy.alive || faccessat(me->copy.directory, "consumer", F_OK, 0) == 0 ||
           nsp__session_copy_fail(&me->copy, NSP__SESSION_DAMAGED,
                                  "it is incomplete: it has no file \"consumer\"");
}

static double fullest_ring(const nsp__session_copy *copy)
{
    double fullest = 0;
    for (uint32_t i = 0; i < copy->slot_count; i++) {
        const nsp__slot *slot = &copy->slots[i];
        double fill =
            slot->ring_bytes != 0 ? (double)(slot->published - slot->consumed) / (double)slot->ring_bytes : 0;
        fullest = fill > fullest ? fill : fullest;
    }
    return fullest;
}

// What the drainer has written is a claim: anything can stand there.
static void find_drainer(inspection *me)
{
    const nsp__drainer *drainer = &me->copy.control->drainer;
    me->seen.ring_fill = fullest_ring(&me->copy);
    me->seen.external = drainer->external == 1;
    if (me->seen.external || !me->copy.alive)
        me->seen.drained = !nsp__session_lock_free(me->copy.directory, "consumer");
    if (!me->seen.external)
        return;
    uint64_t now = nsp__monotonic_ns();
    me->seen.ended = drainer->ended == 1 && !me->copy.alive;
    me->seen.drainer_pid = drainer->pid;
    if (drainer->pass_ns != 0)
        me->seen.drainer_idle_ns = now > drainer->pass_ns ? now - drainer->pass_ns : 1;
}

static bool make_room(inspection *me)
{
    me->open = calloc(me->copy.slot_count + 1, sizeof *me->open);
    me->threads = calloc(me->copy.slot_count + 1, sizeof *me->threads);
    return (me->open != NULL && me->threads != NULL) || nsp__session_copy_no_memory(&me->copy);
}

static bool read_figures(inspection *me)
{
    if (!make_room(me) || !nsp__session_stats(&me->copy, &me->seen.stats, me->open) || !read_policy(me) ||
        !has_consumer(me))
        return false;
    me->seen.unsent = nsp__stats_unsent(&me->seen.stats);
    me->seen.history_bytes = me->copy.alive ? 0 : nsp__session_history_bytes(&me->copy);
    me->seen.threads = me->threads;
    me->seen.thread_count = nsp__session_threads(&me->copy, me->open, me->threads);
    if (!nsp__session_latencies(&me->copy, &me->latencies, &me->seen.latency_count,
                                &me->seen.latency_unmeasured))
        return false;
    me->seen.latencies = me->latencies;
    find_drainer(me);
    return true;
}

// Reads the session that is being copied into what the visitor sees.
static void inspect(inspection *me, const char *folder, bool readable)
{
    memset(&me->seen, 0, sizeof me->seen);
    me->service[0] = me->changed_process[0] = 0;
    me->open = NULL;
    me->threads = NULL;
    me->latencies = NULL;
    read_name(me, folder);
    me->seen.size = sizeof me->seen;
    me->seen.read_ns = nsp__monotonic_ns();
    me->seen.stats.size = sizeof me->seen.stats;
    me->seen.name = me->name;
    me->seen.directory = me->directory;
    me->seen.service = me->service;
    me->seen.rules = me->rules;
    me->seen.outliers = me->outliers;
    me->seen.changed_process = me->changed_process;
    me->seen.alive = me->copy.alive;
    me->seen.bytes = nsp__session_bytes(me->copy.directory);
    me->seen.other_version = me->copy.state == NSP__SESSION_OTHER_VERSION;
    me->seen.not_started = me->copy.state == NSP__SESSION_NOT_STARTED;
    me->seen.set_aside = nsp__attempts_read(me->copy.directory) >= NSP__ATTEMPTS_MAX;
    if (readable) {
        me->seen.start_unix_ns = me->copy.control->start_unix_ns;
        find_service(me);
        readable = read_figures(me);
    }
    if (!readable) {
        me->seen.problem = me->copy.problem;
        me->seen.latencies = NULL;
        me->seen.latency_count = 0;
        memset(&me->seen.stats, 0, sizeof me->seen.stats);
        me->seen.stats.size = sizeof me->seen.stats;
    }
}

// Sets *more to false when the visitor stops.
static nsp_status visit_session(inspection *me, int folder_fd, const char *folder, const char *name,
                                nsp_session_visit visit, void *argument, bool *more)
{
    bool readable = nsp__session_copy_open(&me->copy, folder_fd, name, false);
    nsp_status status = NSP_OK;
    if (me->copy.state != NSP__SESSION_GONE && me->copy.state != NSP__SESSION_NO_MEMORY) {
        inspect(me, folder, readable);
        if (me->copy.state != NSP__SESSION_NO_MEMORY)
            *more = visit(argument, &me->seen);
        free(me->open);
        free(me->threads);
        free(me->latencies);
    }
    if (me->copy.state == NSP__SESSION_NO_MEMORY)
        status = nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory");
    nsp__session_copy_close(&me->copy);
    return status;
}

static nsp_status visit_names(inspection *me, int folder_fd, const char *folder, char **names, size_t count,
                              nsp_session_visit visit, void *argument, bool *more)
{
    nsp_status status = NSP_OK;
    for (size_t i = 0; i < count && status == NSP_OK && *more; i++)
        status = visit_session(me, folder_fd, folder, names[i], visit, argument, more);
    return status;
}

// Reads all names first, because visitors may take their time while engines come and go.
static nsp_status visit_folder(const char *path, int folder_fd, nsp_session_visit visit, void *argument)
{
    // First those that are half made: one that gets its name meanwhile is among the others then.
    size_t half_made_count, count = 0;
    char **half_made = nsp__folder_list(folder_fd, true, &half_made_count);
    char **names = half_made != NULL ? nsp__folder_list(folder_fd, false, &count) : NULL;
    inspection *me = names != NULL ? malloc(sizeof *me) : NULL;
    nsp_status status;
    bool more = true;
    if (me == NULL) {
        status = errno == ENOMEM ? nsp__fail(NSP_ERR_NO_MEMORY, "nsp_sessions_each: no memory")
                                 : nsp__fail(NSP_ERR_SYSTEM, "%s cannot be read: %s", path, strerror(errno));
    } else {
        status = visit_names(me, folder_fd, path, names, count, visit, argument, &more);
        if (status == NSP_OK)
            status = visit_names(me, folder_fd, path, half_made, half_made_count, visit, argument, &more);
    }
    free(me);
    nsp__folder_free(half_made, half_made_count);
    nsp__folder_free(names, count);
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
    char path[NSP__FOLDER_PATH_MAX], problem[NSP__FOLDER_PATH_MAX + 200];
    if (!nsp__folder_path(folder, path, sizeof path))
        return nsp__fail(NSP_ERR_INVALID, "nsp_sessions_each: the folder's path is too long");
    int fd = nsp__folder_open(path, problem, sizeof problem);
    if (fd < 0)
        return errno == ENOENT ? NSP_OK : nsp__fail(NSP_ERR_SYSTEM, "%s", problem);
    nsp_status status = visit_folder(path, fd, visit, argument);
    nsp__close(fd);
    return status;
}
