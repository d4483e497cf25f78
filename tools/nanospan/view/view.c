// SPDX-License-Identifier: Apache-2.0
//
// `nanospan view`: reads the files, chooses traces and shows them as the options say.
#include "command.h"
#include "compare.h"
#include "perfetto/perfetto.h"
#include "summary.h"
#include "support/units.h"
#include "trace_filter.h"
#include "view_files.h"
#include "view_options.h"
#include "view_page.h"
#include "view_traces.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void closing_line(const view_options *o, const view_files *files, paint *p, size_t count)
{
    const trace_store *store = &files->store;
    const uint64_t bad_spans = view_files_bad_spans(files);
    char spans[UNITS_SIZE], traces[UNITS_SIZE], number[UNITS_SIZE];
    text line = {0};
    units_count(spans, store->row_count - store->duplicates);
    units_count(traces, store->seen_traces);
    units_count(number, o->limit && o->limit < count ? o->limit : count);
    if (!o->summary && o->compare == COMPARE_NOTHING && o->limit && o->limit < count)
        text_format(&line, "%s of the ", number);
    units_count(number, count);
    if (count < store->seen_traces)
        text_format(&line, "%s matching %s; ", number, count == 1 ? "trace" : "traces");
    text_format(&line, "%s %s, %s %s", traces, store->seen_traces == 1 ? "trace" : "traces", spans,
                store->row_count - store->duplicates == 1 ? "span" : "spans");
    text_put(&line, " in ");
    view_files_names(files, &line);
    if (store->duplicates)
        text_format(&line, "; left out: %" PRIu64 " repeated %s", store->duplicates,
                    store->duplicates == 1 ? "span" : "spans");
    if (bad_spans)
        text_format(&line, "; left out: %" PRIu64 " %s without an id", bad_spans,
                    bad_spans == 1 ? "span" : "spans");
    text_char(&line, '\n');
    paint_add(p, PAINT_DIM, (slice){line.data, line.length});
    text_free(&line);
}

static bool show_page(const view_options *o, view_files *files)
{
    size_t count = 0;
    const trace **chosen = trace_filter(o, &files->store, &count);
    const bool sound = view_page(o, files, chosen, count);
    if (!count)
        trace_filter_complain(o, &files->store, NULL);
    free(chosen);
    return sound;
}

static bool write_for_perfetto(const view_options *o, view_files *files)
{
    size_t count = 0;
    const trace **chosen = trace_filter(o, &files->store, &count);
    view_traces_sort(o, chosen, count);
    const perfetto_input input = {.files = files->files,
                                  .file_count = files->count,
                                  .store = &files->store,
                                  .traces = chosen,
                                  .trace_count = o->limit && o->limit < count ? (size_t)o->limit : count};
    const bool sound = !view_files_overwritten(files, o->perfetto) && perfetto_write(&input, o->perfetto);
    if (!count)
        trace_filter_complain(o, &files->store, NULL);
    free(chosen);
    return sound;
}

static void compare(const view_options *o, paint *p, view_files *files, const trace **chosen, size_t count,
                    const view_files *others)
{
    size_t other_count = 0;
    const trace **other_traces =
        o->compare == COMPARE_FILES ? trace_filter(o, &others->store, &other_count) : NULL;
    view_compare(o, p, files, chosen, count, others, other_traces, other_count);
    closing_line(o, files, p, count);
    if (o->compare == COMPARE_FILES)
        closing_line(o, others, p, other_count);
    if (!count && !other_count)
        trace_filter_complain(o, &files->store, o->compare == COMPARE_FILES ? &others->store : NULL);
    free(other_traces);
}

static bool show(const view_options *o, view_files *files, const view_files *others)
{
    text out = {0};
    paint p = {.out = &out, .coloured = view_options_coloured(o), .width = paint_terminal_width()};
    size_t count = 0;
    const trace **chosen = trace_filter(o, &files->store, &count);
    bool sound = true;
    if (o->compare != COMPARE_NOTHING) {
        compare(o, &p, files, chosen, count, others);
    } else {
        if (o->summary)
            view_summary(&p, &files->store, chosen, count);
        if (o->summary && o->style.critical)
            view_critical_summary(o, &p, &files->store, chosen, count);
        if (!o->summary)
            sound = view_traces(o, files, &p, chosen, count);
        closing_line(o, files, &p, count);
        if (!count)
            trace_filter_complain(o, &files->store, NULL);
    }
    sound = sound && text_print(&out);
    free(chosen);
    text_free(&out);
    return sound;
}

int command_view(int argc, char **argv)
{
    view_options o;
    view_files files, others = {0};
    view_options_read(&o, argc, argv);
    bool sound = view_files_read(&files, &o.files, &o.where);
    if (o.compare == COMPARE_FILES)
        sound = sound && view_files_read(&others, &o.others, &o.where) && view_files_apart(&files, &others);
    if (sound) {
        const bool shown = o.page == NULL && o.perfetto == NULL;
        sound = o.page != NULL       ? show_page(&o, &files)
                : o.perfetto != NULL ? write_for_perfetto(&o, &files)
                                     : show(&o, &files, &others);
        if (!sound && shown && ferror(stdout) && errno != EPIPE)
            complain("cannot write: %s", strerror(errno));
    }
    sound = view_files_sound(&files) && sound;
    sound = view_files_sound(&others) && sound;
    view_files_free(&files);
    view_files_free(&others);
    view_options_free(&o);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}
