// SPDX-License-Identifier: Apache-2.0
//
// Finds the spans whose details are wanted in their files, and their resources.
#include "interning.h"
#include "trace_details.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

enum { MOST_COMPLAINTS = 10, PROGRESS_LINES = 16 };

typedef struct details_reader {
    trace_file *file;
    const trace_store *store;
    const details_calls *calls;
    nsp__json_reader json;
    const uint32_t *wanted, *wanted_end;
    uint32_t line, ordinal, resource;
    text copy; // of the line as it was, since reading changes it
    span_details details;
    interning resources;
    text resource_key;
} details_reader;

static int by_place_in_files(const void *a, const void *b, void *context)
{
    const trace_store *store = context;
    const span_row *left = &store->rows[*(const uint32_t *)a], *right = &store->rows[*(const uint32_t *)b];
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->ordinal < right->ordinal ? -1 : left->ordinal > right->ordinal;
}

// The same place in the copy, which has to be unchanged from there on.
static nsp__json_reader in_copy(details_reader *in, const nsp__json_reader *at)
{
    nsp__json_reader other = *at;
    other.at = in->copy.data + (at->at - in->file->line);
    other.end = in->copy.data + in->copy.length;
    return other;
}

static void complain_of(details_reader *in, const char *why, const char *what)
{
    if (in->file->bad_notes++ < MOST_COMPLAINTS)
        complain("%s:%u: %s; the rest of that %s is not shown", in->file->name,
                 in->line - in->file->first_line + 1, why, what);
}

// Goes to the end of the value that began at `before` if it could not be read. The first pass skipped it, so that it
// is sound JSON.
static void step_over_malformed(details_reader *in, const nsp__json_reader *before, const char *what)
{
    if (in->json.wrong == NULL)
        return;
    complain_of(in, in->json.wrong, what);
    nsp__json_reader other = in_copy(in, before);
    nsp__json_skip(&other);
    in->json = other;
    in->json.at = in->file->line + (other.at - in->copy.data);
    in->json.end = in->file->line + in->copy.length;
}

// Two resources are the same if they have the same attributes in the same order.
static uint32_t number_of_resource(details_reader *in)
{
    text *key = &in->resource_key;
    bool is_new;
    key->length = 0;
    for (uint32_t i = 0; i < in->details.own_count; i++) {
        const attribute *a = &in->details.attributes[i];
        text_add(key, &a->type, sizeof a->type);
        text_add(key, &a->key.length, sizeof a->key.length);
        text_slice(key, a->key);
        if (a->type == VALUE_STRING || a->type == VALUE_OTHER) {
            text_add(key, &a->text.length, sizeof a->text.length);
            text_slice(key, a->text);
        } else if (a->type == VALUE_DOUBLE) {
            text_add(key, &a->real, sizeof a->real);
        } else {
            text_add(key, &a->integer, sizeof a->integer);
        }
    }
    const uint32_t number = interning_add(&in->resources, (slice){key->data, key->length}, &is_new);
    if (is_new && in->calls->resource != NULL)
        in->calls->resource(in->calls->context, number, &in->details);
    return number;
}

static void read_resource(details_reader *in, nsp__json_reader *json)
{
    span_details_read_resource(&in->details, json);
    in->resource = number_of_resource(in);
}

// Spans that come before their resource: finds it behind them, in the copy, which is made sound again.
static void look_for_resource(details_reader *in)
{
    nsp__json_reader ahead = in_copy(in, &in->json);
    const size_t from = (size_t)(ahead.at - in->copy.data);
    slice name;
    in->details.own_count = in->details.attribute_count = 0;
    nsp__json_skip(&ahead); // the spans
    while (nsp__json_key(&ahead, &name))
        if (nsp__slice_is(name, "resource"))
            span_details_read_resource(&in->details, &ahead);
        else
            nsp__json_skip(&ahead);
    if (ahead.wrong != NULL)
        complain_of(in, ahead.wrong, "resource");
    in->resource = number_of_resource(in);
    const size_t to = (size_t)(ahead.at - in->copy.data);
    memcpy(in->copy.data + from, in->file->line + from, to - from);
}

static void read_spans(details_reader *in)
{
    nsp__json_enter(&in->json, '[');
    while (nsp__json_element(&in->json)) {
        const span_row *row = in->wanted < in->wanted_end ? &in->store->rows[*in->wanted] : NULL;
        const uint32_t ordinal = in->ordinal++;
        if (row == NULL || row->line != in->line || row->ordinal != ordinal) {
            nsp__json_skip(&in->json);
            continue;
        }
        const nsp__json_reader before = in->json;
        span_details_read(&in->details, &in->json);
        in->calls->span(in->calls->context, *in->wanted++, in->resource, &in->details);
        step_over_malformed(in, &before, "span");
    }
}

static void read_scopes(details_reader *in)
{
    slice name;
    nsp__json_enter(&in->json, '[');
    while (nsp__json_element(&in->json)) {
        nsp__json_enter(&in->json, '{');
        while (nsp__json_key(&in->json, &name))
            if (nsp__slice_is(name, "spans"))
                read_spans(in);
            else
                nsp__json_skip(&in->json);
    }
}

static void read_resource_spans(details_reader *in)
{
    slice name;
    bool known = false;
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name))
        if (nsp__slice_is(name, "resource") && !known) {
            const nsp__json_reader before = in->json;
            read_resource(in, &in->json);
            step_over_malformed(in, &before, "resource");
            known = true;
        } else if (nsp__slice_is(name, "scopeSpans")) {
            if (!known)
                look_for_resource(in);
            known = true;
            read_scopes(in);
        } else {
            nsp__json_skip(&in->json);
        }
}

// False if the line is not the one that was read before.
static bool read_line(details_reader *in, size_t length)
{
    slice name;
    in->copy.length = 0;
    text_add(&in->copy, in->file->line, length);
    in->ordinal = 0;
    nsp__json_begin(&in->json, in->file->line, length);
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name)) {
        if (!nsp__slice_is(name, "resourceSpans")) {
            nsp__json_skip(&in->json);
            continue;
        }
        nsp__json_enter(&in->json, '[');
        while (nsp__json_element(&in->json))
            read_resource_spans(in);
    }
    return in->json.wrong == NULL;
}

static bool read_file(details_reader *in)
{
    trace_file *file = in->file;
    const uint32_t after = file->first_line + file->line_count;
    uint32_t next = UINT32_MAX; // the line at which the file stands
    bool sound = true;
    while (sound && in->wanted < in->wanted_end && in->store->rows[*in->wanted].line < after) {
        const uint32_t *before = in->wanted;
        in->line = in->store->rows[*in->wanted].line;
        if (file->show_progress && in->line % PROGRESS_LINES == 0)
            fprintf(stderr, "\r\033[Kreading details: %" PRIu64 " %%",
                    (uint64_t)(in->line - file->first_line) * 100 / file->line_count);
        ssize_t length = -1;
        if (in->line == next || fseeko(file->stream, (off_t)in->store->lines[in->line], SEEK_SET) == 0)
            length = getline(&file->line, &file->line_capacity, file->stream);
        next = in->line + 1;
        sound = length > 0 && read_line(in, (size_t)length) && in->wanted > before &&
                (in->wanted == in->wanted_end || in->store->rows[*in->wanted].line > in->line);
    }
    if (file->show_progress)
        fputs("\r\033[K", stderr);
    if (!sound && ferror(file->stream))
        complain("cannot read %s: %s", file->name, strerror(errno));
    else if (!sound)
        complain("%s changed while it was being read; try again", file->name);
    return sound;
}

bool trace_files_details(trace_file *files, size_t file_count, const trace_store *store, uint32_t *wanted,
                         size_t count, const details_calls *calls)
{
    details_reader in = {.store = store, .calls = calls, .wanted = wanted, .wanted_end = wanted + count};
    bool sound = true;
    qsort_r(wanted, count, sizeof *wanted, by_place_in_files, (void *)(uintptr_t)store);
    for (size_t i = 0; sound && i < file_count; i++) {
        in.file = &files[i];
        sound = read_file(&in);
    }
    text_free(&in.copy);
    text_free(&in.resource_key);
    interning_free(&in.resources);
    span_details_free(&in.details);
    return sound;
}
