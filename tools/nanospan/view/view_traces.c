// SPDX-License-Identifier: Apache-2.0
#include "view_traces.h"

#include <stdlib.h>

static int by_start(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left < right ? -1 : 1;
}

static int slowest_first(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    if (left->duration != right->duration)
        return left->duration > right->duration ? -1 : 1;
    return by_start(a, b);
}

static int by_place_in_file(const void *a, const void *b)
{
    const span_row *left = ((const span_notes *)a)->row, *right = ((const span_notes *)b)->row;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->ordinal < right->ordinal ? -1 : left->ordinal > right->ordinal;
}

static int by_row(const void *a, const void *b)
{
    const span_row *left = ((const span_notes *)a)->row, *right = ((const span_notes *)b)->row;
    return left < right ? -1 : left > right;
}

static void free_notes(span_notes *notes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < notes[i].count; k++)
            text_free(&notes[i].notes[k].text);
        free(notes[i].notes);
    }
    free(notes);
}

// The notes of one trace's rows, in the order of the rows. Returns NULL after printing an error.
static span_notes *notes_of(view_files *files, const trace *t)
{
    span_notes *notes = need_zeroes(t->count, sizeof *notes);
    for (uint32_t i = 0; i < t->count; i++)
        notes[i].row = &files->store.rows[t->first + i];
    qsort(notes, t->count, sizeof *notes, by_place_in_file);
    if (!trace_files_notes(files->files, files->count, &files->store, notes, t->count)) {
        free_notes(notes, t->count);
        return NULL;
    }
    qsort(notes, t->count, sizeof *notes, by_row);
    return notes;
}

void view_traces_sort(const view_options *o, const trace **chosen, size_t count)
{
    qsort(chosen, count, sizeof *chosen, o->by_start ? by_start : slowest_first);
}

bool view_traces(const view_options *o, view_files *files, paint *p, const trace **chosen, size_t count)
{
    view_traces_sort(o, chosen, count);
    const size_t shown = o->limit && o->limit < count ? (size_t)o->limit : count;
    for (size_t i = 0; i < shown; i++) {
        span_notes *notes = o->style.attributes ? notes_of(files, chosen[i]) : NULL;
        if (o->style.attributes && notes == NULL)
            return false;
        view_waterfall(p, &files->store, chosen[i], notes, &o->style);
        text_char(p->out, '\n');
        if (notes != NULL)
            free_notes(notes, chosen[i]->count);
        if (!text_print(p->out))
            return false;
        p->out->length = 0;
    }
    return true;
}
