// SPDX-License-Identifier: Apache-2.0
#include "waterfall_bar.h"

#include "support/units.h"
#include <stdlib.h>

// Where the thread was off its CPU.
static const struct {
    paint_colour colour;
    const char *mark;
} WAITED = {PAINT_YELLOW, "\u2591"}, PREEMPTED = {PAINT_RED, "\u2592"};

void waterfall_off_cpu_line(paint *p, const trace *t)
{
    char preempted[UNITS_SIZE], waited[UNITS_SIZE];
    text facts = {0};
    units_duration(preempted, t->preempted);
    units_duration(waited, t->waited);
    paint_add(p, PAINT_DIM, nsp__slice_of("  off the CPU: "));
    if (t->preempted != 0)
        text_format(&facts, "%s preempted %s", PREEMPTED.mark, preempted);
    paint_add(p, PREEMPTED.colour, (slice){facts.data, facts.length});
    facts.length = 0;
    if (t->waited != 0)
        text_format(&facts, "%s%s waited %s", t->preempted != 0 ? "  " : "", WAITED.mark, waited);
    text_char(&facts, '\n');
    paint_add(p, WAITED.colour, (slice){facts.data, facts.length});
    text_free(&facts);
}

// A share of the trace's time line; whatever lies outside of it is at one of its ends.
static double share_of(const trace *t, uint64_t time)
{
    const uint64_t whole = t->end - t->start, since = time > t->start ? time - t->start : 0;
    return whole ? (double)(since < whole ? since : whole) / (double)whole : 0;
}

static paint_part part_of(const trace *t, uint64_t from, uint64_t to, paint_colour colour, const char *mark)
{
    const bool instant = t->end == t->start;
    return (paint_part){share_of(t, from), instant ? 1 : share_of(t, to), colour, mark};
}

// The times that are not on the critical path, of which there is at most one more than there are parts.
static size_t add_lines(const waterfall_bar *bar, const span_row *row, uint32_t at, paint_part *parts)
{
    static const char *const LINE = "\u2500";
    uint64_t from = row->start;
    size_t count = 0;
    for (uint32_t i = bar->critical->first[at]; i < bar->critical->first[at + 1]; i++) {
        const critical_part *part = &bar->critical->parts[i];
        if (part->start > from)
            parts[count++] = part_of(bar->t, from, part->start, PAINT_DIM, LINE);
        from = part->end;
    }
    const uint64_t end = row->start + row->duration;
    if (end > from || !bar->critical->lengths[at])
        parts[count++] = part_of(bar->t, from, end, PAINT_DIM, LINE);
    return count;
}

void waterfall_bar_draw(paint *p, const waterfall_bar *bar, const span_tree *tree, uint32_t at,
                        paint_colour colour)
{
    const span_row *row = &tree->rows[at];
    const size_t lines =
        bar->critical != NULL ? 1 + bar->critical->first[at + 1] - bar->critical->first[at] : 0;
    paint_part *parts = need_memory((row->pause_count + lines + 1) * sizeof *parts);
    size_t count = 0;
    for (; count < row->pause_count; count++) {
        const off_cpu *pause = &bar->store->pauses[row->first_pause + count];
        const uint64_t end =
            pause->start + pause->duration < pause->start ? UINT64_MAX : pause->start + pause->duration;
        parts[count] = pause->preempted ? part_of(bar->t, pause->start, end, PREEMPTED.colour, PREEMPTED.mark)
                                        : part_of(bar->t, pause->start, end, WAITED.colour, WAITED.mark);
    }
    if (bar->critical != NULL) {
        count += add_lines(bar, row, at, parts + count);
        colour = bar->critical->lengths[at] ? colour : PAINT_DIM;
    }
    const paint_part whole = part_of(bar->t, row->start, row->start + row->duration, colour, "");
    if (count)
        paint_bar_in_parts(p, colour, whole.from, whole.to, bar->columns, parts, count);
    else
        paint_bar(p, colour, whole.from, whole.to, bar->columns);
    free(parts);
}
