// SPDX-License-Identifier: Apache-2.0
//
// Input: a file for `nanospan view`. Every span is in one trace, everything that is shown of it is safe for a
// terminal, its typed details are the same things, and reading the file in two halves, also as two files of one
// store, gives the same number of spans. A first line "#WORD..." reads
// it in further ways: as "file" or "stdin", with "progress" (perhaps "unsized") or "complaints"; where it
// cannot be read, with "failing", which is reported; with "changed" contents when the notes are read; or into
// a store with "many" other traces.
//
// Parsers: tools/nanospan/support/trace_file.c tools/nanospan/support/trace_notes.c
// Parsers: tools/nanospan/support/trace_store.c tools/nanospan/support/trace_file_open.c
// Parsers: tools/nanospan/support/trace_details.c tools/nanospan/support/trace_file_details.c
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/trace_details.h"

static bool progress, complaints, unsized;

// What is printed on the way is not of interest. glibc allows this assignment.
static FILE *quiet(FILE *to)
{
    static FILE *nowhere;
    if (nowhere == NULL)
        nowhere = fopen("/dev/null", "w");
    FILE *before = stderr;
    stderr = to != NULL ? to : nowhere;
    return before;
}

static bool open_bytes(trace_file *file, char *bytes, size_t size)
{
    // So many bad lines and notes that no further one is reported.
    *file = (trace_file){.name = "input",
                         .bad_lines = complaints ? 0 : 100,
                         .bad_notes = complaints ? 0 : 100,
                         .show_progress = progress,
                         .size = progress && !unsized ? size : 0};
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

static void check_attributes(const attribute *attributes, uint32_t count)
{
    text shown = {0};
    for (uint32_t i = 0; i < count; i++) {
        text_slice(&shown, attributes[i].key);
        attribute_show(&shown, &attributes[i]);
        MUST(attributes[i].type != VALUE_OTHER ||
             fuzz_is_line(attributes[i].text.text, attributes[i].text.length));
    }
    text_free(&shown);
}

// The notes of each row that is not a copy of another one, in the order of the rows.
typedef struct checked {
    const span_notes *notes; // in the order of the file
    size_t at, count;
    const trace_store *store;
    uint32_t resources;
    bool sound; // all of them could be read
} checked;

static void check_resource(void *context, uint32_t number, const span_details *resource)
{
    checked *c = context;
    MUST(number == c->resources++);
    check_attributes(resource->attributes, resource->own_count);
}

static void check_span(void *context, uint32_t row, uint32_t resource, const span_details *details)
{
    checked *c = context;
    uint32_t counts[NOTE_DROPPED + 1] = {0};
    MUST(c->at < c->count && resource < c->resources);
    const span_notes *notes = &c->notes[c->at++];
    MUST(notes->row == &c->store->rows[row]);
    for (size_t i = 0; i < notes->count; i++)
        counts[notes->notes[i].type]++;
    check_attributes(details->attributes, details->attribute_count);
    uint32_t others = details->own_count;
    for (uint32_t i = 0; i < details->event_count; i++) {
        MUST(details->events[i].first_attribute >= details->own_count);
        others += details->events[i].attribute_count;
    }
    for (uint32_t i = 0; i < details->link_count; i++) {
        MUST(details->links[i].first_attribute >= details->own_count);
        others += details->links[i].attribute_count;
    }
    if (c->sound)
        MUST(counts[NOTE_ATTRIBUTE] == details->own_count && counts[NOTE_EVENT] == details->event_count &&
             counts[NOTE_LINK] == details->link_count && others == details->attribute_count &&
             counts[NOTE_DROPPED] >= (details->dropped_links != 0));
}

static void check_details(trace_file *file, size_t file_count, const trace_store *store,
                          const span_notes *notes, size_t count, bool sound)
{
    checked c = {.notes = notes, .count = count, .store = store, .sound = sound};
    const details_calls calls = {.context = &c, .resource = check_resource, .span = check_span};
    uint32_t *wanted = calloc(count + 1, sizeof *wanted);
    MUST(wanted != NULL);
    for (size_t i = 0; i < count; i++)
        wanted[count - 1 - i] = (uint32_t)(notes[i].row - store->rows);
    MUST(trace_files_details(file, file_count, store, wanted, count, &calls));
    MUST(c.at == count);
    free(wanted);
}

static void check_notes(trace_file *files, size_t file_count, const trace_store *store)
{
    size_t count = store->row_count;
    uint64_t bad = files[0].bad_notes + files[file_count - 1].bad_notes;
    span_notes *wanted = calloc(count + 1, sizeof *wanted);
    MUST(wanted != NULL);
    count = 0; // duplicates may follow a trace's rows
    for (size_t i = 0; i < store->trace_count; i++)
        for (uint32_t k = 0; k < store->traces[i].count; k++)
            wanted[count++].row = &store->rows[store->traces[i].first + k];
    qsort(wanted, count, sizeof *wanted, by_place);
    MUST(trace_files_notes(files, file_count, store, wanted, count));
    bad = files[0].bad_notes + files[file_count - 1].bad_notes - bad;
    check_details(files, file_count, store, wanted, count, bad == 0);
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

// As many entries as make the store's tables grow; each is found again.
static void fill(trace_store *store)
{
    char name[24];
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < 1500; i++) {
            uint32_t string = trace_store_string(store, (slice){name, (size_t)sprintf(name, "name %u", i)});
            MUST(trace_store_trace(store, i % 7, UINT64_C(0x9e3779b97f4a7c15) * (i + 1)) == i &&
                 string == i + 1);
        }
}

static size_t spans_in(trace_file *opened, bool whole, bool many)
{
    trace_file file = *opened;
    trace_store store;
    size_t spans = 0;
    trace_store_init(&store);
    if (many)
        fill(&store);
    MUST(trace_file_read(&file, &store));
    spans = store.row_count;
    trace_store_arrange(&store);
    MUST(store.row_count == spans);
    check_store(&store);
    if (whole)
        check_notes(&file, 1, &store);
    trace_store_free(&store);
    trace_file_close(&file);
    return spans;
}

static size_t spans_of(char *bytes, size_t size, bool whole)
{
    trace_file file;
    return open_bytes(&file, bytes, size) ? spans_in(&file, whole, false) : 0;
}

// The bytes as two files of one store, of which each span is in one.
static size_t spans_of_two(char *bytes, size_t first, size_t size)
{
    trace_file files[2];
    trace_store store;
    trace_store_init(&store);
    for (int i = 0; i < 2; i++) {
        MUST(trace_file_memory(&files[i], i == 0 ? bytes : bytes + first, i == 0 ? first : size - first,
                               "input"));
        files[i].bad_lines = files[i].bad_notes = 100;
        MUST(trace_file_read(&files[i], &store));
    }
    const size_t spans = store.row_count;
    trace_store_arrange(&store);
    check_store(&store);
    for (size_t i = 0; i < store.trace_count; i++)
        MUST(store.traces[i].count == 0 ||
             store.traces[i].source == (store.rows[store.traces[i].root].line >= files[1].first_line));
    check_notes(files, 2, &store);
    trace_store_free(&store);
    trace_file_close(&files[0]);
    trace_file_close(&files[1]);
    return spans;
}

// A file of the process that holds these bytes.
static int file_of(const char *bytes, size_t size)
{
    int file = memfd_create("fuzz", MFD_CLOEXEC);
    MUST(file >= 0 && write(file, bytes, size) == (ssize_t)size && lseek(file, 0, SEEK_SET) == 0);
    return file;
}

static size_t spans_of_file(char *bytes, size_t size, bool from_stdin)
{
    char path[64];
    trace_file file;
    int number = file_of(bytes, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", number);
    FILE *before = stdin;
    if (from_stdin)
        MUST((stdin = fdopen(number, "r")) != NULL);
    MUST(trace_file_open(&file, from_stdin ? "-" : path));
    MUST(file.size == size);
    if (from_stdin)
        fclose(stdin);
    else
        close(number);
    stdin = before;
    return spans_in(&file, true, false);
}

// Nothing is there, or a folder, or a device; or reading fails later.
static void check_failing(void)
{
    trace_file file, folder = {.name = "folder"};
    trace_store store;
    MUST(!trace_file_open(&file, "/nowhere/at all") && !trace_file_open(&file, "/") &&
         !trace_file_open(&file, "/dev/null"));
    FILE *before = stdin;
    MUST((stdin = fopen("/", "r")) != NULL);
    MUST(!trace_file_open(&file, "-"));
    fclose(stdin);
    stdin = before;
    MUST((folder.stream = fopen("/", "r")) != NULL);
    trace_store_init(&store);
    MUST(!trace_file_read(&folder, &store) && store.row_count == 0);
    trace_store_free(&store);
    trace_file_close(&folder);
}

// The first span's line has another content when its notes are read: cut off, or one line without spans.
static void check_changed(char *bytes, size_t size)
{
    static char other[] = "{}";
    trace_file file;
    trace_store store;
    if (!open_bytes(&file, bytes, size))
        return;
    trace_store_init(&store);
    MUST(trace_file_read(&file, &store));
    trace_store_arrange(&store);
    fclose(file.stream);
    for (size_t length = 0; store.row_count != 0 && length <= 2; length++) {
        uint32_t row = store.traces[store.rows[0].trace].first;
        span_notes wanted = {.row = &store.rows[row]};
        checked none = {.store = &store};
        const details_calls calls = {.context = &none, .resource = check_resource, .span = check_span};
        file.stream = length != 0 ? fmemopen(other, length, "rb") : fdopen(file_of("", 0), "r");
        MUST(file.stream != NULL && !trace_file_notes(&file, &store, &wanted, 1));
        MUST(!trace_files_details(&file, 1, &store, &row, 1, &calls));
        fclose(file.stream);
        free(wanted.notes);
    }
    trace_store_free(&store);
    free(file.line);
}

// The ways that the first line names.
static void try_ways(const char *ways, char *bytes, size_t size, size_t spans)
{
    trace_file file;
    FILE *before = quiet(NULL);
    if (strstr(ways, "file") != NULL)
        MUST(spans_of_file(bytes, size, false) == spans);
    if (strstr(ways, "stdin") != NULL)
        MUST(spans_of_file(bytes, size, true) == spans);
    if (strstr(ways, "many") != NULL && open_bytes(&file, bytes, size))
        MUST(spans_in(&file, true, true) == spans);
    progress = strstr(ways, "progress") != NULL;
    complaints = strstr(ways, "complaints") != NULL;
    unsized = strstr(ways, "unsized") != NULL;
    if (progress || complaints)
        MUST(spans_of(bytes, size, true) == spans);
    progress = complaints = unsized = false;
    if (strstr(ways, "changed") != NULL)
        check_changed(bytes, size);
    if (strstr(ways, "failing") != NULL)
        check_failing();
    quiet(before);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *ways = size != 0 && *bytes == '#' ? fuzz_line(&bytes, &size) : NULL;
    char *copy = fuzz_copy(bytes, size);
    size_t whole = spans_of(copy, size, true);
    if (ways != NULL)
        try_ways(ways, copy, size, whole);
    free(ways);
    char *middle = size != 0 ? memchr(copy + size / 2, '\n', size - size / 2) : NULL;
    if (middle != NULL) {
        size_t first = (size_t)(middle + 1 - copy);
        MUST(spans_of(copy, first, false) + spans_of(copy + first, size - first, false) == whole);
        MUST(spans_of_two(copy, first, size) == whole);
    }
    free(copy);
    return 0;
}
