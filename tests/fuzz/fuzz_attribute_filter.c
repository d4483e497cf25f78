// SPDX-License-Identifier: Apache-2.0
//
// Input: a condition, KEY=PATTERN or KEY, in the first line, and a file for `nanospan view`. The condition holds for exactly
// those spans of which it holds for an attribute as it is shown, or for whose resource it may.
//
// Parsers: tools/nanospan/support/attribute_filter.c tools/nanospan/support/trace_file.c
#include "fuzz.h"

#include <fnmatch.h>
#include <unistd.h>

#include "support/trace_details.h"
#include "support/trace_notes.h"

// The condition, and whether some resource has its key.
typedef struct oracle {
    text key;
    const char *pattern; // NULL: any value
    bool in_resource;
} oracle;

static void no_span(void *context, uint32_t row, uint32_t resource, const span_details *details)
{
    (void)context;
    (void)row;
    (void)resource;
    (void)details;
}

static void look_at_resource(void *context, uint32_t number, const span_details *resource)
{
    oracle *o = context;
    (void)number;
    for (uint32_t i = 0; i < resource->own_count; i++) {
        text key = {0};
        trace_notes_plain(&key, resource->attributes[i].key);
        o->in_resource |= key.length == o->key.length && memcmp(key.data, o->key.data, key.length) == 0;
        text_free(&key);
    }
}

static bool value_matches(const char *pattern, const char *from, size_t length)
{
    char *value = fuzz_text(from, length);
    bool matches = pattern == NULL || fnmatch(pattern, value, 0) == 0;
    if (!matches && length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        matches = fnmatch(pattern, value + 1, 0) == 0;
    }
    free(value);
    return matches;
}

// Whether a note says that the condition holds. A key with an equals sign cannot be told from another one with a value
// that has it: *unclear.
static bool note_matches(const oracle *o, const note *one, bool *unclear)
{
    const size_t key = o->key.length;
    if (one->type != NOTE_ATTRIBUTE || one->text.length <= key ||
        memcmp(one->text.data, o->key.data, key) != 0 || one->text.data[key] != '=')
        return false;
    const char *value = one->text.data + key + 1;
    const size_t length = one->text.length - key - 1;
    *unclear |= length != 0 && memchr(value, '=', length) != NULL;
    return value_matches(o->pattern, value, length);
}

static void check_row(trace_file *file, const trace_store *store, const span_row *row, oracle *o)
{
    span_notes notes = {.row = row};
    bool holds = false, unclear = false;
    const uint64_t bad = file->bad_notes;
    MUST(trace_file_notes(file, store, &notes, 1));
    for (size_t i = 0; i < notes.count; i++) {
        holds |= note_matches(o, &notes.notes[i], &unclear);
        text_free(&notes.notes[i].text);
    }
    free(notes.notes);
    if (file->bad_notes != bad || unclear)
        return;
    MUST(!holds || row->matches == 1);
    MUST(holds || row->matches == 0 || o->in_resource);
}

static void check_file(trace_file *file, attribute_filter *filter, oracle *o)
{
    const details_calls calls = {.context = o, .resource = look_at_resource, .span = no_span};
    trace_store store;
    trace_store_init(&store);
    file->where = filter;
    file->bad_lines = file->bad_notes = 100; // no further one is reported
    MUST(trace_file_read(file, &store));
    trace_store_arrange(&store);
    for (uint32_t i = 0; i < store.row_count; i++)
        MUST(trace_files_details(file, 1, &store, &(uint32_t){i}, 1, &calls));
    for (size_t i = 0; i < store.trace_count; i++)
        for (uint32_t k = 0; k < store.traces[i].count; k++)
            check_row(file, &store, &store.rows[store.traces[i].first + k], o);
    trace_store_free(&store);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    attribute_filter filter = {0};
    oracle o = {0};
    trace_file file;
    char *condition = fuzz_line(&bytes, &size);
    char *copy = fuzz_copy(bytes, size);
    if (condition != NULL && size != 0 && *condition != '\0' && *condition != '=' &&
        trace_file_memory(&file, copy, size, "input")) {
        MUST(attribute_filter_add(&filter, condition));
        const char *equals = strchr(condition, '=');
        const size_t length = equals != NULL ? (size_t)(equals - condition) : strlen(condition);
        trace_notes_plain(&o.key, (slice){condition, length});
        o.pattern = equals != NULL ? equals + 1 : NULL;
        check_file(&file, &filter, &o);
        trace_file_close(&file);
        attribute_filter_free(&filter);
        text_free(&o.key);
    }
    free(copy);
    free(condition);
    return 0;
}
