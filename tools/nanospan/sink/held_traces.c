// SPDX-License-Identifier: Apache-2.0
#include "held_traces.h"

#include "common/seed.h"
#include <stdlib.h>

enum { FIRST_BUCKETS = 1 << 10, COPY_SHARE = 4, TRACE_SHARE = 8 };

struct held_span {
    held_trace *trace; // NULL: it is not held, because it had come before
    held_span *next;   // of the same trace
    const held_line *line;
    line_part object;
    uint32_t scope;
};

typedef struct held_scope {
    line_part resource, scope;
} held_scope;

struct held_line {
    held_line *next;
    uint64_t number; // of this line only
    char *data;
    held_span *spans; // in the order in which they lie in the line
    held_scope *scopes;
    size_t span_count;
    uint64_t bytes; // all of this
};

void held_init(held_traces *held, uint64_t most_bytes)
{
    const uint64_t copies = most_bytes / COPY_SHARE;
    *held = (held_traces){.buckets = need_zeroes(FIRST_BUCKETS, sizeof(held_trace *)),
                          .mask = FIRST_BUCKETS - 1,
                          .seed = nsp__random_seed(),
                          .most_window = most_bytes - copies,
                          .most_copies = copies};
}

// The seed keeps senders from choosing ids that all fall into one bucket.
static size_t bucket_of(const held_traces *held, const uint64_t id[2])
{
    return (size_t)nsp__random_mix(nsp__random_mix(id[0] ^ held->seed) + id[1]) & held->mask;
}

held_trace *held_find(const held_traces *held, const uint64_t id[2])
{
    held_trace *trace = held->buckets[bucket_of(held, id)];
    while (trace != NULL && (trace->id[0] != id[0] || trace->id[1] != id[1]))
        trace = trace->next;
    return trace;
}

static void grow(held_traces *held)
{
    held_trace **old = held->buckets;
    const size_t count = held->mask + 1;
    held->mask = held->mask * 2 + 1;
    held->buckets = need_zeroes(held->mask + 1, sizeof(held_trace *));
    for (size_t i = 0; i < count; i++)
        while (old[i] != NULL) {
            held_trace *trace = old[i];
            old[i] = trace->next;
            held_trace **to = &held->buckets[bucket_of(held, trace->id)];
            trace->next = *to;
            *to = trace;
        }
    free(old);
}

static held_trace *find_or_make(held_traces *held, const uint64_t id[2])
{
    held_trace *trace = held_find(held, id);
    if (trace != NULL)
        return trace;
    if (held->traces > held->mask)
        grow(held);
    held_trace **bucket = &held->buckets[bucket_of(held, id)];
    trace = need_zeroes(1, sizeof *trace);
    *trace = (held_trace){.id = {id[0], id[1]}, .next = *bucket};
    *bucket = trace;
    held->traces++;
    held->window_bytes += sizeof *trace;
    return trace;
}

static void free_if_unused(held_traces *held, held_trace *trace)
{
    if (trace->first != NULL || trace->copy != NULL)
        return;
    held_trace **at = &held->buckets[bucket_of(held, trace->id)];
    while (*at != trace)
        at = &(*at)->next;
    *at = trace->next;
    held->traces--;
    held->window_bytes -= sizeof *trace;
    free(trace);
}

// Is it what was written last? Most often it has come from the same place; only then bytes need not be compared, which
// would take long if many spans have one large resource.
static bool is_last(const text *out, written_part *last, const held_line *line, line_part part)
{
    if (last->length != part.length)
        return false;
    if (part.length == 0 || (last->line == line->number && last->from == part.from))
        return true;
    if (memcmp(out->data + last->at, line->data + part.from, part.length) != 0)
        return false;
    last->line = line->number;
    last->from = part.from;
    return true;
}

static void write_part(text *out, const char *key, const held_line *line, line_part part, written_part *last)
{
    *last = (written_part){.length = part.length, .line = line->number, .from = part.from};
    if (part.length == 0)
        return;
    text_format(out, "\"%s\":", key);
    last->at = out->length;
    text_add(out, line->data + part.from, part.length);
    text_char(out, ',');
}

typedef enum beginning { NOTHING_BEGINS, A_SCOPE_BEGINS, A_LINE_BEGINS } beginning;

static beginning what_begins(trace_lines *lines, const held_span *span)
{
    const held_scope *scope = &span->line->scopes[span->scope];
    if (lines->spans == 0 || !is_last(&lines->text, &lines->resource, span->line, scope->resource))
        return A_LINE_BEGINS;
    return is_last(&lines->text, &lines->scope, span->line, scope->scope) ? NOTHING_BEGINS : A_SCOPE_BEGINS;
}

static void write_span(trace_lines *lines, const held_span *span, beginning begins)
{
    static const char END[] = "]}]}]}\n";
    const held_scope *scope = &span->line->scopes[span->scope];
    text *out = &lines->text;
    if (begins == A_LINE_BEGINS) {
        text_put(out, "{\"resourceSpans\":[{");
        write_part(out, "resource", span->line, scope->resource, &lines->resource);
        text_put(out, "\"scopeSpans\":[{");
    } else {
        out->length -= sizeof END - 1;
        text_put(out, begins == A_SCOPE_BEGINS ? "]},{" : ",");
    }
    if (begins != NOTHING_BEGINS) {
        write_part(out, "scope", span->line, scope->scope, &lines->scope);
        text_put(out, "\"spans\":[");
    }
    text_add(out, span->line->data + span->object.from, span->object.length);
    text_put(out, END);
    lines->spans++;
}

// No trace gets more than a share of what all copies may take, so that one that never ends leaves room for the
// others.
static void copy_span(held_traces *held, held_trace *trace, const held_span *span)
{
    trace_lines *copy = trace->copy;
    if (trace->copy_full)
        return;
    const held_scope *scope = &span->line->scopes[span->scope];
    const beginning begins = what_begins(copy, span);
    const uint64_t before = copy->text.capacity;
    const uint64_t more = (uint64_t)span->object.length +
                          (begins != NOTHING_BEGINS ? scope->scope.length : 0) +
                          (begins == A_LINE_BEGINS ? scope->resource.length : 0);
    trace->copy_full = copy->text.length + more > held->most_copies / TRACE_SHARE;
    if (trace->copy_full)
        return;
    write_span(copy, span, begins);
    held->copy_bytes += copy->text.capacity - before;
    held->copied_spans++;
}

void held_add(held_traces *held, const char *line, size_t length, const line_spans *spans,
              const bool *repeated, held_trace **found)
{
    held_line *one = need_memory(sizeof *one);
    *one = (held_line){.number = ++held->lines,
                       .data = need_memory(length + 1),
                       .spans = need_zeroes(spans->count + 1, sizeof *one->spans),
                       .scopes = need_memory((spans->scope_count + 1) * sizeof *one->scopes),
                       .span_count = spans->count,
                       .bytes = sizeof *one + length + spans->count * sizeof *one->spans +
                                spans->scope_count * sizeof *one->scopes};
    memcpy(one->data, line, length);
    for (size_t i = 0; i < spans->scope_count; i++)
        one->scopes[i] = (held_scope){spans->scopes[i].resource, spans->scopes[i].scope};
    for (size_t i = 0; i < spans->count; i++) {
        found[i] = NULL;
        if (repeated != NULL && repeated[i])
            continue;
        held_span *span = &one->spans[i];
        held_trace *trace = found[i] = find_or_make(held, spans->spans[i].trace);
        *span = (held_span){
            .trace = trace, .line = one, .object = spans->spans[i].object, .scope = spans->spans[i].scope};
        *(trace->last != NULL ? &trace->last->next : &trace->first) = span;
        trace->last = span;
        trace->count++;
        trace->received++;
        held->window_spans++;
        if (trace->copy != NULL)
            copy_span(held, trace, span);
    }
    *(held->newest != NULL ? &held->newest->next : &held->oldest) = one;
    held->newest = one;
    held->window_bytes += one->bytes;
}

// Lines leave in the order in which they came, so each span is the first of its trace.
static void drop_oldest(held_traces *held)
{
    held_line *line = held->oldest;
    held->oldest = line->next;
    if (held->oldest == NULL)
        held->newest = NULL;
    for (size_t i = 0; i < line->span_count; i++) {
        held_trace *trace = line->spans[i].trace;
        if (trace == NULL)
            continue;
        trace->first = line->spans[i].next;
        if (trace->first == NULL)
            trace->last = NULL;
        trace->count--;
        held->window_spans--;
        free_if_unused(held, trace);
    }
    held->window_bytes -= line->bytes;
    free(line->data);
    free(line->spans);
    free(line->scopes);
    free(line);
}

void held_trim(held_traces *held)
{
    while (held->window_bytes > held->most_window && held->oldest != NULL)
        drop_oldest(held);
}

void held_keep(held_traces *held, held_trace *trace)
{
    trace->copy = need_zeroes(1, sizeof *trace->copy);
    held->copied_traces++;
    held->copy_bytes += sizeof *trace->copy;
    for (const held_span *span = trace->first; span != NULL; span = span->next)
        copy_span(held, trace, span);
}

void held_forget(held_traces *held, held_trace *trace)
{
    trace_lines *copy = trace->copy;
    held->copied_traces--;
    held->copied_spans -= copy->spans;
    held->copy_bytes -= sizeof *copy + copy->text.capacity;
    text_free(&copy->text);
    free(copy);
    trace->copy = NULL;
    free_if_unused(held, trace);
}

// The copy has all of it, unless the trace is too large for one.
static bool shows_copy(const held_trace *trace)
{
    return trace->copy != NULL && trace->copy->spans >= trace->count;
}

uint64_t held_span_count(const held_trace *trace)
{
    return shows_copy(trace) ? trace->copy->spans : trace->count;
}

void held_write(const held_trace *trace, text *out)
{
    if (shows_copy(trace)) {
        text_add(out, trace->copy->text.data, trace->copy->text.length);
        return;
    }
    trace_lines lines = {0};
    for (const held_span *span = trace->first; span != NULL; span = span->next)
        write_span(&lines, span, what_begins(&lines, span));
    text_add(out, lines.text.data, lines.text.length);
    text_free(&lines.text);
}

void held_free(held_traces *held)
{
    for (size_t i = 0; i <= held->mask; i++)
        for (held_trace *trace = held->buckets[i]; trace != NULL;) {
            held_trace *next = trace->next;
            if (trace->copy != NULL)
                text_free(&trace->copy->text);
            free(trace->copy);
            free(trace);
            trace = next;
        }
    while (held->oldest != NULL) {
        held_line *line = held->oldest;
        held->oldest = line->next;
        free(line->data);
        free(line->spans);
        free(line->scopes);
        free(line);
    }
    free(held->buckets);
    *held = (held_traces){0};
}
