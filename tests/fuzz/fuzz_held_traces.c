// SPDX-License-Identifier: Apache-2.0
// ctest: COST 40
//
// Input: lines of OTLP JSON, as the sink gives them to its live page. As many spans are found as `nanospan view` finds, what
// is held stays within its bounds, and what is written of a trace is read again as that trace, with all its spans.
//
// Parsers: tools/nanospan/sink/line_spans.c tools/nanospan/sink/held_traces.c
// Parsers: tools/nanospan/sink/live_figures.c
#include "fuzz.h"

#include "sink/live_figures.h"
#include "support/trace_file.h"

enum { MEMORY = 16 << 10, MOST_LINES = 200 };

// What `nanospan view` reads from these lines.
static void read_again(const char *lines, size_t length, trace_store *store, trace_file *file)
{
    trace_store_init(store);
    MUST(trace_file_memory(file, lines, length, "input"));
    file->bad_lines = 100; // so many that none is reported
    MUST(trace_file_read(file, store));
}

static void check_trace(const held_trace *one)
{
    text lines = {0};
    trace_store store;
    trace_file file;
    // Of a trace whose spans are too large to be copied, nothing is left when the window has moved on.
    if (held_span_count(one) == 0)
        return;
    held_write(one, &lines);
    read_again(lines.data, lines.length, &store, &file);
    MUST(file.bad_lines == 100 && file.bad_spans == 0);
    MUST(store.row_count == held_span_count(one) && store.row_count <= one->received);
    MUST(store.trace_count == 1);
    MUST(store.traces[0].id[0] == one->id[0] && store.traces[0].id[1] == one->id[1]);
    trace_store_free(&store);
    trace_file_close(&file);
    text_free(&lines);
}

static void check_bounds(const held_traces *held, const live_figures *figures)
{
    uint64_t traces = 0, kept = 0;
    MUST(held->window_bytes <= held->most_window || held->oldest == NULL);
    MUST(held->copy_bytes <= held->most_copies);
    for (uint32_t i = 0; i < figures->count; i++) {
        traces += figures->figures[i]->continued ? 0 : figures->figures[i]->traces;
        kept += figures->figures[i]->slowest_count;
        for (size_t at = 0; at < figures->figures[i]->slowest_count; at++) {
            const held_trace *one = held_find(held, figures->figures[i]->slowest[at].id);
            MUST(one != NULL && one->copy != NULL);
        }
    }
    MUST(kept == held->copied_traces);
    MUST(traces == figures->traces || figures->count > LIVE_NAMES);
}

static void take_line(held_traces *held, live_figures *figures, line_spans *spans, const char *from,
                      size_t length)
{
    char *line = fuzz_copy(from, length);
    trace_store store;
    trace_file file;
    if (line_spans_read(spans, line, length) && length > 0) {
        read_again(from, length, &store, &file);
        MUST(file.bad_lines != 100 || store.row_count == spans->count);
        trace_store_free(&store);
        trace_file_close(&file);
        held_trace **found = calloc(spans->count + 1, sizeof *found);
        MUST(found != NULL);
        held_add(held, from, length, spans, NULL, found);
        for (size_t i = 0; i < spans->count; i++)
            live_figures_add(figures, found[i], &spans->spans[i],
                             spans->scopes[spans->spans[i].scope].service, length);
        live_figures_fit(figures);
        for (size_t i = 0; i < spans->count && i < 20; i++)
            check_trace(found[i]);
        held_trim(held);
        check_bounds(held, figures);
        free(found);
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    held_traces held;
    live_figures figures;
    line_spans spans = {0};
    held_init(&held, MEMORY);
    live_figures_init(&figures, &held);
    const char *at = (const char *)bytes, *end = at + size;
    for (int i = 0; i < MOST_LINES && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *until = newline != NULL ? newline : end;
        take_line(&held, &figures, &spans, at, (size_t)(until - at));
        at = until + 1;
    }
    for (uint32_t i = 0; i < figures.count; i++)
        for (size_t k = 0; k < figures.figures[i]->slowest_count; k++)
            check_trace(held_find(&held, figures.figures[i]->slowest[k].id));
    line_spans_free(&spans);
    live_figures_free(&figures);
    held_free(&held);
    return 0;
}
