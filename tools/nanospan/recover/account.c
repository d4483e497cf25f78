// SPDX-License-Identifier: Apache-2.0
//
// The accounts at the end: what became of every span that the engine began.
#include "recover.h"

#include "support/json_text.h"
#include "support/left_out.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include <inttypes.h>
#include <stdio.h>

// One line of an account. The lines of one sum together make `attempted`.
typedef struct account_line {
    const char *member; // its name in JSON
    size_t offset;
    const char *meaning;                   // for people
    enum { WHOLE, SUM, PART, APART } role; // APART: in no sum
} account_line;

#define LINE(member, role, meaning)                                                                          \
    {                                                                                                        \
#member, offsetof(nsp_recovery_account, member), meaning, role                                       \
    }

static const account_line LINES[] = {
    LINE(attempted, WHOLE, "spans begun by the engine"),
    LINE(engine_exported, SUM, "exported earlier, by the engine, an agent or a recovery"),
    LINE(engine_rejected, SUM, "rejected by the receiver earlier"),
    LINE(engine_unconfirmed, SUM, "sent earlier, and not confirmed"),
    LINE(engine_discarded, SUM, "discarded by the engine"),
    LINE(engine_spooled, SUM, "spooled by the engine"),
    LINE(dropped, SUM, "dropped by the engine"),
    LINE(exported, SUM, "recovered: exported now"),
    LINE(rejected, SUM, "rejected by the receiver now"),
    LINE(unconfirmed, SUM, "sent now, and not confirmed"),
    LINE(skipped, SUM, "in doubt, and left out as --in-doubt skip says"),
    LINE(invalid, SUM, "damaged, and left out"),
    LINE(left, SUM, "still in the session"),
    LINE(lost_at_crash, SUM, "lost in the crash, while they were beginning or ending"),
    LINE(finished, PART, "finished, in the rings"),
    LINE(unfinished, PART, "unfinished, and marked nanospan.unfinished"),
    LINE(speculative, PART, "of these in traces that were open, and not decided"),
    LINE(history, PART, "of these in traces that lay in history"),
    LINE(from_batches, PART, "in batches that were not sent"),
    LINE(in_doubt, PART, "of these in doubt: the receiver may already have had them"),
    LINE(left_foreign, PART, "in batches of a custom exporter, which only that can read"),
    LINE(left_out_speculative, APART, NULL), // these are one sentence
    LINE(left_out_history, APART, NULL),
};
enum { LINE_COUNT = sizeof LINES / sizeof LINES[0] };

static uint64_t value_of(const account_line *line, const nsp_recovery_account *account)
{
    uint64_t value;
    memcpy(&value, (const char *)account + line->offset, sizeof value);
    return value;
}

static uint64_t sum_of(const nsp_recovery_account *account)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < LINE_COUNT; i++)
        sum += LINES[i].role == SUM ? value_of(&LINES[i], account) : 0;
    return sum;
}

bool recover_balanced(const nsp_recovery_account *account)
{
    return sum_of(account) == account->attempted && account->lost_at_crash <= account->lost_at_crash_max;
}

// ---- for people ----

// Finished spans lie in the rings, and those that --speculative exports elsewhere.
static const char *meaning_of(const account_line *line, const nsp_recovery_account *account)
{
    const bool also = account->speculative != 0 || account->history != 0;
    return also && line->offset == offsetof(nsp_recovery_account, finished)
               ? "finished, in the rings, in history, or in traces that were not decided"
               : line->meaning;
}

static void add_line(text *out, const account_line *line, const nsp_recovery_account *account)
{
    char count[UNITS_SIZE];
    units_count(count, value_of(line, account));
    text_format(out, "  %*s  %s%s", 14, count, line->role == SUM ? "  " : "", meaning_of(line, account));
}

// Why the engine dropped spans, from what its session said when the command looked at it.
static void add_causes(text *out, const nsp_stats *stats, uint64_t dropped)
{
    const struct {
        uint64_t count;
        const char *cause;
    } causes[] = {
        {stats->dropped_ring_full, "ring full"},
        {stats->dropped_too_deep, "too many open on a thread"},
        {stats->dropped_detached_full, "too many detached"},
        {stats->dropped_in_signal, "in a signal handler"},
        {stats->dropped_no_thread, "no slot for their thread"},
        {stats->dropped_invalid, "damaged records"},
    };
    if (stats->dropped != dropped)
        return;
    const char *before = ": ";
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        char count[UNITS_SIZE];
        units_count(count, causes[i].count);
        if (causes[i].count != 0) {
            text_format(out, "%s%s %s", before, count, causes[i].cause);
            before = ", ";
        }
    }
}

static void add_sum(text *out, const recover_result *result, const char *target)
{
    const nsp_recovery_account *account = &result->account;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        if (LINES[i].role >= PART || (LINES[i].role == SUM && value_of(&LINES[i], account) == 0))
            continue;
        add_line(out, &LINES[i], account);
        if (LINES[i].offset == offsetof(nsp_recovery_account, dropped))
            add_causes(out, &result->session->stats, account->dropped);
        if (LINES[i].offset == offsetof(nsp_recovery_account, exported) && target != NULL)
            text_format(out, ", to %s", target);
        text_char(out, '\n');
    }
}

static void add_found(text *out, const nsp_recovery_account *account)
{
    bool first = true;
    for (size_t i = 0; i < LINE_COUNT; i++) {
        if (LINES[i].role != PART || value_of(&LINES[i], account) == 0)
            continue;
        if (first)
            text_put(out, "  what was found in its memory:\n");
        first = false;
        add_line(out, &LINES[i], account);
        text_char(out, '\n');
    }
}

static void add_balance(text *out, const nsp_recovery_account *account)
{
    char sum[UNITS_SIZE], attempted[UNITS_SIZE], most[UNITS_SIZE];
    units_count(sum, sum_of(account));
    units_count(attempted, account->attempted);
    units_count(most, account->lost_at_crash_max);
    if (recover_balanced(account))
        text_format(out, "  balanced: the sum of these is %s\n", sum);
    else if (sum_of(account) != account->attempted)
        text_format(out, "  NOT BALANCED: the sum of these is %s, not %s; the session's memory was damaged\n",
                    sum, attempted);
    else
        text_format(out,
                    "  NOT BALANCED: at most %s can be lost in a crash; the session's memory was damaged\n",
                    most);
}

static void add_left_out(text *out, const nsp_recovery_account *account)
{
    text line = {0};
    left_out_spans(&line, account->left_out_history, account->left_out_speculative);
    if (line.length != 0)
        text_format(out, "  %.*s; --speculative exports them\n", (int)line.length, line.data);
    text_free(&line);
}

static void add_private_threads(text *out, const nsp_recovery_account *account)
{
    if (account->threads_private != 0)
        text_format(out,
                    "  %" PRIu64 " thread%s had no room in shared memory: what was still in their rings, or "
                    "open, died with the engine\n",
                    account->threads_private, account->threads_private == 1 ? "" : "s");
}

static void add_lost_threads(text *out, const nsp_recovery_account *account)
{
    if (account->threads_lost != 0)
        text_format(out,
                    "  the memory of %" PRIu64
                    " thread%s cannot be read: nobody knows how many spans were in "
                    "%s, or open\n",
                    account->threads_lost, account->threads_lost == 1 ? "" : "s",
                    account->threads_lost == 1 ? "its ring" : "their rings");
}

static void add_end(text *out, const recover_result *result)
{
    if (*result->problem) {
        text_put(out, "  not complete: ");
        trace_notes_plain(out, nsp__slice_of(result->problem));
        text_char(out, '\n');
    }
    if (result->gone)
        text_put(out, "  another process has recovered or removed it in the meantime\n");
    else if (result->removed)
        text_put(out, "  the session is removed\n");
    else if (!result->busy) {
        text_put(out, "  the session stays in ");
        trace_notes_plain(out, nsp__slice_of(result->session->directory));
        text_char(out, '\n');
    }
}

static void add_account(text *out, const recover_result *result, const char *target)
{
    const recover_session *session = result->session;
    char when[UNITS_SIZE];
    units_time(when, session->start_unix_ns);
    when[19] = '\0';
    trace_notes_plain(out, nsp__slice_of(session->service));
    text_format(out, " (pid %" PRIu32 ")", session->pid);
    if (session->start_unix_ns != 0)
        text_format(out, ", started %s UTC", when);
    text_char(out, '\n');
    if (result->opened) {
        add_sum(out, result, target);
        add_balance(out, &result->account);
        add_found(out, &result->account);
        add_left_out(out, &result->account);
        add_private_threads(out, &result->account);
        add_lost_threads(out, &result->account);
    }
    add_end(out, result);
}

// ---- for machines ----

static void add_json(text *out, const recover_result *result)
{
    const recover_session *session = result->session;
    text_put(out, "{\"service\":");
    json_string(out, nsp__slice_of(session->service));
    text_format(out, ",\"pid\":%" PRIu32 ",\"start_unix_ns\":%" PRIu64 ",\"directory\":", session->pid,
                session->start_unix_ns);
    json_string(out, nsp__slice_of(session->directory));
    text_put(out, ",\"problem\":");
    if (*result->problem)
        json_string(out, nsp__slice_of(result->problem));
    else
        text_put(out, "null");
    text_format(out, ",\"removed\":%s,\"account\":", result->removed ? "true" : "false");
    if (result->opened) {
        text_char(out, '{');
        for (size_t i = 0; i < LINE_COUNT; i++)
            text_format(out, "\"%s\":%" PRIu64 ",", LINES[i].member, value_of(&LINES[i], &result->account));
        if (result->account.lost_at_crash_max != UINT64_MAX)
            text_format(out, "\"lost_at_crash_max\":%" PRIu64 ",", result->account.lost_at_crash_max);
        else
            text_put(out, "\"lost_at_crash_max\":null,");
        text_format(out, "\"threads_private\":%" PRIu64 ",\"threads_lost\":%" PRIu64 ",\"balanced\":%s}",
                    result->account.threads_private, result->account.threads_lost,
                    recover_balanced(&result->account) ? "true" : "false");
    } else {
        text_put(out, "null");
    }
    text_put(out, "}\n");
}

bool recover_print_results(const recover_result *results, size_t count, bool json, const char *target)
{
    text out = {0};
    for (size_t i = 0; i < count; i++) {
        if (json)
            add_json(&out, &results[i]);
        else
            add_account(&out, &results[i], target);
    }
    bool sound = text_print(&out);
    text_free(&out);
    return sound;
}
