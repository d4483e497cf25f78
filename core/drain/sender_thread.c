// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/alone.h"
#include "base/call.h"
#include "base/log.h"
#include "drain/sender_state.h"

// The longest Retry-After that is honoured.
static const uint64_t retry_after_max = 60 * NSP__SECOND;
// While stopping: with less time left than this, waiting for another attempt is not worth it.
static const uint64_t last_pause = 100 * NSP__MILLISECOND;

static void begin_blocking(nsp__sender *sender)
{
    __atomic_store_n(&sender->thread_state, NSP__SENDER_BLOCKING, __ATOMIC_RELEASE); // SW1: to SW2
}

// False: the thread was left behind meanwhile, and no longer owns anything.
static bool end_blocking(nsp__sender *sender)
{
    uint32_t expected = NSP__SENDER_BLOCKING;
    return __atomic_compare_exchange_n(&sender->thread_state, &expected, NSP__SENDER_WORKING, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); // SW2
}

void nsp__sender_close_account(nsp__sender *sender, nsp__batch *batch)
{
    __atomic_fetch_sub(&sender->waiting_spans, batch->exported.spans, __ATOMIC_RELAXED);
    __atomic_store_n(&batch->header->state, NSP__BATCH_EMPTY, __ATOMIC_RELEASE); // BH1
}

void nsp__sender_announce(nsp__sender *sender, uint64_t sequence)
{
    __atomic_store_n(&sender->settled, sequence, __ATOMIC_RELEASE); // SE1: what became of the batch, to SE2
    nsp__event_signal(&sender->progress);
}

// To be called after the accounting: the batch becomes empty and returns to the queue of empty batches.
static void settle(nsp__sender *sender, nsp__batch *batch)
{
    nsp__batch_header *header = batch->header;
    uint64_t sequence = header->sequence;
    nsp__sender_close_account(sender, batch);
    __atomic_store_n(&header->spans, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->attempts, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->in_doubt, 0, __ATOMIC_RELAXED);
    batch->exported.head = batch->exported.length = 0;
    batch->exported.spans = batch->exported.attempt = 0;
    batch->exported.first_ns = 0;
    sender->current = NULL;
    nsp__batch_queue_put(&sender->empty, batch);
    nsp__sender_announce(sender, sequence);
}

// Only while stopping.
void nsp__sender_count_as_given_up(nsp__sender *sender, const nsp__batch *batch)
{
    nsp__counters *counters = sender->options.counters;
    bool in_doubt = __atomic_load_n(&batch->header->in_doubt, __ATOMIC_RELAXED);
    nsp__counters_add(in_doubt ? &counters->unconfirmed : &counters->discarded, batch->exported.spans);
    sender->given_up_spans += batch->exported.spans;
    sender->gave_up = true;
}

void nsp__sender_give_up(nsp__sender *sender, nsp__batch *batch)
{
    nsp__sender_count_as_given_up(sender, batch);
    settle(sender, batch);
}

// xorshift64 is enough, because backoff only needs to differ between processes.
static uint64_t draw(nsp__sender *sender)
{
    uint64_t x = sender->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return sender->random = x;
}

// Doubles with each attempt from min to max, times a jitter drawn uniformly from 0.5 to 1.5. While somebody
// waits it stays at the minimum, because a flush should notice soon that the backend is back.
static uint64_t backoff(nsp__sender *sender, uint32_t attempt)
{
    uint64_t base = sender->options.backoff_min_ns;
    if (!nsp__sender_stopping(sender) && __atomic_load_n(&sender->waiters, __ATOMIC_RELAXED) == 0)
        for (uint32_t i = 1; i < attempt && base < sender->options.backoff_max_ns; ++i)
            base *= 2;
    base = nsp__earlier(base, sender->options.backoff_max_ns);
    return base / 2 + (uint64_t)((double)base * ((double)(draw(sender) >> 11) * 0x1p-53));
}

// When a request for an immediate retry may be granted. A flush that waits in short slices makes one in each
// slice.
static uint64_t next_requested_retry(const nsp__sender *sender, uint32_t requests_before)
{
    if (__atomic_load_n(&sender->retry_requests, __ATOMIC_ACQUIRE) == requests_before) // SH2: acquires SH1
        return UINT64_MAX;
    return nsp__after(sender->last_requested_retry, sender->options.backoff_min_ns);
}

// Sleeps until there is something to do, at most until the deadline. May return early.
static void wait_for_work(nsp__sender *sender, uint32_t value, uint64_t deadline_ns)
{
    uint64_t check_ns = sender->options.alone_checks ? nsp__monotonic_ns() + NSP__ALONE_CHECK_NS : UINT64_MAX;
    nsp__event_wait(&sender->work, value, nsp__earlier(deadline_ns, check_ns));
    if (sender->options.alone_checks && nsp__monotonic_ns() >= check_ns)
        nsp__alone_check();
}

// Sleeps between two attempts. `asked`: the receiver chose the delay, so neither a wait nor a stop cuts it
// short. False: the deadline of a stop leaves no room for another attempt.
static bool pause_before_retry(nsp__sender *sender, uint64_t delay, bool asked, uint32_t requests_before)
{
    uint64_t until = nsp__after(nsp__monotonic_ns(), delay);
    for (;;) {
        uint32_t value = nsp__event_value(&sender->work);
        uint64_t now = nsp__monotonic_ns(), limit = nsp__sender_stop_deadline(sender);
        uint64_t requested = asked ? UINT64_MAX : next_requested_retry(sender, requests_before);
        if (now >= requested) {
            sender->last_requested_retry = now;
            return true;
        }
        if (limit != UINT64_MAX && until > limit) {
            // Our own backoff halves the way to the deadline instead, so that a backend that returns late is
            // still reached.
            if (asked || now >= limit || limit - now < last_pause)
                return false;
            until = now + (limit - now) / 2;
        }
        if (now >= until)
            return true;
        wait_for_work(sender, value, nsp__earlier(nsp__earlier(until, requested), limit));
    }
}

// Logs the result of an attempt. The text is made before the thread counts as blocking; the callback may
// block.
static bool say(nsp__sender *sender, nsp_log_level level, const char *subject, const char *what,
                const nsp_send_report *report, uint64_t spans, const char *spans_are)
{
    sender->logging = true;
    begin_blocking(sender);
    nsp__log(level, subject, "%s%s%s%llu span%s %s", what, report->detail, report->detail[0] ? "; " : "",
             (unsigned long long)spans, spans == 1 ? "" : "s", spans_are);
    if (!end_blocking(sender))
        return false;
    sender->logging = false;
    return true;
}

// Takes what an exporter that sends in parts has already settled off the batch.
static void settle_parts(nsp__sender *sender, nsp__batch *batch, const nsp_send_report *report)
{
    nsp__counters *counters = sender->options.counters;
    uint64_t left = batch->exported.spans;
    uint64_t exported = nsp__earlier(report->part_exported, left);
    uint64_t rejected = nsp__earlier(report->part_rejected, left - exported);
    uint64_t unconfirmed = nsp__earlier(report->part_unconfirmed, left - exported - rejected);
    left -= exported + rejected + unconfirmed;
    if (left == batch->exported.spans)
        return;
    nsp__counters_add(&counters->exported, exported);
    nsp__counters_add(&counters->rejected, rejected);
    nsp__counters_add(&counters->unconfirmed, unconfirmed);
    __atomic_fetch_sub(&sender->waiting_spans, batch->exported.spans - left, __ATOMIC_RELAXED);
    __atomic_store_n(&batch->header->spans, (uint32_t)left, __ATOMIC_RELAXED);
    batch->exported.spans = (uint32_t)left;
}

// Enters the outcome of an attempt into the accounting. False: the batch is to be sent again.
static bool count_outcome(nsp__sender *sender, nsp__batch *batch, nsp_send_result result,
                          const nsp_send_report *report)
{
    nsp__counters *counters = sender->options.counters;
    settle_parts(sender, batch, report);
    uint64_t spans = batch->exported.spans;
    nsp__counters_add(&counters->bytes_sent, report->bytes);
    if (report->answered)
        nsp__counters_add(&counters->batches_sent, 1 + report->part_answers);
    if (result != NSP_SEND_EXPORTED)
        nsp__counters_add(&counters->batches_failed, 1);
    if (result == NSP_SEND_EXPORTED) {
        uint64_t rejected = nsp__earlier(report->rejected, spans);
        nsp__counters_add(&counters->exported, spans - rejected);
        nsp__counters_add(&counters->rejected, rejected);
    } else if (result == NSP_SEND_REJECTED) {
        nsp__counters_add(&counters->rejected, spans);
    } else if (result == NSP_SEND_UNCONFIRMED) {
        nsp__counters_add(&counters->unconfirmed, spans);
    } else {
        return false;
    }
    settle(sender, batch);
    return true;
}

// Logs changes between success and failure, and what was refused. False: left behind.
static bool report_outcome(nsp__sender *sender, nsp_send_result result, const nsp_send_report *report,
                           uint64_t spans)
{
    bool was_failing = sender->failing;
    bool was_unconfirmed = sender->unconfirmed;
    sender->failing = result == NSP_SEND_RETRY || result == NSP_SEND_UNKNOWN;
    sender->unconfirmed = result == NSP_SEND_UNCONFIRMED;
    uint64_t waiting = __atomic_load_n(&sender->waiting_spans, __ATOMIC_RELAXED);
    switch (result) {
    case NSP_SEND_EXPORTED:
        if (report->rejected)
            return say(sender, NSP_LOG_WARN, "rejected", "", report, nsp__earlier(report->rejected, spans),
                       "rejected by the receiver");
        if (report->detail[0])
            return say(sender, NSP_LOG_WARN, "receiver", "", report, spans, "accepted nevertheless");
        if (was_failing)
            return say(sender, NSP_LOG_INFO, "sending again", "sending works again; ", report, waiting,
                       "still waiting");
        return true;
    case NSP_SEND_REJECTED:
        return say(sender, NSP_LOG_WARN, "rejected", "", report, spans, "rejected for good");
    case NSP_SEND_UNCONFIRMED:
        if (!was_unconfirmed)
            return say(sender, NSP_LOG_WARN, "unconfirmed", "", report, spans,
                       "unconfirmed and not sent again; later ones are counted but not logged");
        return true;
    default:
        if (!was_failing)
            return say(sender, NSP_LOG_WARN, "sending", "", report, waiting, "waiting; retrying");
        return true;
    }
}

// Relaxed: what the exporter says about an attempt holds for that one alone, and is not what stop waits for.
static void hold_nothing_back(nsp__sender *sender)
{
    if (sender->options.held_back != NULL)
        __atomic_store_n(sender->options.held_back, 0, __ATOMIC_RELAXED);
}

// Makes one attempt, on a thread that has entered the exit gate. False: left behind. During the attempt the
// batch counts as in doubt, for a reader after a crash.
static bool attempt(nsp__sender *sender, nsp__batch *batch, nsp_send_result *result, nsp_send_report *report)
{
    nsp__batch_header *header = batch->header;
    uint32_t in_doubt = header->in_doubt;
    uint64_t deadline = nsp__earlier(nsp__after(nsp__monotonic_ns(), sender->options.export_timeout_ns),
                                     nsp__sender_stop_deadline(sender));
    batch->exported.attempt = header->attempts;
    __atomic_store_n(&header->attempts, header->attempts + 1, __ATOMIC_RELAXED);
    __atomic_store_n(&header->in_doubt, 1, __ATOMIC_RELAXED);
    memset(report, 0, sizeof *report);
    sender->was_in_doubt = in_doubt != 0;
    hold_nothing_back(sender);

    begin_blocking(sender);
    *result =
        sender->options.exporter->send(sender->options.exporter_state, &batch->exported, deadline, report);
    hold_nothing_back(sender);
    nsp__exit_leave();
    if (!sender->has_sent)
        nsp__exit_hook_renew(); // to run before the exit handlers of libraries that the first attempt loaded
    if (!end_blocking(sender))
        return false;
    report->detail[sizeof report->detail - 1] = 0;
    sender->has_sent = true;
    if (!in_doubt && *result != NSP_SEND_UNKNOWN)
        __atomic_store_n(&header->in_doubt, 0, __ATOMIC_RELAXED);
    return true;
}

// Sends one batch until it is settled. False: left behind.
static bool deliver(nsp__sender *sender, nsp__batch *batch)
{
    sender->current = batch;
    __atomic_store_n(&batch->header->state, NSP__BATCH_SENDING, __ATOMIC_RELEASE); // BH1
    for (;;) {
        if (sender->no_attempt_left || nsp__sender_stop_deadline(sender) <= nsp__monotonic_ns() ||
            !nsp__exit_enter()) {
            nsp__sender_give_up(sender, batch);
            return true;
        }
        uint32_t retry_requests =
            __atomic_load_n(&sender->retry_requests, __ATOMIC_ACQUIRE); // SH2: acquires SH1
        uint64_t spans = batch->exported.spans;
        nsp_send_report report;
        nsp_send_result result;
        if (!attempt(sender, batch, &result, &report))
            return false;
        bool settled = count_outcome(sender, batch, result, &report);
        if (!report_outcome(sender, result, &report, spans))
            return false;
        if (settled)
            return true;
        bool asked = report.retry_after_ns != 0;
        uint64_t delay = asked ? nsp__earlier(report.retry_after_ns, retry_after_max)
                               : backoff(sender, batch->header->attempts);
        sender->no_attempt_left = !pause_before_retry(sender, delay, asked, retry_requests);
    }
}

void *nsp__sender_run(void *argument)
{
    nsp__sender *sender = argument;
    nsp__call_thread(NSP__THREAD_SENDER);
    for (;;) {
        uint32_t value = nsp__event_value(&sender->work);
        bool last = nsp__sender_stopping(sender);
        nsp__batch *batch = nsp__batch_queue_take(&sender->closed);
        if (batch != NULL) {
            if (!deliver(sender, batch)) {
                if (!nsp__exit_end_thread())
                    nsp__exit_stay();
                return NULL;
            }
        } else if (last) {
            break;
        } else {
            wait_for_work(sender, value, UINT64_MAX);
        }
    }
    sender->stays = !nsp__exit_end_thread();
    bool stays = sender->stays;
    __atomic_store_n(&sender->thread_state, NSP__SENDER_DONE, __ATOMIC_RELEASE); // SW1: to SW2
    nsp__event_signal(&sender->progress);
    if (stays)
        nsp__exit_stay();
    return NULL;
}
