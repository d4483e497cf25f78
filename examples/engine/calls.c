// SPDX-License-Identifier: Apache-2.0
//
// One order message, traced by ordinary calls (engine --calls): the spans of process.c, written as for traces whose
// shape is not always the same. A stage that refuses the message has the status too, which a path's phases cannot have.
#include "engine/process.h"

#include "engine/life.h"
#include "engine/sender.h"
#include "engine/stages.h"
#include "shared/clock.h"

struct order_trace {
    nsp_span *root;
    nsp_span *stage;
    nsp_ticks at; // when the stage began; 0 if the order is not recorded
};

// The sampler decides here, once for each order: by the sender's context if there is one, otherwise by its
// own rate.
static void trace_begin(struct order_trace *trace, struct engine *engine, const uint8_t *message,
                        size_t length, nsp_ticks start)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    nsp_context sender;
    options.kind = NSP_KIND_SERVER;
    options.start = start;
    if (sender_context(message, length, &sender)) {
        options.parent = &sender;
        count(&engine->counters.with_context, 1);
    }
    trace->root = nsp_span_begin_with(NSP_NAME("order"), &options);
    trace->at = nsp_span_start(trace->root); // 0: life_fill and life_end read the clock, if needed
    trace->stage = nsp_span_begin_at(NSP_NAME("decode"), trace->at);
}

// Ends the stage and begins the next one on the same clock reading. An order that is not recorded needs
// neither the reading nor the name.
#define TRACE_NEXT(trace, stage_name)                                                                        \
    do {                                                                                                     \
        if (nsp_span_recording((trace)->stage))                                                              \
            trace_next((trace), NSP_NAME(stage_name));                                                       \
    } while (0)

static __attribute__((noinline)) void trace_next(struct order_trace *trace, nsp_name stage)
{
    trace->at = nsp_now();
    trace->stage = nsp_span_next_at(trace->stage, stage, trace->at);
}

// Sets the attributes of the order and of its outcome. Only for recorded orders: one check instead of one in
// each setter.
static void describe(nsp_span *root, const struct request *request, const struct outcome *outcome)
{
    nsp_span_set_i64(root, NSP_KEY("order.id"), (int64_t)request->id);
    nsp_span_set_i64(root, NSP_KEY("user.id"), request->account);
    nsp_span_set_str(root, NSP_KEY("order.result"), result_text(outcome->result));
    nsp_span_set_str(root, NSP_KEY("order.type"), request_type(request));
    if (request->cancel) {
        nsp_span_set_i64(root, NSP_KEY("order.target_id"), (int64_t)request->target_id);
    } else {
        nsp_span_set_str(root, NSP_KEY("trade.symbol"), request->symbol);
        nsp_span_set_str(root, NSP_KEY("trade.side"), side_text(request->side));
        nsp_span_set_i64(root, NSP_KEY("trade.size"), request->quantity);
        nsp_span_set_i64(root, NSP_KEY("trade.price"), request->price);
        nsp_span_set_i64(root, NSP_KEY("trade.filled"), outcome->filled);
        nsp_span_set_i64(root, NSP_KEY("match.fills"), outcome->fills);
    }
    if (outcome->result == RESULT_REJECTED)
        nsp_span_set_status(root, NSP_SPAN_STATUS_ERROR, reason_text(outcome->reason));
}

nsp_ticks process_order_by_calls(struct engine *engine, const uint8_t *message, size_t length,
                                 nsp_ticks received, nsp_ticks start)
{
    struct order_trace trace;
    struct request request = {0};
    struct outcome outcome = {.result = RESULT_REJECTED};
    const bool timed = engine->stopwatch.slower_ns != 0;

    faults_draw_if(&engine->faults);
    if (timed && start == 0)
        start = clock_now();
    trace_begin(&trace, engine, message, length, start);
    outcome.reason = stage_decode(engine, message, length, &request);
    if (outcome.reason == REASON_NONE && !request.cancel) {
        TRACE_NEXT(&trace, "check_balance");
        faults_strike_if(&engine->faults, FAULT_PAGE_FAULT);
        outcome.reason = stage_check_balance(engine, &request);
        if (outcome.reason == REASON_NONE) {
            TRACE_NEXT(&trace, "calculate_size");
            faults_strike_if(&engine->faults, FAULT_STRATEGY);
            outcome.reason = stage_calculate_size(engine, &request);
        }
    }
    nsp_ticks accepted = 0, matched = 0;
    if (outcome.reason == REASON_NONE) {
        TRACE_NEXT(&trace, "match");
        accepted = trace.at;
        faults_strike_if(&engine->faults, FAULT_PREEMPTION);
        if (request.cancel)
            outcome.reason = stage_cancel(engine, &request, &outcome);
        else
            stage_match(engine, &request, &outcome);
    }
    bool taken = outcome.reason == REASON_NONE;
    if (taken) {
        TRACE_NEXT(&trace, "submit_to_exchange");
        matched = trace.at;
        faults_strike_if(&engine->faults, FAULT_LOCK);
        if (!stage_submit(engine, &request, &outcome)) {
            nsp_span_set_status(trace.stage, NSP_SPAN_STATUS_ERROR, "the drop copy cannot be written");
            engine->failed = true;
        }
    } else {
        nsp_span_set_status(trace.stage, NSP_SPAN_STATUS_ERROR, reason_text(outcome.reason));
    }

    TRACE_NEXT(&trace, "report");
    stage_report(engine, &request, &outcome);
    if (taken) {
        histogram_record(&engine->tick_to_trade, (trace.at != 0 ? trace.at : clock_now()) - received);
        if (nsp_span_recording(trace.root) || engine->counters.lives_traced != 0)
            lives_tell(engine, &request, &outcome, trace.root, accepted, matched);
    }
    bool recorded = nsp_span_recording(trace.root);
    if (recorded) {
        describe(trace.root, &request, &outcome);
        if (engine->faults.struck != FAULT_NONE)
            nsp_span_set_str(trace.root, NSP_KEY("order.held_up_by"), fault_text(engine->faults.struck));
        count(&engine->counters.orders_traced, 1);
    }
    stage_retire(engine, &outcome);
    stage_count(engine, &request, &outcome);

    nsp_ticks end = recorded || timed ? clock_now() : 0;
    nsp_span_end_at(trace.stage, end);
    nsp_span_end_at(trace.root, end);
    if (timed)
        stopwatch_take(&engine->stopwatch, &engine->faults, request.id, start, end);
    return end;
}
