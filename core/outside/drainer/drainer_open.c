// SPDX-License-Identifier: Apache-2.0
//
// Taking a session over: locking it, looking at it, and making everything that draining it needs.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/testpoint.h"
#include "clock/clock_share.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "outside/exporters.h"
#include "outside/drainer/drainer_state.h"
#include "outside/session/opening.h"
#include "outside/session/session_files.h"

// What has room for one of them has room for the others.
_Static_assert((int)NSP_DRAINED_DIRECTORY_MAX == (int)NSP__SESSION_PATH_MAX, "the longest path of a session");

typedef struct opening {
    nsp__drained_session *session;
    nsp__opening at;
    int folder_fd;
} opening;

static nsp_status no_memory(opening *me)
{
    return nsp__opening_refuse(&me->at, NSP_ERR_NO_MEMORY, "there is not enough memory to drain it");
}

static nsp_status open_directory(opening *me)
{
    int directory = -1;
    nsp_status status = nsp__opening_folder(&me->at, me->session->directory, &me->folder_fd);
    if (status == NSP_OK)
        status = nsp__opening_directory(&me->at, me->folder_fd, &directory);
    if (status == NSP_OK && (me->session->lock = nsp__session_consume(directory)) < 0 && errno != EAGAIN &&
        errno != ENOENT)
        status = nsp__opening_refuse(&me->at, NSP_ERR_SYSTEM, "it cannot be locked: %s", strerror(errno));
    nsp__close(directory);
    return status;
}

// What is mapped is looked at only by whoever holds the lock.
static nsp_status open_live(opening *me)
{
    nsp__drained_session *session = me->session;
    nsp__session_copy *copy = &session->live.copy;
    bool locked = session->lock >= 0;
    if (!(locked ? nsp__session_live_open(&session->live, me->folder_fd, me->at.name)
                 : nsp__session_copy_open(copy, me->folder_fd, me->at.name, false)))
        return nsp__opening_refuse_copy(&me->at, copy);
    if (copy->control->drainer.external != 1)
        return nsp__opening_refuse(&me->at, NSP_ERR_INVALID, "%s",
                                   copy->alive ? "its engine drains itself"
                                               : "its engine drained itself, and has died");
    if (session->drainer->living_only && !copy->alive)
        return nsp__opening_refuse(&me->at, NSP_ERR_INVALID, "its engine is gone");
    if (!locked)
        return nsp__opening_refuse(&me->at, NSP_ERR_BUSY, "another process drains or recovers it");
    if (!nsp__clock_sane(&copy->control->clock))
        return nsp__opening_refuse(&me->at, NSP_ERR_DAMAGED, "its map of the clock is damaged");
    session->clock = copy->control->clock;
    session->clock_published = session->clock.published;
    session->pid = copy->control->pid;
    return NSP_OK;
}

// The engine's own resource, in memory that stays.
static bool copy_resource(nsp__drained_session *session)
{
    const nsp__session_copy *copy = &session->live.copy;
    nsp__resource_entry entry;
    size_t count = 0, bytes = copy->control->resource_bytes;
    for (size_t at = 0; nsp__session_copy_resource(copy, &at, &entry);)
        count++;
    session->resource = malloc(bytes + 1);
    session->texts = calloc(2 * count + 1, sizeof *session->texts);
    session->types = calloc(count + 1, sizeof *session->types);
    if (session->resource == NULL || session->texts == NULL || session->types == NULL)
        return false;
    memcpy(session->resource, copy->control->resource, bytes);
    size_t i = 0;
    for (size_t at = 0; i < count && nsp__session_copy_resource(copy, &at, &entry); i++) {
        session->texts[i] = session->resource + (entry.key - copy->control->resource);
        session->texts[count + i] = session->resource + (entry.value - copy->control->resource);
        session->types[i] = entry.type;
        if (strcmp(entry.key, "service.name") == 0)
            snprintf(session->service, sizeof session->service, "%s", entry.value);
    }
    session->context.resource_keys = session->texts;
    session->context.resource_values = session->texts + count;
    session->context.resource_types = session->types;
    session->context.resource_count = count;
    return true;
}

// The exporter has said all of this already when the drainer was opened.
__attribute__((format(printf, 3, 4))) static void say_nothing(nsp_log_level level, const char *subject,
                                                              const char *format, ...)
{
    (void)level;
    (void)subject;
    (void)format;
}

static nsp_status make_encoder(opening *me)
{
    nsp__drained_session *session = me->session;
    const nsp_exporter *exporter = session->drainer->exporter;
    nsp_exporter_context *context = &session->context;
    *context = session->drainer->context;
    context->config = &session->config;
    context->log = say_nothing;
    context->name_text = nsp__live_name_text;
    context->names = &session->names;
    if (!copy_resource(session) ||
        !nsp__live_names_init(&session->names, &session->live.copy, session->live.control))
        return no_memory(me);
    nsp__live_policy_init(&session->policy, &session->live); // of another form: it stays as it is
    nsp_status status = nsp__exporter_create(&session->encoder, exporter, context);
    if (status != NSP_OK)
        return nsp__opening_refuse(&me->at, status, "its encoder cannot be created: %s",
                                   nsp_status_str(status));
    session->encodes = true;
    // In the window, which nobody needs between passes.
    nsp_batch trial = {.data = session->drainer->window,
                       .capacity = nsp__earlier(session->config.batch_bytes, NSP__DRAINER_WINDOW)};
    if (exporter->open != NULL)
        exporter->open(session->encoder, &trial);
    session->encoding = trial.encoding;
    return NSP_OK;
}

static uint32_t look(void *argument, nsp__ring_source *sources)
{
    nsp__drained_session *session = argument;
    return nsp__session_live_look(&session->live, sources);
}

static nsp_status start_collector(opening *me)
{
    nsp__drained_session *session = me->session;
    nsp_drainer *drainer = session->drainer;
    const nsp__collector_options options = {
        .config = &session->config,
        .counters = nsp__session_live_counters(&session->live),
        .figures = nsp__session_live_figures(&session->live),
        .clock = &session->clock,
        .exporter = drainer->exporter,
        .exporter_state = session->encoder,
        .sender = drainer->sender,
        .pool = &session->pool,
        .snapshots = nsp__session_live_snapshots(&session->live),
        .paths = nsp__session_live_paths(&session->live),
        .look = look,
        .look_argument = session,
        .window = drainer->window,
        .window_bytes = NSP__DRAINER_WINDOW,
    };
    if (!nsp__batch_pool_init(&session->pool, session->live.batch_count, options.counters) ||
        nsp__collector_start(&session->collector, &options) != NSP_OK)
        return no_memory(me);
    session->pool.figures = options.figures;
    session->collects = true;
    session->collector.paths.name_text = nsp__live_name_text;
    session->collector.paths.names = &session->names;
    snprintf(session->label, sizeof session->label, "%s (pid %u)", session->service, session->pid);
    session->pool.label = session->label;
    look(session, session->collector.sources);
    if (nsp__session_live_lost(&session->live))
        return nsp__opening_refuse(&me->at, NSP_ERR_DAMAGED, "%s", session->live.problem);
    if (session->live.missing)
        return nsp__opening_refuse(&me->at, NSP_ERR_SYSTEM,
                                   "this process has too many open files or mappings to drain it now");
    return NSP_OK;
}

static nsp_status take_over(opening *me)
{
    nsp__drained_session *session = me->session;
    nsp_drainer *drainer = session->drainer;
    nsp_status status = open_directory(me);
    if (status == NSP_OK)
        status = open_live(me);
    if (status != NSP_OK)
        return status;
    if (drainer->batches + session->live.batch_count > NSP__DRAINER_BATCHES_MAX)
        return nsp__opening_refuse(&me->at, NSP_ERR_FULL, "this drainer has as many batches as it may have");
    session->config = drainer->config;
    session->config.threads = session->live.threads_max;
    session->config.batches = session->live.batch_count;
    session->config.batch_bytes = session->live.batch_bytes;
    status = make_encoder(me);
    if (status == NSP_OK)
        status = start_collector(me);
    if (status != NSP_OK)
        return status;
    NSP__TESTPOINT("drainer: before it is taken over");
    status = nsp__drained_session_adopt(session);
    if (status != NSP_OK)
        return nsp__opening_refuse(&me->at, status, "%s", session->live.copy.problem);
    nsp__session_live_slim(&session->live);
    __atomic_store_n(&nsp__session_live_drainer(&session->live)->pid, (uint32_t)getpid(), __ATOMIC_RELAXED);
    NSP__TESTPOINT("drainer: taken over");
    return NSP_OK;
}

nsp_status nsp__drained_session_open(nsp__drained_session **out, nsp_drainer *drainer, const char *directory,
                                     char *problem, size_t size)
{
    opening me = {.at = {.name = directory, .problem = problem, .size = size}, .folder_fd = -1};
    *out = NULL;
    nsp__drained_session *session = me.session = calloc(1, sizeof *session);
    if (session == NULL)
        return no_memory(&me);
    session->drainer = drainer;
    session->lock = -1;
    session->live.copy.directory = session->live.copy.control_fd = session->live.copy.threads_fd =
        session->live.copy.detached_fd = session->live.copy.batches_fd = session->live.alive_fd = -1;
    int length = snprintf(session->directory, sizeof session->directory, "%s", directory);
    nsp_status status = (size_t)length < sizeof session->directory
                            ? take_over(&me)
                            : nsp__opening_refuse(&me.at, NSP_ERR_INVALID, "its path is too long");
    nsp__close(me.folder_fd);
    if (status == NSP_OK)
        *out = session;
    else
        nsp__drained_session_close(session);
    return status;
}
