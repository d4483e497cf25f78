// SPDX-License-Identifier: Apache-2.0
//
// The spans of one order message:
//
//     order                            SERVER; child of the sender's span if the message carries a context
//       decode                         each stage ends on the clock reading with which the next one begins:
//       check_balance                  seven spans, six or seven readings, and no gap or overlap
//       calculate_size
//       match                          a cancel has decode, match, submit_to_exchange, report
//       submit_to_exchange             a rejected message has the stages up to the refusal, then report
//       report
//
// They are always these, so they are declared once, as a path, and one small record has all of them. calls.c traces
// the same order by ordinary calls.
#include "engine/process.h"

#include <string.h>

#include "engine/life.h"
#include "engine/sender.h"
#include "engine/stages.h"
#include "shared/clock.h"

// Attributes of the order, which stand in front of the stages.
#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    I64(id, "order.id")                                                                                      \
    I64(user, "user.id")                                                                                     \
    STR(result, 16, "order.result")                                                                          \
    STR(type, 9, "order.type")                                                                               \
    I64(target, "order.target_id")                                                                           \
    STR(symbol, SYMBOL_SIZE, "trade.symbol")                                                                 \
    STR(side, 7, "trade.side")                                                                               \
    I64(size, "trade.size")                                                                                  \
    I64(price, "trade.price")                                                                                \
    I64(filled, "trade.filled")                                                                              \
    I64(fills, "match.fills")                                                                                \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    PHASE(check_balance, "check_balance")                                                                    \
    PHASE(calculate_size, "calculate_size")                                                                  \
    PHASE(match, "match")                                                                                    \
    PHASE(submit_to_exchange, "submit_to_exchange")                                                          \
    PHASE(report, "report")
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

#define SET_TEXT(path, field, text)                                                                          \
    do {                                                                                                     \
        const char *text_ = (text);                                                                          \
        NSP_PATH_STR((path), field, text_, strlen(text_));                                                   \
    } while (0)

// The sampler decides here, once for each order: by the sender's context if there is one, otherwise by its
// own rate.
static order_path *begin_here(nsp_ticks start)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.kind = NSP_KIND_SERVER;
    options.start = start;
    return order_path_begin_with(&options);
}

static __attribute__((noinline)) order_path *begin_below(struct engine *engine, const uint8_t *message,
                                                         size_t length, nsp_ticks start)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    nsp_context sender;
    options.kind = NSP_KIND_SERVER;
    options.start = start;
    if (sender_context(message, length, &sender)) {
        options.parent = &sender;
        count(&engine->counters.with_context, 1);
    }
    return order_path_begin_with(&options);
}

// Sets the attributes of the order and of its outcome. What is not set is not sent.
static void describe(order_path *path, const struct request *request, const struct outcome *outcome)
{
    path->id = (int64_t)request->id;
    path->user = request->account;
    SET_TEXT(path, result, result_text(outcome->result));
    SET_TEXT(path, type, request_type(request));
    if (request->cancel) {
        path->target = (int64_t)request->target_id;
    } else {
        SET_TEXT(path, symbol, request->symbol);
        SET_TEXT(path, side, side_text(request->side));
        path->size = request->quantity;
        path->price = request->price;
        path->filled = outcome->filled;
        path->fills = outcome->fills;
    }
    if (outcome->result == RESULT_REJECTED)
        nsp_span_set_status(nsp_path_span(path), NSP_SPAN_STATUS_ERROR, reason_text(outcome->reason));
}

nsp_ticks process_order(struct engine *engine, const uint8_t *message, size_t length, nsp_ticks received,
                        nsp_ticks start)
{
    struct request request = {0};
    struct outcome outcome = {.result = RESULT_REJECTED};
    const bool timed = engine->stopwatch.slower_ns != 0;

    faults_draw_if(&engine->faults);
    if (timed && start == 0)
        start = clock_now();
    order_path *path =
        sender_has_context(message, length) ? begin_below(engine, message, length, start) : begin_here(start);
    const bool recorded = nsp_path_start(path) != 0; // what is not recorded needs no reading
    outcome.reason = stage_decode(engine, message, length, &request);
    if (outcome.reason == REASON_NONE && !request.cancel) {
        NSP_PATH_MARK(path, check_balance);
        faults_strike_if(&engine->faults, FAULT_PAGE_FAULT);
        outcome.reason = stage_check_balance(engine, &request);
        if (outcome.reason == REASON_NONE) {
            NSP_PATH_MARK(path, calculate_size);
            faults_strike_if(&engine->faults, FAULT_STRATEGY);
            outcome.reason = stage_calculate_size(engine, &request);
        }
    }
    // Three readings serve more than the path.
    nsp_ticks accepted = 0, matched = 0;
    if (outcome.reason == REASON_NONE) {
        accepted = recorded ? clock_now() : 0;
        NSP_PATH_MARK_AT(path, match, accepted);
        faults_strike_if(&engine->faults, FAULT_PREEMPTION);
        if (request.cancel)
            outcome.reason = stage_cancel(engine, &request, &outcome);
        else
            stage_match(engine, &request, &outcome);
    }
    const bool taken = outcome.reason == REASON_NONE;
    if (taken) {
        matched = recorded ? clock_now() : 0;
        NSP_PATH_MARK_AT(path, submit_to_exchange, matched);
        faults_strike_if(&engine->faults, FAULT_LOCK);
        if (!stage_submit(engine, &request, &outcome)) {
            nsp_span_set_status(nsp_path_span(path), NSP_SPAN_STATUS_ERROR,
                                "the drop copy cannot be written");
            engine->failed = true;
        }
    }

    const nsp_ticks submitted = recorded ? clock_now() : 0;
    NSP_PATH_MARK_AT(path, report, submitted);
    stage_report(engine, &request, &outcome);
    if (taken)
        histogram_record(&engine->tick_to_trade, (recorded ? submitted : clock_now()) - received);
    if (taken && (recorded || engine->counters.lives_traced != 0))
        lives_tell(engine, &request, &outcome, nsp_path_span(path), accepted, matched);
    if (recorded) { // one check instead of one for each text
        describe(path, &request, &outcome);
        if (engine->faults.struck != FAULT_NONE)
            nsp_span_set_str(nsp_path_span(path), NSP_KEY("order.held_up_by"),
                             fault_text(engine->faults.struck));
        count(&engine->counters.orders_traced, 1);
    }
    stage_retire(engine, &outcome);
    stage_count(engine, &request, &outcome);

    const nsp_ticks end = recorded || timed ? clock_now() : 0;
    order_path_end_at(path, end);
    if (timed)
        stopwatch_take(&engine->stopwatch, &engine->faults, request.id, start, end);
    return end;
}
