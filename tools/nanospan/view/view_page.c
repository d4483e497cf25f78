// SPDX-License-Identifier: Apache-2.0
#include "view_page.h"

#include "page/pack.h"
#include "page/page.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "view_traces.h"
#include <libgen.h>
#include <stdlib.h>

// "traces.jsonl", "before.jsonl and after.jsonl" or "3 files": without their folders.
static char *title_of(const view_files *files)
{
    text title = {0};
    if (files->count > 2)
        text_format(&title, "%zu files", files->count);
    for (size_t i = 0; i < files->count && files->count <= 2; i++) {
        char *name = need_copy(files->files[i].name);
        text_put(&title, i != 0 ? " and " : "");
        trace_notes_plain(&title, nsp__slice_of(basename(name)));
        free(name);
    }
    text_char(&title, '\0');
    return title.data;
}

static void say(const char *name, const trace *const *traces, size_t count, uint64_t length)
{
    char number[UNITS_SIZE], spans[UNITS_SIZE], bytes[UNITS_SIZE];
    uint64_t total = 0;
    text line = {0};
    for (size_t i = 0; i < count; i++)
        total += traces[i]->count;
    units_count(number, count);
    units_count(spans, total);
    units_bytes(bytes, (double)length);
    trace_notes_plain(&line, nsp__slice_of(name));
    fprintf(stderr, "%.*s: %s %s with %s %s, %s; open it in a browser, with a double click\n",
            (int)line.length, line.data, number, count == 1 ? "trace" : "traces", spans,
            total == 1 ? "span" : "spans", bytes);
    text_free(&line);
}

static bool write_page(const view_options *o, const char *title, slice pack, uint64_t *length)
{
    char nonce[PAGE_NONCE_SIZE];
    output_file out;
    if (!page_nonce(nonce) || !output_file_open(&out, o->page))
        return false;
    page_write(&out, nonce, nsp__slice_of(title), pack);
    *length = out.length;
    return output_file_finish(&out);
}

bool view_page(const view_options *o, view_files *files, const trace **chosen, size_t count)
{
    text pack = {0}, problem = {0};
    uint64_t length = 0;
    const bool to_file = strcmp(o->page, "-") != 0;
    if (view_files_overwritten(files, o->page))
        return false;
    view_traces_sort(o, chosen, count);
    const size_t taken = o->limit && o->limit < count ? (size_t)o->limit : count;
    char *title = title_of(files);
    const pack_content content = {.files = files->files,
                                  .file_count = files->count,
                                  .store = &files->store,
                                  .traces = chosen,
                                  .trace_count = taken,
                                  .title = title};
    bool sound = pack_traces(&content, &pack, &problem);
    if (problem.length != 0)
        complain("%.*s: choose fewer traces, with --root, --where, --min-duration, --errors or --limit",
                 (int)problem.length, problem.data);
    sound = sound && write_page(o, title, (slice){pack.data, pack.length}, &length);
    if (sound)
        say(to_file ? o->page : "standard output", chosen, taken, length);
    text_free(&pack);
    text_free(&problem);
    free(title);
    return sound;
}
