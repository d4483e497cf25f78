// SPDX-License-Identifier: Apache-2.0
//
// What others call. Wherever mappings are touched, the signal that says that one was cut short has to come
// through.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/call.h"
#include "base/exit_gate.h"
#include "base/log.h"
#include "common/descriptor.h"
#include "common/time.h"
#include "config/config.h"
#include "config/environment.h"
#include "config/exporter_list.h"
#include "outside/drainer/drainer_state.h"
#include "outside/exporters.h"
#include "outside/session/folder.h"
#include "outside/session/session_files.h"
#include "outside/session/session_slots.h"

enum { SESSIONS_DEFAULT = 1024, SESSIONS_MAX = 65536 };
// Without a span or a new session for so long, pauses become so long. A burst that ends a short silence is not to meet a drainer that
// sleeps while the rings fill up; a host on which nothing happens is not to pay for that.
static const struct {
    uint64_t silence_ns, pause_max_ns;
} idle[] = {
    {10 * NSP__SECOND, 50 * NSP__MILLISECOND},
    {NSP__SECOND, 10 * NSP__MILLISECOND},
};
static const uint64_t close_pause_ns = NSP__MILLISECOND;

// ---- opening ----

// What sends has no names: it never encodes.
static const char *no_name(const void *names, nsp_name name, size_t *length)
{
    (void)names;
    (void)name;
    if (length != NULL)
        *length = 0;
    return "";
}

static nsp_status create_exporter(nsp_drainer *drainer)
{
    drainer->context = (nsp_exporter_context){
        .config = &drainer->config,
        .cancel = &drainer->cancel,
        .log = nsp__log,
        .held_back = &drainer->held_back,
        .name_text = no_name,
        .names = drainer,
    };
    nsp_status status = nsp__exporter_create(&drainer->exporter_state, drainer->exporter, &drainer->context);
    drainer->created = status == NSP_OK;
    if (status == NSP_OK) // a batch that waits for a receiver may have to be left to the next drainer
        nsp__exporter_take_turns(drainer->exporter, drainer->exporter_state, NSP__REFUSAL_NONE);
    return status;
}

static nsp_status start_sender(nsp_drainer *drainer)
{
    const nsp_config *config = &drainer->config;
    drainer->sending = (nsp_exporter){
        .size = sizeof drainer->sending, .name = drainer->exporter->name, .send = nsp__drainer_send};
    const nsp__sender_options options = {
        .exporter = &drainer->sending,
        .exporter_state = drainer,
        .closed_max = NSP__DRAINER_BATCHES_MAX,
        .cancel = &drainer->cancel,
        .held_back = &drainer->held_back,
        .doubts = {&drainer->doubt, nsp__exporter_doubt(drainer->exporter, drainer->exporter_state)},
        .bound = &drainer->bound,
        .export_timeout_ns = config->export_timeout_ns != 0 ? config->export_timeout_ns : UINT64_MAX,
        .cpus = config->collector_cpus,
        .backoff_min_ns = config->retry_min_ns,
        .backoff_max_ns = config->retry_max_ns,
        .alone_checks = true,
        .faults = true,
        .leave_rest = true,
        .left_behind = &drainer->left_behind,
    };
    return nsp__sender_start(&drainer->sender, &options);
}

static void free_drainer(nsp_drainer *drainer)
{
    if (drainer->created && nsp__exit_enter()) {
        drainer->exporter->destroy(drainer->exporter_state);
        nsp__exit_leave();
    }
    nsp__outgoing_free(&drainer->outgoing);
    free(drainer->window);
    free(drainer->sessions);
    free(drainer->leaving);
    nsp__config_free(&drainer->config);
    free(drainer);
}

static nsp_status open_drainer(nsp_drainer *drainer, const nsp_drainer_options *options)
{
    drainer->in_doubt = options->in_doubt;
    drainer->living_only = options->living_only;
    drainer->sessions_max = options->sessions_max != 0 ? options->sessions_max : SESSIONS_DEFAULT;
    if (drainer->sessions_max > SESSIONS_MAX)
        return nsp__fail(NSP_ERR_INVALID, "nsp_drainer_open: sessions_max is more than %d", SESSIONS_MAX);
    if (!nsp__guard_install())
        return nsp__fail(NSP_ERR_SYSTEM, "cannot handle SIGBUS: %s", strerror(errno));
    nsp_status status = nsp__config_resolve(&drainer->config, options->config);
    if (status != NSP_OK)
        return status;
    nsp__log_configure(drainer->config.log_level, drainer->config.log, drainer->config.log_context);
    nsp__environment_report(options->config);
    drainer->sessions = calloc(drainer->sessions_max, sizeof(nsp__drained_session *));
    drainer->leaving = calloc(drainer->sessions_max, sizeof(nsp__drained_session *));
    _Static_assert((int)NSP__DRAINER_WINDOW >= (int)NSP__RECORD_MAX, "larger than any record");
    drainer->window = aligned_alloc(64, NSP__DRAINER_WINDOW);
    if (drainer->sessions == NULL || drainer->leaving == NULL || drainer->window == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a drainer");
    status = nsp__exporter_chosen(&drainer->exporter, options->exporter, &drainer->config, "a drainer");
    if (status == NSP_OK)
        status = create_exporter(drainer);
    return status == NSP_OK ? start_sender(drainer) : status;
}

nsp_status nsp_drainer_open(nsp_drainer **out, const nsp_drainer_options *given)
{
    NSP__NO_CANCEL;
    nsp_drainer_options options = NSP_DRAINER_OPTIONS_INIT;
    if (out == NULL || (given != NULL && given->size < sizeof options.size))
        return nsp__fail(NSP_ERR_INVALID, "nsp_drainer_open: out is NULL, or the options have no size");
    *out = NULL;
    if (given != NULL)
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    nsp_drainer *drainer = calloc(1, sizeof *drainer);
    if (drainer == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for a drainer");
    nsp_status status = open_drainer(drainer, &options);
    if (status == NSP_OK)
        *out = drainer;
    else
        free_drainer(drainer);
    return status;
}

// ---- sessions ----

static bool is_same(const char *a, const char *b)
{
    size_t length_a = strlen(a), length_b = strlen(b);
    while (length_a > 1 && a[length_a - 1] == '/')
        length_a--;
    while (length_b > 1 && b[length_b - 1] == '/')
        length_b--;
    return length_a == length_b && memcmp(a, b, length_a) == 0;
}

// Its place among these, or `count`.
static uint32_t find(nsp__drained_session *const *sessions, uint32_t count, const char *directory)
{
    uint32_t i = 0;
    while (i < count && !is_same(sessions[i]->directory, directory))
        i++;
    return i;
}

// Frees those that the sender is done with.
static void let_go(nsp_drainer *drainer)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < drainer->leaving_count; i++) {
        nsp__drained_session *session = drainer->leaving[i];
        if (nsp__drained_session_sending(session)) {
            drainer->leaving[kept++] = session;
            continue;
        }
        drainer->batches -= session->pool.count;
        nsp__drained_session_close(session);
    }
    drainer->leaving_count = kept;
}

nsp_status nsp_drainer_add(nsp_drainer *drainer, const char *directory, char *problem, size_t size)
{
    NSP__NO_CANCEL;
    NSP__ADMIT_FAULTS;
    char unwanted[NSP_DRAINED_PROBLEM_MAX];
    if (drainer == NULL || directory == NULL)
        return nsp__fail(NSP_ERR_INVALID, "nsp_drainer_add: no drainer, or no directory");
    if (problem == NULL || size == 0) {
        problem = unwanted;
        size = sizeof unwanted;
    }
    problem[0] = 0;
    let_go(drainer);
    nsp_status status = NSP_OK;
    if (find(drainer->sessions, drainer->session_count, directory) < drainer->session_count) {
        snprintf(problem, size, "this drainer has it already");
        status = NSP_ERR_ALREADY;
    } else if (find(drainer->leaving, drainer->leaving_count, directory) < drainer->leaving_count) {
        snprintf(problem, size, "this drainer still sends a batch of it");
        status = NSP_ERR_BUSY;
    } else if (drainer->session_count + drainer->leaving_count >= drainer->sessions_max) {
        snprintf(problem, size, "this drainer has as many sessions as it may have (%u)",
                 drainer->sessions_max);
        status = NSP_ERR_FULL;
    }
    if (status != NSP_OK)
        return nsp__fail(status, "%s: %s", directory, problem);
    nsp__drained_session *session;
    status = nsp__drained_session_open(&session, drainer, directory, problem, size);
    if (status != NSP_OK)
        return status;
    drainer->batches += session->pool.count;
    drainer->sessions[drainer->session_count++] = session;
    drainer->busy_ns = nsp__monotonic_ns(); // whoever has just begun is not silent yet
    return NSP_OK;
}

static uint64_t pass_over_all(nsp_drainer *drainer, bool closing, double *fill)
{
    uint64_t spans = 0;
    *fill = 0;
    let_go(drainer);
    const uint64_t now = nsp__monotonic_ns();
    for (uint32_t i = 0; i < drainer->session_count; i++)
        if (!closing && nsp__drained_session_rests(drainer->sessions[i], now))
            drainer->sessions[i]->collector.drained_ns = now; // nothing is in its rings
        else
            spans += nsp__drained_session_pass(drainer->sessions[i], closing, fill);
    return spans;
}

static uint64_t pause_max(const nsp_drainer *drainer)
{
    const uint64_t silence_ns = nsp__monotonic_ns() - drainer->busy_ns, max = drainer->config.poll_max_ns;
    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
        if (silence_ns >= idle[i].silence_ns)
            return nsp__later(max, idle[i].pause_max_ns);
    return max;
}

// As the collector's pauses, but longer once nothing has come for a while: waking up is then most of what a drainer
// costs. A ring must hold what its thread records in one pause.
static uint64_t next_pause(nsp_drainer *drainer, double fill)
{
    uint64_t pause = drainer->pause_ns;
    if (fill > 0.25)
        pause /= 2;
    else if (fill < 0.0625)
        pause += pause / 4;
    pause = nsp__later(pause, drainer->config.poll_min_ns);
    return drainer->pause_ns = nsp__earlier(pause, pause_max(drainer));
}

uint64_t nsp_drainer_work(nsp_drainer *drainer, uint64_t *pause_ns)
{
    NSP__NO_CANCEL;
    NSP__ADMIT_FAULTS;
    double fill;
    const uint64_t spans = pass_over_all(drainer, false, &fill);
    if (spans != 0)
        drainer->busy_ns = nsp__monotonic_ns();
    const uint64_t pause = next_pause(drainer, fill);
    if (pause_ns != NULL)
        *pause_ns = pause;
    return spans;
}

// From the last one to the first, so that those that were visited may be removed. *at: one more than the
// index of the last one that was visited.
bool nsp_drainer_each(nsp_drainer *drainer, size_t *at, nsp_drained *out)
{
    NSP__NO_CANCEL;
    NSP__ADMIT_FAULTS;
    const size_t left = *at == 0 ? drainer->session_count : *at - 1;
    if (left == 0 || left > drainer->session_count)
        return false;
    nsp_drained drained;
    const size_t size = out->size < sizeof drained ? out->size : sizeof drained;
    *at = left;
    nsp__drained_session_look(drainer->sessions[left - 1], &drained);
    drained.size = out->size;
    memcpy(out, &drained, size);
    return true;
}

static nsp_status remove_files(const nsp__drained_session *session)
{
    char folder[NSP__SESSION_PATH_MAX], problem[NSP_DRAINED_PROBLEM_MAX];
    const char *name;
    if (!nsp__folder_split(session->directory, folder, sizeof folder, &name))
        return nsp__fail(NSP_ERR_SYSTEM, "%s is not the directory of a session", session->directory);
    int folder_fd = nsp__folder_open(folder, problem, sizeof problem);
    if (folder_fd < 0)
        return nsp__fail(NSP_ERR_SYSTEM, "%s", problem);
    bool removed = nsp__session_remove(folder_fd, name, session->live.copy.directory);
    int error = errno;
    nsp__close(folder_fd);
    return removed ? NSP_OK : nsp__fail(NSP_ERR_SYSTEM, "%s cannot be removed: %s", name, strerror(error));
}

nsp_status nsp_drainer_remove(nsp_drainer *drainer, const char *directory, bool with_files)
{
    NSP__NO_CANCEL;
    NSP__ADMIT_FAULTS;
    uint32_t i = find(drainer->sessions, drainer->session_count, directory);
    if (i == drainer->session_count)
        return nsp__fail(NSP_ERR_NOT_FOUND, "this drainer does not have the session %s", directory);
    nsp__drained_session *session = drainer->sessions[i];
    if (with_files && session->state != NSP_DRAINED_ENDED)
        return nsp__fail(NSP_ERR_INVALID, "%s has not ended in order, or something of it is left", directory);
    nsp_status status = with_files ? remove_files(session) : NSP_OK;
    memmove(&drainer->sessions[i], &drainer->sessions[i + 1],
            (--drainer->session_count - i) * sizeof(nsp__drained_session *));
    drainer->leaving[drainer->leaving_count++] = session;
    let_go(drainer);
    return status;
}

// ---- the end ----

// True if nothing is left that could be sent.
static bool all_sent(nsp_drainer *drainer)
{
    for (uint32_t i = 0; i < drainer->session_count; i++)
        if (!nsp__drained_session_done(drainer->sessions[i]))
            return false;
    return drainer->leaving_count == 0;
}

// Their senders' threads hang in the exporter, and may still use them, and the sessions of which they have
// batches. They are reachable from here, so that leak checkers see that they are meant to stay.
static nsp_drainer *left;

// Returns how many of these have to stay, which then come first.
static uint32_t close_sessions(nsp_drainer *drainer, nsp__drained_session **sessions, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        nsp__drained_session *session = sessions[i];
        if (drainer->left_behind && nsp__drained_session_sending(session)) {
            nsp__drained_session_leave(session);
            sessions[kept++] = session;
        } else {
            nsp__drained_session_close(session);
        }
    }
    return kept;
}

nsp_status nsp_drainer_close(nsp_drainer *drainer, uint64_t timeout_ns)
{
    NSP__NO_CANCEL;
    NSP__ADMIT_FAULTS;
    if (drainer == NULL)
        return NSP_OK;
    const uint64_t deadline_ns = nsp__after(nsp__monotonic_ns(), timeout_ns);
    double fill;
    bool sent;
    pass_over_all(drainer, true, &fill);
    while (!(sent = all_sent(drainer)) && nsp__monotonic_ns() < deadline_ns) {
        struct timespec pause = nsp__timespec_of(close_pause_ns);
        nanosleep(&pause, NULL);
        pass_over_all(drainer, true, &fill);
    }
    pass_over_all(drainer, true, &fill); // engines that wait for what has just been settled learn it
    nsp__sender_stop(drainer->sender, deadline_ns);
    sent = sent || all_sent(drainer);
    drainer->session_count = close_sessions(drainer, drainer->sessions, drainer->session_count);
    drainer->leaving_count = close_sessions(drainer, drainer->leaving, drainer->leaving_count);
    if (drainer->left_behind) {
        drainer->next_left = left;
        left = drainer;
    } else {
        free_drainer(drainer);
    }
    return sent ? NSP_OK
                : nsp__fail(NSP_ERR_TIMEOUT, "not everything was sent in time; it stays in the sessions");
}
