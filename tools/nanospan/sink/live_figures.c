// SPDX-License-Identifier: Apache-2.0
#include "live_figures.h"

#include <stdlib.h>

enum { MOST_SERVICE_BYTES = 100 };

void live_figures_init(live_figures *figures, held_traces *held)
{
    *figures = (live_figures){.held = held};
}

// At most `most` bytes of it, which end between characters. What is left out is marked.
static void cut(text *out, slice value, size_t most)
{
    if (value.length <= most) {
        text_slice(out, value);
        return;
    }
    size_t length = most;
    while (length > 0 && ((unsigned char)value.text[length] & 0xc0) == 0x80)
        length--;
    text_add(out, value.text, length);
    text_put(out, "\u2026");
}

static char *service_copy(slice service)
{
    text copy = {0};
    cut(&copy, service, MOST_SERVICE_BYTES);
    text_char(&copy, '\0');
    return copy.data;
}

static uint32_t figure_of(live_figures *figures, slice name, bool continued)
{
    char room[LIVE_NAME_BYTES + 8];
    text shown = {.data = room, .capacity = sizeof room};
    cut(&shown, name, LIVE_NAME_BYTES);
    const uint32_t most = figures->count < LIVE_NAMES ? figures->count : LIVE_NAMES;
    for (uint32_t i = 0; i < most; i++) {
        const live_figure *known = figures->figures[i];
        if (known->continued == continued && known->name.length == shown.length &&
            (shown.length == 0 || memcmp(known->name.data, shown.data, shown.length) == 0))
            return i;
    }
    if (figures->count > LIVE_NAMES)
        return LIVE_NAMES;
    live_figure *made = need_zeroes(1, sizeof *made);
    if (figures->count == LIVE_NAMES)
        text_put(&made->name, "(other names)");
    else
        text_add(&made->name, shown.data, shown.length);
    made->continued = continued && figures->count < LIVE_NAMES;
    figures->figures[figures->count] = made;
    return figures->count++;
}

static live_second *second_of(live_figure *figure, uint64_t second)
{
    live_second *slot = &figure->recent[second % LIVE_SECONDS];
    if (slot->second != second)
        *slot = (live_second){.second = second};
    return slot;
}

static void note(live_trace *ring, uint64_t *count, const live_trace *trace, slice service)
{
    live_trace *at = &ring[(*count)++ % LIVE_LATEST];
    free(at->service);
    *at = *trace;
    at->service = service_copy(service);
}

static void count_failed(live_figures *figures, held_trace *trace, uint64_t second)
{
    live_figure *figure = figures->figures[trace->figure];
    trace->counted_failed = true;
    figure->failed++;
    second_of(figure, second)->failed++;
    figures->failed += !figure->continued;
}

static void take_out(live_figure *figure, size_t at)
{
    free(figure->slowest[at].service);
    figure->slowest_count--;
    memmove(&figure->slowest[at], &figure->slowest[at + 1],
            (figure->slowest_count - at) * sizeof figure->slowest[0]);
}

// Ends the keeping of one of the slowest.
static void forget(live_figures *figures, live_figure *figure, size_t at)
{
    held_trace *trace = held_find(figures->held, figure->slowest[at].id);
    take_out(figure, at);
    if (trace != NULL && trace->copy != NULL)
        held_forget(figures->held, trace);
}

// Takes a trace out of the list that it is in; it stays kept.
static void take_out_of_list(live_figures *figures, const held_trace *trace)
{
    for (uint32_t i = 0; i < figures->count; i++)
        for (size_t at = 0; at < figures->figures[i]->slowest_count; at++) {
            const live_trace *one = &figures->figures[i]->slowest[at];
            if (one->id[0] == trace->id[0] && one->id[1] == trace->id[1]) {
                take_out(figures->figures[i], at);
                return;
            }
        }
}

// A trace is kept by one name only: by that of its root, once it has come.
static void consider(live_figures *figures, held_trace *trace, const live_trace *candidate, slice service)
{
    live_figure *figure = figures->figures[candidate->figure];
    const bool full = figure->slowest_count == LIVE_SLOWEST;
    if ((full && figure->slowest[LIVE_SLOWEST - 1].duration >= candidate->duration) ||
        (figure->continued && trace->copy != NULL))
        return;
    if (trace->copy != NULL)
        take_out_of_list(figures, trace);
    else
        held_keep(figures->held, trace);
    if (figure->slowest_count == LIVE_SLOWEST)
        forget(figures, figure, LIVE_SLOWEST - 1);
    size_t at = figure->slowest_count;
    while (at > 0 && figure->slowest[at - 1].duration < candidate->duration)
        at--;
    memmove(&figure->slowest[at + 1], &figure->slowest[at],
            (figure->slowest_count - at) * sizeof figure->slowest[0]);
    figure->slowest[at] = *candidate;
    figure->slowest[at].service = service_copy(service);
    figure->slowest_count++;
}

static void count_root(live_figures *figures, held_trace *trace, const line_span *span, slice service,
                       uint64_t second)
{
    const uint32_t index = figure_of(figures, span->name, span->continued);
    live_figure *figure = figures->figures[index];
    live_second *recent = second_of(figure, second);
    const size_t step = duration_step(span->duration);
    figure->traces++;
    figure->counts[step]++;
    figure->longest = span->duration > figure->longest ? span->duration : figure->longest;
    recent->traces++;
    recent->counts[step]++;
    recent->longest = span->duration > recent->longest ? span->duration : recent->longest;
    const live_trace one = {.id = {trace->id[0], trace->id[1]},
                            .start = span->start,
                            .duration = span->duration,
                            .figure = index,
                            .failed = span->failed};
    if (span->root) {
        trace->counted = true;
        trace->figure = index;
        figures->traces++;
        note(figures->latest, &figures->latest_count, &one, service);
        if (span->failed)
            note(figures->latest_failed, &figures->latest_failed_count, &one, service);
    } else if (span->failed) {
        figure->failed++;
        recent->failed++;
    }
    consider(figures, trace, &one, service);
}

void live_figures_add(live_figures *figures, held_trace *trace, const line_span *span, slice service,
                      uint64_t second)
{
    trace->failed |= span->failed;
    // Of several roots of one trace, only the first one is counted.
    if (span->root ? !trace->counted : span->continued)
        count_root(figures, trace, span, service, second);
    if (trace->counted && trace->failed && !trace->counted_failed)
        count_failed(figures, trace, second);
}

void live_figures_fit(live_figures *figures)
{
    while (figures->held->copy_bytes > figures->held->most_copies) {
        live_figure *least = NULL;
        for (uint32_t i = 0; i < figures->count; i++) {
            live_figure *one = figures->figures[i];
            if (one->slowest_count > 0 && (least == NULL || one->slowest_count > least->slowest_count ||
                                           (one->slowest_count == least->slowest_count &&
                                            one->slowest[one->slowest_count - 1].duration <
                                                least->slowest[least->slowest_count - 1].duration)))
                least = one;
        }
        if (least == NULL)
            return;
        forget(figures, least, least->slowest_count - 1);
    }
}

void live_figure_recent(const live_figure *figure, uint64_t second, live_recent *out)
{
    *out = (live_recent){0};
    for (size_t i = 0; i < LIVE_SECONDS; i++) {
        const live_second *slot = &figure->recent[i];
        if (slot->traces + slot->failed == 0 || slot->second + LIVE_SECONDS <= second)
            continue;
        out->traces += slot->traces;
        out->failed += slot->failed;
        out->longest = slot->longest > out->longest ? slot->longest : out->longest;
        for (size_t step = 0; step < DURATION_STEPS; step++)
            out->counts[step] += slot->counts[step];
    }
}

void live_figures_free(live_figures *figures)
{
    for (uint32_t i = 0; i < figures->count; i++) {
        for (size_t at = 0; at < figures->figures[i]->slowest_count; at++)
            free(figures->figures[i]->slowest[at].service);
        text_free(&figures->figures[i]->name);
        free(figures->figures[i]);
    }
    for (size_t i = 0; i < LIVE_LATEST; i++) {
        free(figures->latest[i].service);
        free(figures->latest_failed[i].service);
    }
    *figures = (live_figures){0};
}
