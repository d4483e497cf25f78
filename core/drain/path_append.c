// SPDX-License-Identifier: Apache-2.0
#include "drain/path_append.h"

#include "common/time.h"
#include "drain/path_expand.h"
#include "drain/span_view.h"

static bool append_span(nsp__collector *collector, nsp_batch *batch, const nsp__record *span,
                        struct nsp__clock_segment *segment, uint32_t slot, nsp__path_appended *out)
{
    const nsp__collector_options *options = &collector->options;
    nsp__switches *switches = collector->switches;
    nsp_span_view view;
    nsp__span_view_make(&view, span, options->clock, segment);
    const bool switched = NSP__UNLIKELY(switches != NULL) && slot != UINT32_MAX &&
                          nsp__switches_concern(switches, slot, span) &&
                          nsp__switches_describe(switches, slot, span, &view);
    out->switched |= switched;
    if (!options->exporter->append(options->exporter_state, batch, &view))
        return false;
    if (switched)
        nsp__switches_hold(switches);
    batch->spans++;
    return true;
}

// ---- all at once ----

// The phases that happened. Their times are those that nsp__span_view_times gives.
static uint32_t find_phases(nsp_path_phase *phases, const nsp__path_walk *walk, const nsp__clock *clock,
                            struct nsp__clock_segment *segment)
{
    const nsp__record *record = walk->record;
    const nsp__path_head *head = nsp__record_path(record);
    const uint64_t *readings = nsp__path_readings(head);
    const uint32_t open = walk->open;
    uint64_t known = 0, known_ns = 0; // the reading that was converted last
    uint32_t count = 0;
    for (uint32_t phase = nsp__path_next_marked(head, open, 1); phase <= open; count++) {
        const uint32_t next = nsp__path_next_marked(head, open, phase + 1);
        const uint64_t start = readings[phase - 1], end = next <= open ? readings[next - 1] : record->end;
        nsp_path_phase *out = &phases[count];
        out->span_id = nsp__path_phase_id(record->span_id, phase);
        out->phase = phase;
        const bool usual = end > start && nsp__clock_segment_covers(segment, start) &&
                           nsp__clock_segment_covers(segment, end);
        if (NSP__LIKELY(usual)) {
            out->start_ns = start == known ? known_ns : nsp__clock_convert(segment, start);
            out->end_ns = known_ns = nsp__clock_convert(segment, end);
            known = end;
        }
        if (NSP__UNLIKELY(!usual || out->start_ns >= out->end_ns)) {
            nsp_span_view view;
            nsp__span_view_times(&view, start, end, clock, segment);
            out->start_ns = view.start_ns;
            out->end_ns = view.end_ns;
            known = 0;
        }
        phase = next;
    }
    return count;
}

static nsp_path_result append_whole(nsp__collector *collector, nsp_batch *batch, nsp__path_walk *walk,
                                    struct nsp__clock_segment *segment)
{
    const nsp__collector_options *options = &collector->options;
    const nsp__record *record = walk->record;
    nsp_path_phase phases[NSP_PATH_PHASES_MAX];
    nsp_span_view root;
    const nsp_path_view view = {.shape = &walk->plan->shape,
                                .body = (const uint8_t *)nsp__record_path(record),
                                .phases = phases,
                                .phase_count = find_phases(phases, walk, options->clock, segment),
                                .root = &root};
    nsp__span_view_make_with(&root, record, walk->items, walk->items_bytes, options->clock, segment);
    root.kind &= (uint8_t)~NSP__KIND_PATH;
    return options->exporter->append_path(options->exporter_state, batch, &view);
}

// True if the exporter takes such a path at once.
static bool may_be_whole(const nsp__collector *collector, const nsp__path_walk *walk, uint32_t slot)
{
    const nsp__record *record = walk->record;
    return collector->takes_paths && walk->plan != NULL && (record->flags & NSP__RECORD_TRACESTATE) == 0 &&
           (NSP__LIKELY(collector->switches == NULL) || slot == UINT32_MAX ||
            !nsp__switches_concern(collector->switches, slot, record));
}

bool nsp__path_append(nsp__collector *collector, const nsp__record *record,
                      struct nsp__clock_segment *segment, uint32_t slot, nsp__path_appended *out)
{
    nsp_batch *batch = &collector->current->exported;
    const size_t length = batch->length;
    const uint32_t spans = batch->spans;
    nsp__path_walk walk;
    nsp__path_walk_begin(&walk, &collector->paths, record);
    *out = (nsp__path_appended){.spans = walk.spans, .left_out = walk.left_out};
    bool fits = true;
    if (may_be_whole(collector, &walk, slot)) {
        const nsp_path_result result = append_whole(collector, batch, &walk, segment);
        if (NSP__LIKELY(result != NSP_PATH_ONE_BY_ONE)) {
            fits = result == NSP_PATH_APPENDED;
            batch->spans += fits ? walk.spans : 0;
            if (fits && spans == 0)
                batch->first_ns = nsp__monotonic_ns();
            return fits;
        }
    }
    for (const nsp__record *span; fits && (span = nsp__path_walk_next(&walk)) != NULL;)
        fits = append_span(collector, batch, span, segment, slot, out);
    if (out->switched)
        nsp__switches_decide(collector->switches, fits);
    if (fits && spans == 0)
        batch->first_ns = nsp__monotonic_ns();
    if (!fits) {
        batch->length = length;
        batch->spans = spans;
    }
    return fits;
}
