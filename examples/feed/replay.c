// SPDX-License-Identifier: Apache-2.0
#include "feed/replay.h"

#include <inttypes.h>
#include <nanospan/nanospan.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

// The time at which order number `index`, counted from 0, should be sent.
static uint64_t due_at(const struct replay *replay, uint64_t index)
{
    if (replay->orders_per_second <= 0)
        return 0;
    return replay->started_ns + (uint64_t)((double)index * 1e9 / replay->orders_per_second);
}

// Every second order belongs to a trace that begins here: a detached span that is open until the answer
// arrives, with its context in the message. Packs the context and returns its size; 0 for the orders that
// carry no context.
static size_t trace_order(struct replay *replay, struct entry *entry, uint64_t id,
                          const struct order_line *line, uint8_t packed[NSP_CONTEXT_PACKED_SIZE])
{
    if (id % 2 == 0)
        return 0;
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    nsp_context context;
    options.kind = NSP_KIND_CLIENT;
    entry->span = nsp_span_begin_detached(NSP_NAME("send_order"), &options);
    if (nsp_span_recording(entry->span)) {
        replay->spans_traced++;
        nsp_span_set_i64(entry->span, NSP_KEY("order.id"), (int64_t)id);
        nsp_span_set_i64(entry->span, NSP_KEY("user.id"), line->account);
        nsp_span_set_bool(entry->span, NSP_KEY("order.cancel"), line->cancel);
    }
    nsp_span_context(entry->span, &context); // unsampled traces have a context too: the engine obeys it
    if (!nsp_context_valid(&context))
        return 0;
    nsp_context_pack(&context, packed);
    replay->with_context++;
    return nsp_context_packed_size(&context);
}

static void put_order(struct replay *replay, uint64_t id, uint64_t due)
{
    uint64_t pass =
        (id - 1) / replay->file->count * replay->file->count; // ids used by earlier passes over the file
    const struct order_line *line = &replay->file->lines[(id - 1) - pass];
    struct entry *entry = &replay->ledger.entries[id - 1];
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];

    *entry = (struct entry){.due_ns = due, .quantity = line->quantity, .cancel = line->cancel, .sent = true};
    if (line->cancel)
        entry->target = pass + line->target;
    size_t extra = trace_order(replay, entry, id, line, packed);
    size_t fixed = line->cancel ? sizeof(struct message_cancel) : sizeof(struct message_new_order);
    struct message_header header = {(uint16_t)(fixed + extra), PROTOCOL_VERSION, MESSAGE_CANCEL};
    uint8_t *room = stream_put(&replay->stream, fixed + extra);
    if (line->cancel) {
        struct message_cancel message = {header, line->account, id, entry->target};
        memcpy(room, &message, sizeof message);
    } else {
        header.type = MESSAGE_NEW_ORDER;
        struct message_new_order message = {.header = header,
                                            .account = line->account,
                                            .order_id = id,
                                            .price = line->price,
                                            .quantity = line->quantity,
                                            .side = line->side,
                                            .time_in_force = line->time_in_force};
        memcpy(message.symbol, line->symbol, SYMBOL_SIZE);
        memcpy(room, &message, sizeof message);
    }
    memcpy(room + fixed, packed, extra);
    replay->ledger.sent++;
}

// True if the next pause comes before the next order.
static bool pause_is_next(const struct replay *replay)
{
    return replay->pauses_made < replay->pause_count &&
           replay->pauses[replay->pauses_made].after == replay->ledger.sent;
}

// Waits for a line on standard input, or for its end.
static void pause_here(struct replay *replay)
{
    struct pause *pause = &replay->pauses[replay->pauses_made++];
    uint64_t began = now_ns();
    printf("feed: paused after %" PRIu64 " orders; goes on with a line on standard input, or at its end\n",
           pause->after);
    fflush(stdout);
    int byte;
    while ((byte = getchar()) != EOF && byte != '\n')
        ;
    pause->rate = nsp_sampler_rate();
    printf("feed: goes on; its sample rate is %g\n", pause->rate);
    fflush(stdout);
    replay->started_ns += now_ns() - began;
}

// Puts the orders that are due into the buffer. Returns when the next order is due; 0 if it waits for
// something else.
static uint64_t put_due(struct replay *replay, uint64_t now)
{
    struct ledger *ledger = &replay->ledger;
    while (ledger->sent < ledger->count && ledger->sent - ledger->answered < replay->window &&
           stream_room(&replay->stream) >= 2 * MESSAGE_MAX && !pause_is_next(replay)) {
        uint64_t due = due_at(replay, ledger->sent);
        if (due > now)
            return due;
        put_order(replay, ledger->sent + 1, due ? due : now);
        if (ledger->sent - ledger->answered > replay->most_in_flight)
            replay->most_in_flight = ledger->sent - ledger->answered;
    }
    return 0;
}

static void take_report(struct replay *replay, const struct message_report *report, uint64_t now)
{
    struct entry *entry = ledger_report(&replay->ledger, report);
    if (entry == NULL)
        return;
    histogram_record(&replay->round_trip, now > entry->due_ns ? now - entry->due_ns : 0);
    if (replay->pause_count == 0 || report->order_id <= replay->pauses[0].after) {
        replay->fills_before_pause += report->fills;
        replay->units_before_pause += report->filled;
    }
    nsp_span_set_str(entry->span, NSP_KEY("order.result"), result_text(report->result));
    if (report->result == RESULT_REJECTED)
        nsp_span_set_status(entry->span, NSP_SPAN_STATUS_ERROR, reason_text(report->reason));
    nsp_span_end(entry->span);
    entry->span = NULL;
}

static bool take_message(struct replay *replay, const uint8_t *bytes, size_t length, uint64_t now)
{
    struct message_header header;
    memcpy(&header, bytes, sizeof header);
    if (header.type == MESSAGE_REPORT && length == sizeof(struct message_report)) {
        struct message_report report;
        memcpy(&report, bytes, sizeof report);
        take_report(replay, &report, now);
    } else if (header.type == MESSAGE_FILL && length == sizeof(struct message_fill)) {
        struct message_fill fill;
        memcpy(&fill, bytes, sizeof fill);
        ledger_fill(&replay->ledger, &fill);
    } else {
        return false;
    }
    return true;
}

// Reads and records all answers that have arrived. False: the connection cannot be used any more.
static bool take_answers(struct replay *replay, bool *any)
{
    enum stream_event event = stream_receive(&replay->stream);
    uint64_t now = now_ns();
    const uint8_t *message;
    size_t length;
    bool broken = false;
    while ((message = stream_next(&replay->stream, &length, &broken)) != NULL) {
        *any = true;
        if (!take_message(replay, message, length, now)) {
            broken = true;
            break;
        }
    }
    if (broken)
        fprintf(stderr, "feed: the engine sent an invalid message\n");
    else if (event == STREAM_CLOSED)
        fprintf(stderr, "feed: the engine closed the connection\n");
    return !broken && event != STREAM_CLOSED;
}

// Sleeps until there is something to read, there is room to send, or an order is due.
static void wait_for_work(struct replay *replay, uint64_t next_due, uint64_t now)
{
    uint64_t wait = 1000 * 1000;
    if (next_due)
        wait = next_due > now ? next_due - now : 0;
    if (wait > 1000 * 1000)
        wait = 1000 * 1000;
    struct pollfd poll = {.fd = replay->stream.fd, .events = POLLIN};
    if (stream_pending(&replay->stream))
        poll.events |= POLLOUT;
    ppoll(&poll, 1, &(struct timespec){.tv_nsec = (long)wait}, NULL);
}

bool replay_run(struct replay *replay)
{
    struct ledger *ledger = &replay->ledger;
    replay->started_ns = now_ns();
    replay->rate_at_start = nsp_sampler_rate();
    uint64_t last_answer = replay->started_ns;
    while (ledger->answered < ledger->count) {
        if (ledger->sent == ledger->answered && pause_is_next(replay)) {
            pause_here(replay);
            last_answer = now_ns();
        }
        uint64_t now = now_ns();
        uint64_t next_due = put_due(replay, now);
        bool any = false;
        if (!stream_flush(&replay->stream)) {
            fprintf(stderr, "feed: the engine closed the connection\n");
            return false;
        }
        if (!take_answers(replay, &any))
            return false;
        if (any || ledger->sent == ledger->answered)
            last_answer = now;
        else if (now - last_answer > replay->patience_ns) {
            fprintf(stderr, "feed: no answer for %.0f s; giving up\n", (double)replay->patience_ns / 1e9);
            return false;
        }
        if (!any)
            wait_for_work(replay, next_due, now);
    }
    replay->ended_ns = now_ns();
    return true;
}
