// SPDX-License-Identifier: Apache-2.0
//
// Recovers the sessions, one after the other. Into a file: only when it is complete and has its name are the
// spans settled in the sessions, so that an interrupted run loses nothing and repeats nothing; and the sessions know
// of the file before it has its name.
#include "recover.h"

#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t recover_stopped;

__attribute__((format(printf, 2, 3))) static void fail(recover_result *result, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->problem, sizeof result->problem, format, arguments);
    va_end(arguments);
}

static const char *why(nsp_status status)
{
    const char *detail = nsp_error_detail();
    return *detail ? detail : nsp_status_str(status);
}

// ---- progress, on a terminal ----

static void erase_progress(void)
{
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

static bool show_progress(void *argument, const nsp_recovery_account *account)
{
    const recover_session *session = argument;
    char done[UNITS_SIZE], found[UNITS_SIZE];
    if (isatty(STDERR_FILENO)) {
        units_count(done, account->exported + account->rejected + account->unconfirmed + account->skipped +
                              account->invalid);
        units_count(found, account->finished + account->unfinished + account->from_batches);
        text line = {0};
        text_put(&line, "\r\033[K");
        trace_notes_plain(&line, nsp__slice_of(session->service));
        text_format(&line, " (pid %" PRIu32 "): %s of %s spans", session->pid, done, found);
        fwrite(line.data, 1, line.length, stderr);
        fflush(stderr);
        text_free(&line);
    }
    return !recover_stopped;
}

// ---- one session ----

static bool open_session(recover_result *result)
{
    const recover_session *session = result->session;
    char problem[NSP_RECOVERY_PROBLEM_MAX] = "";
    nsp_status status = nsp_recovery_open(&result->recovery, session->directory, problem, sizeof problem);
    result->opened = status == NSP_OK;
    result->busy = status == NSP_ERR_BUSY && !session->alive;
    if (result->opened) {
        nsp_recovery_account_get(result->recovery, &result->account);
        snprintf(result->damage, sizeof result->damage, "%s", problem);
    } else if (status == NSP_ERR_NOT_FOUND)
        result->gone = true;
    else if (status == NSP_ERR_BUSY && session->alive)
        fail(result, "its engine is running%s",
             recover_living(1, session->external, session->external && !session->drained));
    else if (!result->busy)
        fail(result, "%s%s", *problem ? problem : why(status),
             status == NSP_ERR_DAMAGED ? "; if nobody can repair it, remove its directory" : "");
    return result->opened;
}

static uint64_t time_left(uint64_t deadline_ns)
{
    uint64_t now = nsp__monotonic_ns();
    return now < deadline_ns ? deadline_ns - now : 1; // 0 would mean that there is no limit
}

static bool export_session(recover_result *result, const recover_options *o, const nsp_config *config,
                           uint64_t deadline_ns)
{
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = config;
    options.in_doubt = o->in_doubt;
    options.speculative = o->speculative;
    options.settle_later = o->output != NULL;
    options.timeout_ns = time_left(deadline_ns);
    options.progress = show_progress;
    options.argument = (void *)(uintptr_t)result->session;
    nsp_status status = nsp_recovery_export(result->recovery, &options);
    erase_progress();
    result->target_failed = nsp_recovery_exporter_failed(result->recovery);
    result->again = status == NSP_ERR_TIMEOUT || result->target_failed;
    if (status == NSP_ERR_TIMEOUT && recover_stopped)
        fail(result, "the recovery was interrupted");
    else if (status == NSP_ERR_REFUSED)
        fail(result,
             "%s; nothing of them is lost: look at the endpoint, its path and the token, and run the command "
             "again, or take them out with --output FILE",
             why(status));
    else if (status != NSP_OK)
        fail(result, "%s", why(status));
    return status == NSP_OK;
}

#define DAMAGE_ADVICE "all that can be read is recovered; if nobody can repair it, remove its directory"

// What is damaged stays as evidence. A second recovery finds it again, and the session is set aside.
static void tell_damage(recover_result *result)
{
    const char *what = *result->damage ? result->damage : "its memory is damaged";
    const bool unknown = result->account.threads_lost != 0;
    char spans[UNITS_SIZE];
    units_count(spans, result->account.invalid);
    if (result->account.invalid != 0)
        fail(result, "%s, so %s%s of its spans could not be recovered; " DAMAGE_ADVICE, what,
             unknown ? "at least " : "", spans);
    else if (unknown)
        fail(result, "%s, so nobody knows how many of its spans are missing; " DAMAGE_ADVICE, what);
    else if (*result->damage)
        fail(result, "%s; " DAMAGE_ADVICE, what);
    else
        fail(result,
             "its memory is damaged, and what it says of its spans contradicts itself; " DAMAGE_ADVICE);
}

// Settles what was sent, and removes the session unless something of it is still there.
static void settle_session(recover_result *result, const recover_options *o)
{
    nsp_status status = nsp_recovery_settle(result->recovery);
    nsp_recovery_account_get(result->recovery, &result->account);
    bool everything = result->account.left == 0 && !nsp_recovery_damaged(result->recovery);
    if (status == NSP_OK && everything && !o->keep) {
        status = nsp_recovery_remove(result->recovery, false);
        result->removed = status == NSP_OK;
    }
    if (status != NSP_OK)
        fail(result, "%s", why(status));
    else if (nsp_recovery_damaged(result->recovery))
        tell_damage(result);
}

static void close_session(recover_result *result)
{
    nsp_recovery_close(result->recovery);
    result->recovery = NULL;
}

// Not even opened: that may be what failed.
static bool is_set_aside(recover_result *result)
{
    if (result->session->named || !result->session->set_aside)
        return false;
    fail(result,
         "it was set aside, because two recoveries of it crashed, were killed, or found it damaged: "
         "\"nanospan recover %" PRIu32 "\", with the same options, tries once more; or remove its directory",
         result->session->pid);
    return true;
}

// ---- to a receiver ----

static void say_rejected(recover_result *result)
{
    char count[UNITS_SIZE];
    units_count(count, result->account.rejected);
    fail(result,
         "the receiver has rejected %s of the spans in requests that it took otherwise; the session no "
         "longer has "
         "them, and a line above says why",
         count);
}

static void send_session(recover_result *result, const recover_options *o, const nsp_config *config,
                         uint64_t deadline_ns)
{
    if (!is_set_aside(result) && open_session(result)) {
        bool complete = export_session(result, o, config, deadline_ns);
        nsp_recovery_account_get(result->recovery, &result->account);
        if (complete)
            settle_session(result, o);
        if (result->account.rejected != 0 && !*result->problem)
            say_rejected(result);
    }
    close_session(result);
}

// ---- to a file ----

// Leaves the recovery open if its spans are in the file. Otherwise the file and the account are as before; false:
// the file is not, and cannot be used.
static bool write_session(recover_result *result, const recover_options *o, const nsp_config *config,
                          uint64_t deadline_ns, const part_file *output)
{
    off_t start = part_file_length(output);
    if (start < 0) {
        fail(result, "the file cannot be written");
        return false;
    }
    if (!is_set_aside(result) && open_session(result) && export_session(result, o, config, deadline_ns))
        return true;
    close_session(result);
    return part_file_shorten(output, start);
}

// So that the next run knows it if this one is killed after the file has got its name, and before it has settled
// them all. Without such a note that run would write them again, and nothing worse.
static void note_file(recover_result *results, size_t count, const part_file *output)
{
    for (size_t i = 0; i < count && output->place != NULL; i++)
        if (results[i].recovery != NULL &&
            nsp_recovery_note_file(results[i].recovery, output->place, output->fd) != NSP_OK)
            complain("%s; this matters only if the command is killed now", nsp_error_detail());
}

static bool complete_file(recover_result *results, size_t count, part_file *output)
{
    if (!part_file_sync(output))
        return false;
    note_file(results, count, output);
    return part_file_finish(output);
}

static bool left_out(const recover_result *results, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any = any || results[i].account.left_out_history + results[i].account.left_out_speculative != 0;
    return any;
}

static void finish_file(recover_result *results, size_t count, const recover_options *o, part_file *output,
                        bool sound)
{
    bool empty = part_file_length(output) == 0, opened = false;
    bool finished = sound && (empty || complete_file(results, count, output));
    for (size_t i = 0; i < count; i++) {
        recover_result *result = &results[i];
        if (result->recovery == NULL)
            continue;
        result->again = !finished;
        if (finished)
            settle_session(result, o);
        else
            fail(result, "the file was not completed, so nothing of the session was changed");
        close_session(result);
        opened = true;
    }
    if (empty && opened)
        complain("nothing was left to write%s: %s was not created",
                 left_out(results, count) ? " without --speculative" : "", output->path);
}

// ---- those that another process recovers ----

// Usually they are gone in the end. They come last, so that nothing waits for them, and no file is unfinished.
static void await_other(recover_result *result, const recover_options *o, const nsp_config *config,
                        uint64_t deadline_ns)
{
    static const struct timespec nap = {.tv_nsec = 50 * (long)NSP__MILLISECOND};
    if (result->busy)
        complain("%s (pid %" PRIu32
                 "): another process is recovering or draining it; waiting for the end of that",
                 result->session->service, result->session->pid);
    while (result->busy && !recover_stopped && nsp__monotonic_ns() < deadline_ns) {
        nanosleep(&nap, NULL);
        if (o->output == NULL)
            send_session(result, o, config, deadline_ns);
        else if (open_session(result) && result->account.left == 0)
            settle_session(result, o);
        else if (result->opened)
            fail(result,
                 "another process has recovered only a part of it; run the command again, with another "
                 "FILE if this one is there now");
        close_session(result);
    }
    if (result->busy)
        fail(result,
             "another process is still recovering or draining it; --list shows whether something stays");
}

// ---- all of them ----

static bool is_complete(const recover_result *result)
{
    const nsp_recovery_account *account = &result->account;
    return result->gone ||
           (result->opened && !*result->problem && account->left == 0 && account->rejected == 0);
}

bool recover_sessions(recover_result *results, const recover_choice *choice, const recover_options *o,
                      const nsp_config *config, part_file *output)
{
    uint64_t deadline = nsp__after(nsp__monotonic_ns(), o->timeout_ns);
    bool complete = true, sound = true, failed = false;
    for (size_t i = 0; i < choice->count; i++) {
        recover_result *result = &results[i];
        *result = (recover_result){.session = &choice->sessions[i], .account = NSP_RECOVERY_ACCOUNT_INIT};
        if (recover_stopped || failed || !sound) {
            result->again = true;
            fail(result, recover_stopped
                             ? "the recovery was interrupted before it"
                             : "it was not tried, because the one before it could not be written");
        } else if (o->output != NULL)
            sound = write_session(result, o, config, deadline, output);
        else
            send_session(result, o, config, deadline);
        failed = failed || result->target_failed;
    }
    if (o->output != NULL)
        finish_file(results, choice->count, o, output, sound);
    for (size_t i = 0; i < choice->count; i++) {
        await_other(&results[i], o, config, deadline);
        complete = complete && is_complete(&results[i]);
    }
    return complete;
}
