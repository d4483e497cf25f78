// SPDX-License-Identifier: Apache-2.0
//
// Keeps the findings in order, removes secrets from them, and prints them as text or as JSON.
#include "doctor.h"

#include "support/paint.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>

enum { SECRET_LEAST = 4 };

static const char *const LEVELS[] = {"OK", "note", "WARN", "FAIL"};

uint64_t doctor_now(void)
{
    return nsp__monotonic_ns();
}

uint64_t doctor_time(const doctor *d, uint64_t most_ns)
{
    uint64_t now = doctor_now(), left = now < d->deadline_ns ? d->deadline_ns - now : 0;
    if (left > most_ns)
        left = most_ns;
    return left > DOCTOR_SECOND / 1000 ? left : DOCTOR_SECOND / 1000;
}

// ---- keeping ----

__attribute__((format(printf, 2, 0))) static void add_formatted(text *out, const char *format,
                                                                va_list arguments)
{
    char line[2048];
    vsnprintf(line, sizeof line, format, arguments);
    trace_notes_plain(out, nsp__slice_of(line));
}

void doctor_say(doctor *d, doctor_level level, const char *check, const char *format, ...)
{
    d->findings = need_room(d->findings, d->count, &d->capacity, sizeof *d->findings);
    doctor_finding *finding = &d->findings[d->count++];
    *finding = (doctor_finding){.group = d->group, .check = check, .level = level};
    va_list arguments;
    va_start(arguments, format);
    add_formatted(&finding->line, format, arguments);
    va_end(arguments);
}

void doctor_advise(doctor *d, const char *format, ...)
{
    doctor_finding *finding = &d->findings[d->count - 1];
    va_list arguments;
    va_start(arguments, format);
    add_formatted(&finding->advice, format, arguments);
    va_end(arguments);
    text_char(&finding->advice, '\n');
}

void doctor_hide(doctor *d, const char *secret, size_t length)
{
    if (length < SECRET_LEAST)
        return;
    d->secrets = need_room(d->secrets, d->secret_count, &d->secret_capacity, sizeof *d->secrets);
    text *kept = &d->secrets[d->secret_count++];
    *kept = (text){0};
    text_add(kept, secret, length);
}

doctor_level doctor_worst(const doctor *d)
{
    doctor_level worst = DOCTOR_OK;
    for (size_t i = 0; i < d->count; i++)
        worst = d->findings[i].level > worst ? d->findings[i].level : worst;
    return worst;
}

void doctor_free(doctor *d)
{
    for (size_t i = 0; i < d->count; i++) {
        text_free(&d->findings[i].line);
        text_free(&d->findings[i].advice);
    }
    for (size_t i = 0; i < d->secret_count; i++)
        text_free(&d->secrets[i]);
    free(d->findings);
    free(d->secrets);
    nsp_otlp_target_free(&d->target.way);
}

// Removes secrets wherever they occur, for instance in the message of a server that repeats our headers.
static void censor(const doctor *d, text *line)
{
    for (size_t i = 0; i < d->secret_count; i++) {
        const text *secret = &d->secrets[i];
        char *at = NULL;
        while (line->length &&
               (at = memmem(line->data, line->length, secret->data, secret->length)) != NULL) {
            memset(at, '*', SECRET_LEAST);
            char *rest = at + secret->length;
            memmove(at + SECRET_LEAST, rest, (size_t)(line->data + line->length - rest));
            line->length -= secret->length - SECRET_LEAST;
        }
    }
}

static void censor_all(doctor *d)
{
    for (size_t i = 0; i < d->count; i++) {
        censor(d, &d->findings[i].line);
        censor(d, &d->findings[i].advice);
    }
}

// ---- printing ----

// How many bytes of the line fit into `room` columns, broken between words; at least one word.
static size_t fitting(slice line, size_t room)
{
    size_t end = 0;
    for (size_t at = 0; at < line.length;) {
        const char *space = memchr(line.text + at, ' ', line.length - at);
        size_t word_end = space != NULL ? (size_t)(space - line.text) : line.length;
        if (end && paint_width((slice){line.text, word_end}) > room)
            break;
        end = word_end;
        at = word_end + 1;
    }
    return end;
}

// Wraps the line to the terminal's width. Rows after the first are indented by `indent` columns.
static void add_wrapped(paint *p, paint_colour colour, slice line, size_t indent)
{
    size_t room = p->width > indent + 20 ? p->width - indent : 20;
    while (true) {
        size_t length = fitting(line, room);
        paint_add(p, colour, (slice){line.text, length});
        text_char(p->out, '\n');
        if (length >= line.length)
            return;
        line.text += length + 1;
        line.length -= length + 1;
        paint_spaces(p, indent);
    }
}

static void add_finding(paint *p, const doctor_finding *finding)
{
    static const paint_colour COLOURS[] = {PAINT_CYAN, PAINT_BLUE, PAINT_YELLOW, PAINT_RED};
    paint_spaces(p, 2);
    paint_cell(p, COLOURS[finding->level], nsp__slice_of(LEVELS[finding->level]), 6);
    add_wrapped(p, PAINT_PLAIN, (slice){finding->line.data, finding->line.length}, 8);
    const char *at = finding->advice.data, *end = at + finding->advice.length;
    while (finding->advice.length && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        paint_spaces(p, 8);
        text_put(p->out, "\u2192 ");
        add_wrapped(p, PAINT_DIM, (slice){at, (size_t)(newline - at)}, 10);
        at = newline + 1;
    }
}

static void add_closing(paint *p, const doctor *d)
{
    size_t warnings = 0, failures = 0;
    for (size_t i = 0; i < d->count; i++) {
        warnings += d->findings[i].level == DOCTOR_WARN;
        failures += d->findings[i].level == DOCTOR_FAIL;
    }
    text line = {0};
    if (failures == 0 && warnings == 0)
        text_put(&line, "no failures, no warnings");
    else
        text_format(&line, "%zu failure%s, %zu warning%s", failures, failures == 1 ? "" : "s", warnings,
                    warnings == 1 ? "" : "s");
    paint_add(p,
              failures   ? PAINT_RED
              : warnings ? PAINT_YELLOW
                         : PAINT_BOLD,
              (slice){line.data, line.length});
    text_char(p->out, '\n');
    text_free(&line);
}

bool doctor_print(doctor *d, bool quiet, bool coloured, size_t width)
{
    text out = {0};
    paint p = {.out = &out, .coloured = coloured, .width = width};
    const char *group = NULL;
    censor_all(d);
    for (size_t i = 0; i < d->count; i++) {
        const doctor_finding *finding = &d->findings[i];
        if (quiet && finding->level < DOCTOR_WARN)
            continue;
        if (group != NULL && strcmp(group, finding->group) != 0)
            text_char(&out, '\n');
        if (group == NULL || strcmp(group, finding->group) != 0)
            paint_add(&p, PAINT_BOLD, nsp__slice_of(finding->group)), text_char(&out, '\n');
        group = finding->group;
        add_finding(&p, finding);
    }
    if (!quiet || group != NULL) {
        if (group != NULL)
            text_char(&out, '\n');
        add_closing(&p, d);
    }
    bool sound = text_print(&out);
    text_free(&out);
    return sound;
}

// A JSON string. If the text is not UTF-8 (a server's message may be anything), non-ASCII bytes become
// question marks.
static json_t *string_of(const char *data, size_t length)
{
    json_t *string = json_stringn(data, length);
    if (string != NULL)
        return string;
    char *copy = need_memory(length + 1);
    for (size_t i = 0; i < length; i++)
        copy[i] = (unsigned char)data[i] < 0x80 ? data[i] : '?';
    string = json_stringn(copy, length);
    free(copy);
    return string;
}

static json_t *json_of(const doctor_finding *finding)
{
    static const char *const NAMES[] = {"ok", "note", "warn", "fail"};
    json_t *advice = json_array();
    const char *at = finding->advice.data, *end = at + finding->advice.length;
    while (finding->advice.length && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        json_array_append_new(advice, string_of(at, (size_t)(newline - at)));
        at = newline + 1;
    }
    return json_pack("{s:s, s:s, s:s, s:o, s:o}", "group", finding->group, "check", finding->check, "level",
                     NAMES[finding->level], "text", string_of(finding->line.data, finding->line.length),
                     "advice", advice);
}

bool doctor_print_json(doctor *d, bool quiet, int exit_code)
{
    json_t *findings = json_array();
    censor_all(d);
    for (size_t i = 0; i < d->count; i++)
        if (!quiet || d->findings[i].level >= DOCTOR_WARN)
            json_array_append_new(findings, json_of(&d->findings[i]));
    json_t *root =
        json_pack("{s:s, s:i, s:o}", "version", NSP_VERSION, "exit_code", exit_code, "findings", findings);
    bool sound = root != NULL && json_dumpf(root, stdout, JSON_INDENT(2)) == 0 && putchar('\n') != EOF &&
                 fflush(stdout) == 0;
    json_decref(root);
    return sound;
}
