// SPDX-License-Identifier: Apache-2.0
#include "view_files.h"

#include "support/trace_notes.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// Its spans would all be repeated ones. Standard input is a new copy each time, which is empty the second time.
static bool same_file(const trace_file *a, const trace_file *b)
{
    struct stat left, right;
    return strcmp(a->name, b->name) == 0 ||
           (fstat(fileno(a->stream), &left) == 0 && fstat(fileno(b->stream), &right) == 0 &&
            left.st_dev == right.st_dev && left.st_ino == right.st_ino);
}

static bool given_before(const view_files *in, const trace_file *file)
{
    for (size_t i = 0; i < in->count; i++)
        if (same_file(&in->files[i], file)) {
            if (strcmp(in->files[i].name, file->name) == 0)
                complain("%s is given twice; give it once", file->name);
            else
                complain("%s and %s are the same file; give one of them", in->files[i].name, file->name);
            return true;
        }
    return false;
}

static bool open_files(view_files *in, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        trace_file *file = &in->files[in->count];
        if (!trace_file_open(file, names[i]))
            return false;
        const bool again = given_before(in, file);
        in->count++;
        if (again)
            return false;
        file->show_progress = isatty(STDERR_FILENO);
    }
    return true;
}

bool view_files_read(view_files *in, const name_list *names, attribute_filter *where)
{
    const size_t count = names->count;
    *in = (view_files){.files = need_zeroes(count, sizeof *in->files)};
    trace_store_init(&in->store);
    if (!open_files(in, names->names, count))
        return false;
    for (size_t i = 0; i < count; i++) {
        in->files[i].where = where;
        if (!trace_file_read(&in->files[i], &in->store))
            return false;
    }
    trace_store_arrange(&in->store);
    return true;
}

bool view_files_apart(const view_files *a, const view_files *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (given_before(a, &b->files[i]))
            return false;
    return true;
}

void view_files_free(view_files *in)
{
    for (size_t i = 0; i < in->count; i++)
        trace_file_close(&in->files[i]);
    free(in->files);
    trace_store_free(&in->store);
}

bool view_files_sound(const view_files *in)
{
    bool sound = true;
    for (size_t i = 0; i < in->count; i++) {
        const trace_file *file = &in->files[i];
        if (file->bad_lines)
            complain("%s: %" PRIu64 " malformed %s skipped%s", file->name, file->bad_lines,
                     file->bad_lines == 1 ? "line was" : "lines were",
                     file->good_lines ? ""
                                      : ", and there is no other; the file should come from 'nanospan sink "
                                        "--output' or a file exporter");
        sound = sound && !file->bad_lines && !file->bad_notes;
    }
    return sound;
}

static bool has_file(const view_files *in, const char *path)
{
    struct stat named, ours;
    if (stat(path, &named) != 0)
        return false;
    for (size_t i = 0; i < in->count; i++)
        if (fstat(fileno(in->files[i].stream), &ours) == 0 && ours.st_dev == named.st_dev &&
            ours.st_ino == named.st_ino)
            return true;
    return false;
}

bool view_files_overwritten(const view_files *in, const char *path)
{
    if (strcmp(path, "-") == 0)
        return false;
    text part = {0};
    text_format(&part, "%s.part", path);
    text_char(&part, '\0');
    const bool itself = has_file(in, path), overwritten = itself || has_file(in, part.data);
    if (overwritten)
        complain("%s is one of the files that are read; name another file to write",
                 itself ? path : part.data);
    text_free(&part);
    return overwritten;
}

uint64_t view_files_bad_spans(const view_files *in)
{
    uint64_t bad = 0;
    for (size_t i = 0; i < in->count; i++)
        bad += in->files[i].bad_spans;
    return bad;
}

void view_files_names(const view_files *in, text *out)
{
    if (in->count > 2) {
        text_format(out, "%zu files", in->count);
        return;
    }
    for (size_t i = 0; i < in->count; i++) {
        text_put(out, i ? " and " : "");
        trace_notes_plain(out, nsp__slice_of(in->files[i].name));
    }
}
