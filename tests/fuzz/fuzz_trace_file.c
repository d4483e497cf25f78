// SPDX-License-Identifier: Apache-2.0
//
// Input: a file for `nanospan view`. Every span is in one trace, everything that is shown of it is safe for a
// terminal, and reading the file in two halves gives the same number of spans.
#include "fuzz.h"

#include "support/trace_file.h"

static bool open_bytes(trace_file *file, char *bytes, size_t size)
{
    *file = (trace_file){.name = "input", .bad_lines = 100}; // so many that no further line is reported
    file->stream = size != 0 ? fmemopen(bytes, size, "rb") : NULL;
    return file->stream != NULL;
}

static void check_store(const trace_store *store)
{
    size_t rows = 0;
    for (size_t i = 0; i < store->trace_count; i++) {
        const trace *one = &store->traces[i];
        rows += one->count;
        if (one->count == 0)
            continue;
        MUST(one->first + one->count <= store->row_count);
        MUST(one->root >= one->first && one->root < one->first + one->count);
        MUST(one->start <= one->end);
        for (uint32_t k = 0; k < one->count; k++)
            MUST(store->rows[one->first + k].trace == i && store->rows[one->first + k].id != 0);
    }
    MUST(rows + store->duplicates == store->row_count);
    for (size_t i = 0; i < store->row_count; i++)
        MUST(store->rows[i].name < store->string_count && store->rows[i].service < store->string_count &&
             store->rows[i].line < store->line_count);
}

static int by_place(const void *a, const void *b)
{
    const span_row *one = ((const span_notes *)a)->row, *two = ((const span_notes *)b)->row;
    if (one->line != two->line)
        return one->line < two->line ? -1 : 1;
    return one->ordinal < two->ordinal ? -1 : one->ordinal > two->ordinal;
}

static void check_notes(trace_file *file, const trace_store *store)
{
    size_t count = store->row_count;
    span_notes *wanted = calloc(count + 1, sizeof *wanted);
    MUST(wanted != NULL);
    count = 0; // duplicates may follow a trace's rows
    for (size_t i = 0; i < store->trace_count; i++)
        for (uint32_t k = 0; k < store->traces[i].count; k++)
            wanted[count++].row = &store->rows[store->traces[i].first + k];
    qsort(wanted, count, sizeof *wanted, by_place);
    MUST(trace_file_notes(file, store, wanted, count));
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < wanted[i].count; k++) {
            const text *shown = &wanted[i].notes[k].text;
            MUST(fuzz_is_line(shown->data, shown->length));
            text_free(&wanted[i].notes[k].text);
        }
        free(wanted[i].notes);
    }
    free(wanted);
}

static size_t spans_of(char *bytes, size_t size, bool whole)
{
    trace_file file;
    trace_store store;
    size_t spans = 0;
    if (!open_bytes(&file, bytes, size))
        return 0;
    trace_store_init(&store);
    MUST(trace_file_read(&file, &store));
    spans = store.row_count;
    trace_store_arrange(&store);
    MUST(store.row_count == spans);
    check_store(&store);
    if (whole)
        check_notes(&file, &store);
    trace_store_free(&store);
    trace_file_close(&file);
    return spans;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *copy = fuzz_copy(bytes, size);
    size_t whole = spans_of(copy, size, true);
    char *middle = size != 0 ? memchr(copy + size / 2, '\n', size - size / 2) : NULL;
    if (middle != NULL) {
        size_t first = (size_t)(middle + 1 - copy);
        MUST(spans_of(copy, first, false) + spans_of(copy + first, size - first, false) == whole);
    }
    free(copy);
    return 0;
}
