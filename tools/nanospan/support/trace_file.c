// SPDX-License-Identifier: Apache-2.0
#include "trace_file.h"

#include "common/json_read.h"
#include "trace_notes.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define MARK "\"nanospan." // the beginning of every key that a row has

enum { MOST_COMPLAINTS = 10, PROGRESS_LINES = 16 };

// The state while a line is read: for its rows or, if `wanted` is set, for the notes of some of its spans.
typedef struct line_reader {
    trace_file *file;
    trace_store *store;
    nsp__json_reader json;
    uint32_t line;
    uint32_t ordinal;
    span_notes *wanted, *wanted_end;
    text copy; // of the line as it was, since reading changes it; empty if nothing is looked for in it
} line_reader;

static uint8_t read_status(nsp__json_reader *json)
{
    slice name;
    uint64_t code = 0;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name))
        if (nsp__slice_is(name, "code"))
            code = nsp__json_number(json);
        else
            nsp__json_skip(json);
    return (uint8_t)code;
}

// An attribute that is a text or a whole number; what it is not is empty, or 0.
static slice read_attribute(nsp__json_reader *json, slice *text_value, uint64_t *number)
{
    slice name, key = {"", 0};
    *text_value = (slice){"", 0};
    *number = 0;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "key")) {
            nsp__json_scalar(json, &key);
            continue;
        }
        if (!nsp__slice_is(name, "value")) {
            nsp__json_skip(json);
            continue;
        }
        nsp__json_enter(json, '{');
        while (nsp__json_key(json, &name))
            if (nsp__slice_is(name, "stringValue"))
                nsp__json_scalar(json, text_value);
            else if (nsp__slice_is(name, "intValue"))
                *number = nsp__json_number(json);
            else
                nsp__json_skip(json);
    }
    return key;
}

// True if what lies between these places of the line has a mark; then it can be read from the copy.
static bool begin_marked(const line_reader *in, size_t from, size_t to, nsp__json_reader *json)
{
    if (to <= from || to > in->copy.length ||
        memmem(in->copy.data + from, to - from, MARK, sizeof MARK - 1) == NULL)
        return false;
    nsp__json_begin(json, in->copy.data + from, to - from);
    return true;
}

static void read_pause(nsp__json_reader *json, trace_store *store, span_row *row)
{
    slice name, label = {"", 0}, text_value;
    off_cpu pause = {0};
    bool timed = false;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "name")) {
            nsp__json_scalar(json, &label);
        } else if (nsp__slice_is(name, "timeUnixNano")) {
            pause.start = nsp__json_number(json);
        } else if (nsp__slice_is(name, "attributes")) {
            nsp__json_enter(json, '[');
            while (nsp__json_element(json)) {
                uint64_t number;
                if (nsp__slice_is(read_attribute(json, &text_value, &number), "nanospan.off_cpu_ns")) {
                    pause.duration = number;
                    timed = true;
                }
            }
        } else {
            nsp__json_skip(json);
        }
    }
    pause.preempted = nsp__slice_is(label, "preempted");
    if (json->wrong != NULL || !timed || (!pause.preempted && !nsp__slice_is(label, "waited")))
        return;
    if (row->pause_count == 0)
        row->first_pause = (uint32_t)store->pause_count;
    store->pauses =
        need_room(store->pauses, store->pause_count, &store->pause_capacity, sizeof *store->pauses);
    store->pauses[store->pause_count++] = pause;
    row->pause_count++;
}

// The same for the events that are times off the CPU.
static void read_pauses(line_reader *in, size_t from, size_t to, span_row *row)
{
    nsp__json_reader json;
    if (!begin_marked(in, from, to, &json))
        return;
    nsp__json_enter(&json, '[');
    while (nsp__json_element(&json))
        read_pause(&json, in->store, row);
}

// The attributes that a row has. The reader has skipped all of them, and reads those of marked lines again, from the
// copy: whatever else is wrong with them shows only where they are shown.
static void read_marks(line_reader *in, size_t from, size_t to, span_row *row)
{
    nsp__json_reader json;
    slice key, value;
    if (!begin_marked(in, from, to, &json))
        return;
    nsp__json_enter(&json, '[');
    while (nsp__json_element(&json)) {
        trace_notes_string_attribute(&json, &key, &value);
        if (json.wrong == NULL && nsp__slice_is(key, "nanospan.kept"))
            row->kept = (uint8_t)kept_from(value);
    }
}

// The conditions that hold for what lies between these places: a list of attributes, or an object that has one.
static uint8_t read_matches(line_reader *in, size_t from, size_t to, bool is_list)
{
    attribute_filter *where = in->file->where;
    if (where == NULL || to <= from || to > in->copy.length)
        return 0;
    const slice json = {in->copy.data + from, to - from};
    return is_list ? attribute_filter_list(where, json) : attribute_filter_object(where, json);
}

static void read_span(line_reader *in)
{
    nsp__json_reader *json = &in->json;
    span_row row = {.line = in->line, .ordinal = in->ordinal++};
    slice name, label = {"", 0};
    uint64_t trace_id[2] = {0}, end = 0;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (nsp__slice_is(name, "traceId")) {
            nsp__json_id(json, trace_id, 2);
        } else if (nsp__slice_is(name, "spanId")) {
            nsp__json_id(json, &row.id, 1);
        } else if (nsp__slice_is(name, "parentSpanId")) {
            nsp__json_id(json, &row.parent, 1);
        } else if (nsp__slice_is(name, "name")) {
            nsp__json_scalar(json, &label);
        } else if (nsp__slice_is(name, "kind")) {
            row.kind = (uint8_t)nsp__json_number(json);
        } else if (nsp__slice_is(name, "startTimeUnixNano")) {
            row.start = nsp__json_number(json);
        } else if (nsp__slice_is(name, "endTimeUnixNano")) {
            end = nsp__json_number(json);
        } else if (nsp__slice_is(name, "status")) {
            row.status = read_status(json);
        } else if (in->copy.length != 0 &&
                   (nsp__slice_is(name, "attributes") || nsp__slice_is(name, "events"))) {
            const bool events = nsp__slice_is(name, "events");
            const size_t from = (size_t)(json->at - in->file->line);
            nsp__json_skip(json);
            const size_t to = (size_t)(json->at - in->file->line);
            if (events) {
                read_pauses(in, from, to, &row);
            } else {
                row.matches |= read_matches(in, from, to, true);
                read_marks(in, from, to, &row);
            }
        } else {
            nsp__json_skip(json);
        }
    }
    if (json->wrong != NULL)
        return;
    if (!row.id || (!trace_id[0] && !trace_id[1])) {
        in->file->bad_spans++;
        return;
    }
    row.duration = end > row.start ? end - row.start : 0;
    row.trace = trace_store_trace(in->store, trace_id[0], trace_id[1]);
    row.name = trace_store_string(in->store, label);
    *trace_store_row(in->store) = row;
}

static void read_spans(line_reader *in)
{
    nsp__json_enter(&in->json, '[');
    while (nsp__json_element(&in->json)) {
        if (in->wanted == NULL) {
            read_span(in);
        } else if (in->wanted < in->wanted_end && in->wanted->row->line == in->line &&
                   in->wanted->row->ordinal == in->ordinal) {
            trace_notes_read(&in->json, in->wanted++);
            in->ordinal++;
        } else {
            nsp__json_skip(&in->json);
            in->ordinal++;
        }
    }
}

static uint32_t read_service(line_reader *in, uint32_t service)
{
    nsp__json_reader *json = &in->json;
    slice name, label, value;
    nsp__json_enter(json, '{');
    while (nsp__json_key(json, &name)) {
        if (!nsp__slice_is(name, "attributes")) {
            nsp__json_skip(json);
            continue;
        }
        nsp__json_enter(json, '[');
        while (nsp__json_element(json)) {
            trace_notes_string_attribute(json, &label, &value);
            if (nsp__slice_is(label, "service.name"))
                service = trace_store_string(in->store, value);
        }
    }
    return service;
}

static void read_scopes(line_reader *in)
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

static void read_resource(line_reader *in)
{
    slice name;
    uint32_t service = 0;
    uint8_t matches = 0;
    size_t first = in->store->row_count;
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name))
        if (nsp__slice_is(name, "resource") && in->wanted == NULL) {
            const size_t from = (size_t)(in->json.at - in->file->line);
            service = read_service(in, service);
            matches |= read_matches(in, from, (size_t)(in->json.at - in->file->line), false);
        } else if (nsp__slice_is(name, "scopeSpans")) {
            read_scopes(in);
        } else {
            nsp__json_skip(&in->json);
        }
    // The resource may come after its spans. (No rows are added while notes are read.)
    for (size_t i = first; i < in->store->row_count; i++) {
        in->store->rows[i].service = service;
        in->store->rows[i].matches |= matches;
    }
}

static bool needs_copy(const line_reader *in, const char *data, size_t length)
{
    return in->wanted == NULL &&
           (memmem(data, length, MARK, sizeof MARK - 1) != NULL ||
            (in->file->where != NULL && attribute_filter_may_match(in->file->where, (slice){data, length})));
}

// Returns NULL, or what is wrong with the line.
static const char *read_line(line_reader *in, char *data, size_t length)
{
    slice name;
    nsp__json_begin(&in->json, data, length);
    in->ordinal = 0;
    in->copy.length = 0;
    if (needs_copy(in, data, length))
        text_add(&in->copy, data, length);
    nsp__json_enter(&in->json, '{');
    while (nsp__json_key(&in->json, &name)) {
        if (!nsp__slice_is(name, "resourceSpans")) {
            nsp__json_skip(&in->json);
            continue;
        }
        nsp__json_enter(&in->json, '[');
        while (nsp__json_element(&in->json))
            read_resource(in);
    }
    nsp__json_finish(&in->json);
    return in->json.wrong;
}

static bool blank(const char *data, size_t length)
{
    while (length && strchr(" \t\r\n", data[length - 1]) != NULL)
        length--;
    return length == 0;
}

static void complain_of_line(trace_file *file, size_t number_of_line, const char *why)
{
    if (++file->bad_lines <= MOST_COMPLAINTS)
        complain("%s:%zu: %s; the line is skipped", file->name, number_of_line, why);
    else if (file->bad_lines == MOST_COMPLAINTS + 1)
        complain("%s: further malformed lines are not reported", file->name);
}

static void show_progress(const trace_file *file, const trace_store *store, uint64_t position)
{
    if (file->show_progress && file->size && store->line_count % PROGRESS_LINES == 0)
        fprintf(stderr, "\r\033[Kreading: %" PRIu64 " %%, %zu spans", position * 100 / file->size,
                store->row_count);
}

bool trace_file_read(trace_file *file, trace_store *store)
{
    line_reader in = {.file = file, .store = store};
    uint64_t position = 0;
    ssize_t length = 0;
    file->first_line = (uint32_t)store->line_count;
    trace_store_begin_file(store);
    while ((length = getline(&file->line, &file->line_capacity, file->stream)) > 0) {
        store->lines =
            need_room(store->lines, store->line_count, &store->line_capacity, sizeof *store->lines);
        store->lines[store->line_count] = position;
        in.line = (uint32_t)store->line_count++;
        position += (uint64_t)length;
        show_progress(file, store, position);
        size_t rows_before = store->row_count;
        if (blank(file->line, (size_t)length))
            continue;
        const char *wrong = read_line(&in, file->line, (size_t)length);
        if (wrong != NULL) {
            store->row_count = rows_before;
            complain_of_line(file, store->line_count - file->first_line, wrong);
        } else {
            file->good_lines++;
        }
    }
    file->line_count = (uint32_t)store->line_count - file->first_line;
    text_free(&in.copy);
    if (file->show_progress)
        fputs("\r\033[K", stderr);
    if (ferror(file->stream)) {
        complain("cannot read %s: %s", file->name, strerror(errno));
        return false;
    }
    return true;
}

bool trace_file_notes(trace_file *file, const trace_store *store, span_notes *wanted, size_t count)
{
    line_reader in = {.file = file,
                      .store = (trace_store *)(uintptr_t)store,
                      .wanted = wanted,
                      .wanted_end = wanted + count};
    while (in.wanted < in.wanted_end) {
        in.line = in.wanted->row->line;
        const span_notes *before = in.wanted;
        ssize_t length = -1;
        if (fseeko(file->stream, (off_t)store->lines[in.line], SEEK_SET) == 0)
            length = getline(&file->line, &file->line_capacity, file->stream);
        const char *wrong = length > 0 ? read_line(&in, file->line, (size_t)length) : NULL;
        if (length <= 0 || in.wanted == before) {
            complain("%s changed while it was being read; try again", file->name);
            return false;
        }
        // The first pass skipped the notes, so faults in them show up only here. The line's other spans are
        // read again.
        if (wrong != NULL && file->bad_notes++ < MOST_COMPLAINTS)
            complain("%s:%u: %s; the rest of that span is not shown", file->name,
                     in.line - file->first_line + 1, wrong);
    }
    return true;
}

bool trace_files_notes(trace_file *files, size_t file_count, const trace_store *store, span_notes *wanted,
                       size_t count)
{
    for (size_t i = 0, first = 0; i < file_count; i++) {
        const size_t after = (size_t)files[i].first_line + files[i].line_count;
        size_t end = first;
        while (end < count && wanted[end].row->line < after)
            end++;
        if (!trace_file_notes(&files[i], store, &wanted[first], end - first))
            return false;
        first = end;
    }
    return true;
}
