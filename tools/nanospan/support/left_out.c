// SPDX-License-Identifier: Apache-2.0
#include "left_out.h"

#include "units.h"

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

void left_out_spans(text *out, uint64_t history, uint64_t undecided)
{
    char lay[UNITS_SIZE], open[UNITS_SIZE];
    units_count(lay, history);
    units_count(open, undecided);
    if (history != 0)
        text_format(out, "%s span%s lay in history", lay, plural(history));
    if (history != 0 && undecided != 0)
        text_format(out, ", %s in traces that were not decided,", open);
    else if (undecided != 0)
        text_format(out, "%s span%s lay in traces that were not decided", open, plural(undecided));
    if (history != 0 || undecided != 0)
        text_format(out, " and %s not exported", history + undecided == 1 ? "was" : "were");
}

void left_out_held(text *out, uint64_t history_bytes, uint64_t undecided)
{
    char bytes[UNITS_SIZE], open[UNITS_SIZE];
    units_bytes(bytes, (double)history_bytes);
    units_count(open, undecided);
    if (history_bytes != 0)
        text_format(out, "%s of history%s", bytes, undecided != 0 ? " and " : "");
    if (undecided != 0)
        text_format(out, "%s span%s of traces that were not decided", open, plural(undecided));
}
