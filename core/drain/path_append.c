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
static uint32_t find_phases(nsp_path_phase *phases, const nsp__record *record, const nsp__clock *clock,
                            struct nsp__clock_segment *segment)
{
    const nsp__path_head *head = nsp__record_path(record);
    const uint64_t *readings = nsp__path_readings(head);
    const uint32_t open = nsp__path_open(head);
    uint32_t count = 0;
    for (uint32_t phase = nsp__path_next_marked(head, open, 1), next; phase <= open; phase = next, count++) {
        next = nsp__path_next_marked(head, open, phase + 1);
        nsp_span_view view;
        nsp__span_view_times(&view, readings[phase - 1], next <= open ? readings[next - 1] : record->end,
                             clock, segment);
        phases[count].start_ns = view.start_ns;
        phases[count].end_ns = view.end_ns;
        phases[count].span_id = nsp__path_phase_id(record->span_id, phase);
        phases[count].phase = phase;
    }
    return count;
}

// The same where all times lie on this piece of the clock's map, in order: each is converted once. UINT32_MAX: they do
// not.
static inline uint32_t find_phases_in_order(nsp_path_phase *phases, const nsp__record *record,
                                            const struct nsp__clock_segment *segment)
{
    const nsp__path_head *head = nsp__record_path(record);
    const uint64_t *readings = nsp__path_readings(head);
    const uint32_t open = nsp__path_open(head);
    const uint64_t length = segment->length, from = segment->from;
    uint64_t before = 0, outside = 0;
    uint32_t count = 0;
    for (uint32_t i = 0; i < open; i++) {
        const uint64_t at = readings[i];
        if (NSP__UNLIKELY(at == 0))
            continue;
        const uint64_t ns = segment->ns + nsp__clock_scale(at - segment->tick, segment->rate);
        outside |= (at - from >= length) | (ns <= before);
        if (count != 0)
            phases[count - 1].end_ns = ns;
        phases[count].start_ns = before = ns;
        phases[count].span_id = nsp__path_phase_id(record->span_id, i + 1);
        phases[count++].phase = i + 1;
    }
    if (count != 0) {
        const uint64_t ns = segment->ns + nsp__clock_scale(record->end - segment->tick, segment->rate);
        outside |= (record->end - from >= length) | (ns <= before);
        phases[count - 1].end_ns = ns;
    }
    return NSP__LIKELY(outside == 0) ? count : UINT32_MAX;
}

// A record of any form that is out of the ordinary is appended one by one, which finds out what it is.
static nsp_path_result append_whole(nsp__collector *collector, nsp_batch *batch, const nsp__record *record,
                                    struct nsp__clock_segment *segment, nsp__path_appended *out)
{
    const nsp__collector_options *options = &collector->options;
    const nsp__path_head *head = nsp__record_path(record);
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    if (NSP__UNLIKELY(body == 0))
        return NSP_PATH_ONE_BY_ONE;
    const nsp__path_plan *plan = nsp__path_plan_find(&collector->paths, head->declaration);
    if (NSP__UNLIKELY(plan == NULL || plan->layout.bytes != head->bytes ||
                      plan->layout.phases != head->phases || !nsp__path_texts_fit(plan, head)))
        return NSP_PATH_ONE_BY_ONE;
    nsp_path_phase phases[NSP_PATH_PHASES_MAX];
    uint32_t count = find_phases_in_order(phases, record, segment);
    if (NSP__UNLIKELY(count == UINT32_MAX))
        count = find_phases(phases, record, options->clock, segment);
    if (NSP__UNLIKELY(count != nsp__path_phases(head)))
        return NSP_PATH_ONE_BY_ONE;
    nsp_span_view root;
    const nsp_path_view view = {.shape = &plan->shape,
                                .body = (const uint8_t *)head,
                                .phases = phases,
                                .phase_count = count,
                                .root = &root};
    nsp__span_view_make_with(&root, record, (const uint8_t *)head + body,
                             record->bytes - (uint32_t)sizeof *record - body, options->clock, segment);
    root.kind &= (uint8_t)~NSP__KIND_PATH;
    *out = (nsp__path_appended){.spans = 1 + count};
    return options->exporter->append_path(options->exporter_state, batch, &view);
}

// True if the exporter may take such a path at once.
static inline bool may_be_whole(const nsp__collector *collector, const nsp__record *record, uint32_t slot)
{
    return collector->takes_paths && (record->flags & NSP__RECORD_TRACESTATE) == 0 &&
           (NSP__LIKELY(collector->switches == NULL) || slot == UINT32_MAX ||
            !nsp__switches_concern(collector->switches, slot, record));
}

static bool append_one_by_one(nsp__collector *collector, nsp_batch *batch, const nsp__record *record,
                              struct nsp__clock_segment *segment, uint32_t slot, nsp__path_appended *out)
{
    const size_t length = batch->length;
    const uint32_t spans = batch->spans;
    nsp__path_walk walk;
    nsp__path_walk_begin(&walk, &collector->paths, record);
    *out = (nsp__path_appended){.spans = walk.spans, .left_out = walk.left_out};
    bool fits = true;
    for (const nsp__record *span; fits && (span = nsp__path_walk_next(&walk)) != NULL;)
        fits = append_span(collector, batch, span, segment, slot, out);
    if (out->switched)
        nsp__switches_decide(collector->switches, fits);
    if (!fits)
        batch->length = length;
    batch->spans = spans;
    return fits;
}

bool nsp__path_append(nsp__collector *collector, const nsp__record *record,
                      struct nsp__clock_segment *segment, uint32_t slot, nsp__path_appended *out)
{
    nsp_batch *batch = &collector->current->exported;
    const nsp_path_result whole = may_be_whole(collector, record, slot)
                                      ? append_whole(collector, batch, record, segment, out)
                                      : NSP_PATH_ONE_BY_ONE;
    if (NSP__UNLIKELY(whole == NSP_PATH_NO_ROOM))
        return false;
    if (NSP__UNLIKELY(whole == NSP_PATH_ONE_BY_ONE) &&
        !append_one_by_one(collector, batch, record, segment, slot, out))
        return false;
    if (NSP__UNLIKELY(batch->spans == 0))
        batch->first_ns = nsp__monotonic_ns();
    batch->spans += out->spans;
    return true;
}
