// SPDX-License-Identifier: Apache-2.0
//
// `nanospan recover --list`: the sessions as a table, or one JSON object for each.
#include "recover.h"

#include "support/json_text.h"
#include "support/left_out.h"
#include "support/paint.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS = 8, DRAINED_BY = 4 };

// For people, and for machines.
typedef struct state_name {
    const char *shown, *written;
} state_name;

static state_name state_of(const recover_session *session)
{
    if (session->other_version)
        return (state_name){"other version", "other_version"};
    if (session->alive)
        return (state_name){"living", "living"};
    if (session->not_started)
        return (state_name){"empty", "empty"};
    if (session->set_aside)
        return (state_name){"set aside", "set_aside"};
    if (session->problem != NULL)
        return (state_name){"unreadable", "unreadable"};
    return session->ended ? (state_name){"ended", "ended"} : (state_name){"dead", "dead"};
}

// Who drains a living session; nobody drains a dead one, but somebody may be recovering it.
static const char *drained_by(const recover_session *session)
{
    if (session->problem != NULL || (!session->alive && !session->drained))
        return NULL;
    return session->drained ? "agent" : session->external ? "nobody" : "engine";
}

static void add_drained_by(text *cell, const recover_session *session)
{
    const char *by = drained_by(session);
    text_put(cell, by != NULL ? by : "-");
    if (session->drained && session->external && session->drainer_pid != 0)
        text_format(cell, " %" PRIu32, session->drainer_pid);
    if (session->external && session->alive && !session->drained)
        text_format(cell, ", ring %.0f%% full", session->ring_fill * 100);
}

// A cell's text is escaped where it comes from a session.
static void fill_cells(text cells[COLUMNS], const recover_session *session)
{
    uint64_t now = nsp__clock_ns(CLOCK_REALTIME);
    bool known = session->problem == NULL;
    char age[UNITS_SIZE], not_sent[UNITS_SIZE], unfinished[UNITS_SIZE], bytes[UNITS_SIZE];
    units_age(age, now > session->start_unix_ns ? now - session->start_unix_ns : 0);
    units_count(not_sent, session->unsent);
    units_count(unfinished, session->stats.open);
    units_bytes(bytes, (double)session->bytes);
    trace_notes_plain(&cells[0], nsp__slice_of(session->service));
    text_format(&cells[1], "%" PRIu32, session->pid);
    text_format(&cells[2], known ? "%s ago" : "-", age);
    text_put(&cells[3], state_of(session).shown);
    add_drained_by(&cells[DRAINED_BY], session);
    text_put(&cells[5], known ? not_sent : "-");
    text_put(&cells[6], known ? unfinished : "-");
    text_put(&cells[7], bytes);
}

static slice whole(const text *cell)
{
    return (slice){cell->data, cell->length};
}

// A column without width is left out.
static void add_row(paint *p, paint_colour colour, text cells[COLUMNS], const size_t widths[COLUMNS])
{
    static const bool RIGHT[COLUMNS] = {false, true, true, false, false, true, true, true};
    for (size_t i = 0; i < COLUMNS; i++) {
        if (widths[i] == 0)
            continue;
        paint_spaces(p, i != 0 ? 2 : 0);
        if (RIGHT[i])
            paint_right(p, colour, whole(&cells[i]), widths[i]);
        else
            paint_cell(p, colour, whole(&cells[i]), widths[i]);
    }
    text_char(p->out, '\n');
}

// Where all engines drain themselves, that is not worth a column.
static bool any_external(const recover_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++)
        if (choice->sessions[i].external)
            return true;
    return false;
}

static void add_table(paint *p, const recover_choice *choice)
{
    static const char *const TITLES[COLUMNS] = {"service",    "pid",      "started",    "state",
                                                "drained by", "not sent", "unfinished", "bytes"};
    text(*rows)[COLUMNS] = need_zeroes(choice->count + 1, sizeof *rows);
    size_t widths[COLUMNS] = {0};
    for (size_t i = 0; i < COLUMNS; i++)
        text_put(&rows[0][i], TITLES[i]);
    for (size_t row = 0; row <= choice->count; row++) {
        if (row != 0)
            fill_cells(rows[row], &choice->sessions[row - 1]);
        for (size_t i = 0; i < COLUMNS; i++) {
            size_t width = paint_width(whole(&rows[row][i]));
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    if (!any_external(choice))
        widths[DRAINED_BY] = 0;
    for (size_t row = 0; row <= choice->count; row++) {
        add_row(p, row == 0 ? PAINT_BOLD : PAINT_PLAIN, rows[row], widths);
        for (size_t i = 0; i < COLUMNS; i++)
            text_free(&rows[row][i]);
    }
    free(rows);
}

// Below the table, for which they are too long.
static void add_problems(text *out, const recover_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        const recover_session *session = &choice->sessions[i];
        if (session->problem == NULL)
            continue;
        trace_notes_plain(out, nsp__slice_of(session->service));
        text_format(out, " (pid %" PRIu32 "): ", session->pid);
        trace_notes_plain(out, nsp__slice_of(session->problem));
        text_char(out, '\n');
    }
}

// What a recovery takes along only if it is asked to, of dead sessions.
static void add_held(text *out, const recover_choice *choice)
{
    for (size_t i = 0; i < choice->count; i++) {
        const recover_session *session = &choice->sessions[i];
        text held = {0};
        if (!session->alive)
            left_out_held(&held, session->history_bytes, session->stats.speculating);
        if (held.length != 0) {
            trace_notes_plain(out, nsp__slice_of(session->service));
            text_format(out,
                        " (pid %" PRIu32 "): it also holds %.*s, which `nanospan recover` exports with "
                        "--speculative, and removes without it\n",
                        session->pid, (int)held.length, held.data);
        }
        text_free(&held);
    }
}

static void add_json(text *out, const recover_session *session)
{
    text_put(out, "{\"service\":");
    json_string(out, nsp__slice_of(session->service));
    text_format(out, ",\"pid\":%" PRIu32 ",\"directory\":", session->pid);
    json_string(out, nsp__slice_of(session->directory));
    text_format(out, ",\"state\":\"%s\",\"problem\":", state_of(session).written);
    if (session->problem != NULL)
        json_string(out, nsp__slice_of(session->problem));
    else
        text_put(out, "null");
    if (session->problem == NULL)
        text_format(out, ",\"start_unix_ns\":%" PRIu64 ",\"not_sent\":%" PRIu64 ",\"unfinished\":%" PRIu64,
                    session->start_unix_ns, session->unsent, session->stats.open);
    if (session->problem == NULL && !session->alive)
        text_format(out, ",\"history_bytes\":%" PRIu64 ",\"undecided\":%" PRIu64, session->history_bytes,
                    session->stats.speculating);
    const char *by = drained_by(session);
    if (by != NULL)
        text_format(out, ",\"drained_by\":\"%s\",\"ring_fill\":%.3f", by, session->ring_fill);
    if (session->external && session->drained)
        text_format(out, ",\"drainer_pid\":%" PRIu32, session->drainer_pid);
    text_format(out, ",\"bytes\":%" PRIu64 "}\n", session->bytes);
}

bool recover_print_list(const recover_choice *choice, bool json, bool coloured)
{
    text out = {0};
    paint p = {.out = &out, .coloured = coloured, .width = paint_terminal_width()};
    for (size_t i = 0; json && i < choice->count; i++)
        add_json(&out, &choice->sessions[i]);
    if (!json && choice->count != 0) {
        add_table(&p, choice);
        add_problems(&out, choice);
        add_held(&out, choice);
    }
    bool sound = text_print(&out);
    text_free(&out);
    return sound;
}
