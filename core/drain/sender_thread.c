// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <string.h>

#include "base/alone.h"
#include "base/call.h"
#include "base/testpoint.h"
#include "drain/outcome.h"
#include "drain/sender_state.h"

// The longest Retry-After that is honoured.
static const uint64_t retry_after_max = 60 * NSP__SECOND;
// While stopping: with less time left than this, waiting for another attempt is not worth it.
static const uint64_t last_pause = 100 * NSP__MILLISECOND;
// Batches that cannot be delivered, while others can, may hold the others up for one part in so many of the time.
enum { BLAMED_SHARE = 5 };

void nsp__sender_close_account(nsp__sender *sender, nsp__batch *batch)
{
    __atomic_fetch_sub(&sender->waiting_spans, batch->exported.spans, __ATOMIC_RELAXED);
    __atomic_store_n(&batch->header->state, NSP__BATCH_EMPTY, __ATOMIC_RELEASE); // BH1
    NSP__TESTPOINT("sender: batch empty");
}

void nsp__sender_announce(nsp__sender *sender, nsp__batch_pool *pool, uint64_t sequence)
{
    __atomic_store_n(&pool->settled, sequence, __ATOMIC_RELEASE); // SE1: what became of the batch, to SE2
    nsp__event_signal(&sender->progress);
}

// To be called after the accounting: the batch becomes empty and returns to its pool.
static void settle(nsp__sender *sender, nsp__batch *batch)
{
    nsp__batch_header *header = batch->header;
    nsp__batch_pool *pool = batch->pool;
    const uint64_t sequence = batch->sequence; // once it is in its pool, the batch may be somebody else's
    nsp__turns_remove(&sender->turns, batch);
    nsp__sender_close_account(sender, batch);
    __atomic_store_n(&header->spans, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->settled, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->attempts, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&header->in_doubt, 0, __ATOMIC_RELAXED);
    batch->exported.head = batch->exported.length = 0;
    batch->exported.spans = batch->exported.attempt = 0;
    batch->exported.first_ns = 0;
    sender->current = NULL;
    nsp__batch_pool_put_settled(batch);
    nsp__sender_announce(sender, pool, sequence);
}

void nsp__sender_note_given_up(nsp__sender *sender, const nsp__batch *batch)
{
    sender->given_up_spans += batch->exported.spans;
    sender->gave_up = true;
}

// Only while stopping.
void nsp__sender_count_as_given_up(nsp__sender *sender, nsp__batch *batch)
{
    const uint64_t spans = batch->exported.spans;
    bool in_doubt = __atomic_load_n(&batch->header->in_doubt, __ATOMIC_RELAXED);
    const nsp__outcome outcome = {.unconfirmed = in_doubt ? spans : 0, .discarded = in_doubt ? 0 : spans};
    nsp__outcome_count(batch->header, batch->counters, &outcome);
    nsp__sender_note_given_up(sender, batch);
}

static void take_in(nsp__sender *sender)
{
    for (nsp__batch *batch; (batch = nsp__batch_queue_take(&sender->closed)) != NULL;)
        nsp__turns_add(&sender->turns, batch);
}

// With `leave_rest` what never was on its way stays CLOSED.
static void give_up(nsp__sender *sender, nsp__batch *batch)
{
    if (nsp__batch_abandoned(batch)) {
        settle(sender, batch);
    } else if (sender->options.leave_rest) {
        nsp__sender_note_given_up(sender, batch);
        nsp__turns_remove(&sender->turns, batch);
        sender->current = NULL;
    } else {
        nsp__sender_count_as_given_up(sender, batch);
        settle(sender, batch);
    }
}

void nsp__sender_give_up_rest(nsp__sender *sender)
{
    take_in(sender);
    while (sender->turns.first != NULL)
        give_up(sender, sender->turns.first->line.first);
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

// Doubles with each attempt from min to max, times a jitter of 0.5 to 1.5. While somebody waits it stays at the
// minimum, because a flush should notice soon that the backend is back.
static uint64_t backoff(const nsp__sender *sender, uint32_t attempt, double jitter)
{
    uint64_t base = sender->options.backoff_min_ns;
    if (!nsp__sender_stopping(sender) && __atomic_load_n(&sender->waiters, __ATOMIC_RELAXED) == 0)
        for (uint32_t i = 1; i < attempt && base < sender->options.backoff_max_ns; ++i)
            base *= 2;
    base = nsp__earlier(base, sender->options.backoff_max_ns);
    return (uint64_t)((double)base * jitter);
}

// Sets the times of what follows a failed attempt, which took so long.
static void put_off(nsp__sender *sender, nsp__batch_pool *pool, uint64_t took, uint64_t retry_after_ns)
{
    const uint64_t now = nsp__monotonic_ns();
    const bool blamed = pool->line.blamed;
    if (retry_after_ns != 0) {
        nsp__turns_hold(&sender->turns, pool, nsp__after(now, nsp__earlier(retry_after_ns, retry_after_max)));
        return;
    }
    const double jitter = 0.5 + (double)(draw(sender) >> 11) * 0x1p-53;
    const nsp__turns_pauses pauses = {
        .own = backoff(sender, pool->line.attempts, jitter),
        .others = backoff(sender, sender->turns.failures, jitter),
        .least = nsp__later(backoff(sender, 1, jitter), blamed ? (BLAMED_SHARE - 1) * took : 0),
    };
    nsp__turns_put_off(&sender->turns, pool, now, &pauses);
}

// When a request for an immediate retry may be granted. A flush that waits in short slices makes one in each
// slice.
static uint64_t next_requested_retry(const nsp__sender *sender)
{
    if (__atomic_load_n(&sender->retry_requests, __ATOMIC_ACQUIRE) ==
        sender->requests_seen) // SH2: acquires SH1
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

// Sleeps while nobody's turn has come: until that of this pool, or until the event is no longer at this value. If
// the receiver chose the time, neither a wait nor a stop cuts it short. The deadline of a stop may leave no room
// for another attempt.
static void wait_for_turn(nsp__sender *sender, nsp__batch_pool *pool, uint64_t due_ns, uint32_t value)
{
    uint64_t now = nsp__monotonic_ns(), limit = nsp__sender_stop_deadline(sender);
    const bool asked = sender->turns.asked_ns > now;
    uint64_t requested = asked ? UINT64_MAX : next_requested_retry(sender);
    if (now >= requested) {
        sender->last_requested_retry = now;
        nsp__turns_hurry(&sender->turns, pool, now);
        return;
    }
    if (limit != UINT64_MAX && due_ns > limit) {
        // Our own backoff halves the way to the deadline instead, so that a backend that returns late is
        // still reached.
        sender->no_attempt_left = sender->turns.asked_ns > limit || now >= limit || limit - now < last_pause;
        if (sender->no_attempt_left)
            return;
        due_ns = now + (limit - now) / 2;
        nsp__turns_hurry(&sender->turns, pool, due_ns);
    }
    wait_for_work(sender, value, nsp__earlier(nsp__earlier(due_ns, requested), limit));
}

// Enters the outcome of an attempt into the accounting, with the parts that an exporter that sends in parts has
// settled. False: what is left of the batch is to be sent again.
static bool count_outcome(nsp__sender *sender, nsp__batch *batch, nsp_send_result result,
                          const nsp_send_report *report)
{
    nsp__counters *counters = batch->counters;
    const bool final = nsp__outcome_final(result);
    const nsp__outcome outcome = nsp__outcome_of(result, report, batch->exported.spans);
    const uint64_t spans = nsp__outcome_spans(&outcome);
    if (spans != 0 || final)
        nsp__outcome_count(batch->header, counters, &outcome);
    // Not before: until its settled parts are counted, the receiver has more than the session says.
    if (result == NSP_SEND_RETRY && !sender->was_in_doubt)
        __atomic_store_n(&batch->header->in_doubt, 0, __ATOMIC_RELAXED);
    nsp__counters_add(&counters->bytes_sent, report->bytes);
    if (report->answered)
        nsp__counters_add(&counters->batches_sent, 1 + report->part_answers);
    if (result != NSP_SEND_EXPORTED)
        nsp__counters_add(&counters->batches_failed, 1);
    if (final) {
        settle(sender, batch);
        return true;
    }
    __atomic_fetch_sub(&sender->waiting_spans, spans, __ATOMIC_RELAXED);
    batch->exported.spans -= (uint32_t)spans;
    batch->settled += (uint32_t)spans;
    return false;
}

// Relaxed: what the exporter says about an attempt holds for that one alone, and is not what stop waits for.
static void hold_nothing_back(nsp__sender *sender)
{
    if (sender->options.held_back != NULL)
        __atomic_store_n(sender->options.held_back, 0, __ATOMIC_RELAXED);
}

static void note_attempt(const nsp__batch *batch, const nsp_send_report *report, uint64_t took_ns)
{
    nsp__figures *figures = batch->pool->figures;
    if (batch->exported.attempt != 0)
        nsp__figure_add(&figures->retries, 1);
    if (!report->answered)
        return;
    nsp__figure_set(&figures->answer_last_ns, took_ns);
    nsp__figure_raise(&figures->answer_longest_ns, took_ns);
    nsp__figure_add(&figures->answer_ns, took_ns);
    nsp__figure_add(&figures->answers, 1);
}

// Makes one attempt, on a thread that has entered the exit gate. False: left behind. During the attempt the
// batch counts as in doubt, for a reader after a crash, and after it until the answer is counted.
static bool attempt(nsp__sender *sender, nsp__batch *batch, nsp_send_result *result, nsp_send_report *report)
{
    nsp__batch_header *header = batch->header;
    const uint64_t begin_ns = nsp__monotonic_ns();
    uint64_t deadline = nsp__earlier(nsp__after(begin_ns, sender->options.export_timeout_ns),
                                     nsp__sender_stop_deadline(sender));
    batch->exported.attempt = batch->pool->line.attempts;
    __atomic_store_n(&header->attempts, header->attempts + 1, __ATOMIC_RELAXED);
    sender->was_in_doubt = header->in_doubt != 0;
    __atomic_store_n(&header->in_doubt, 1, __ATOMIC_RELAXED);
    memset(report, 0, sizeof *report);
    hold_nothing_back(sender);

    nsp__sender_begin_blocking(sender);
    *result =
        sender->options.exporter->send(sender->options.exporter_state, &batch->exported, deadline, report);
    hold_nothing_back(sender);
    NSP__TESTPOINT("sender: answered");
    nsp__exit_leave();
    if (!sender->has_sent)
        nsp__exit_hook_renew(); // to run before the exit handlers of libraries that the first attempt loaded
    if (!nsp__sender_end_blocking(sender))
        return false;
    if (batch->pool->figures != NULL && !nsp__batch_abandoned(batch))
        note_attempt(batch, report, nsp__monotonic_ns() - begin_ns);
    report->detail[sizeof report->detail - 1] = 0;
    sender->has_sent = true;
    return true;
}

// There will be no further attempt, because a stop leaves no time for one.
static bool is_late(const nsp__sender *sender)
{
    return sender->no_attempt_left || nsp__sender_stop_deadline(sender) <= nsp__monotonic_ns();
}

// Counts an attempt. True: the batch is settled, and its pool may be gone.
static bool count_attempt(nsp__sender *sender, nsp__batch *batch, nsp_send_result result,
                          const nsp_send_report *report, nsp__attempt *seen)
{
    nsp__batch_pool *pool = batch->pool;
    const bool final = nsp__outcome_final(result);
    if (final) {
        nsp__turns_answered(&sender->turns);
    } else {
        nsp__turns_failed(&sender->turns, pool, report->retry_after_ns != 0);
        if (sender->options.bound != NULL && *sender->options.bound)
            sender->turns.bound = pool;
    }
    seen->blamed = pool->line.blamed;
    pool->unconfirmed = result == NSP_SEND_UNCONFIRMED;
    return count_outcome(sender, batch, result, report);
}

// Makes one attempt to send the batch, unless it is too late for one. False: left behind.
static bool take_turn(nsp__sender *sender, nsp__batch *batch)
{
    nsp__batch_pool *pool = batch->pool;
    if (nsp__batch_abandoned(batch)) {
        settle(sender, batch);
        return true;
    }
    sender->current = batch;
    if (pool->line.attempts == 0) {
        __atomic_store_n(&batch->header->state, NSP__BATCH_SENDING, __ATOMIC_RELEASE); // BH1
        NSP__TESTPOINT("sender: sending");
    }
    if (!nsp__exit_enter()) {
        give_up(sender, batch);
        return true;
    }
    sender->requests_seen = __atomic_load_n(&sender->retry_requests, __ATOMIC_ACQUIRE); // SH2: acquires SH1
    const uint64_t spans = batch->exported.spans, began = nsp__monotonic_ns();
    nsp_send_report report;
    nsp_send_result result;
    nsp__attempt seen = nsp__sender_look(sender, pool);
    if (!attempt(sender, batch, &result, &report))
        return false;
    const uint64_t took = nsp__monotonic_ns() - began;
    if (nsp__batch_abandoned(batch)) {
        settle(sender, batch);
        return true;
    }
    const bool settled = count_attempt(sender, batch, result, &report, &seen);
    if (!nsp__sender_report(sender, result, &report, spans, &seen))
        return false;
    if (settled)
        return true;
    sender->current = NULL;
    put_off(sender, pool, took, report.retry_after_ns);
    return true;
}

// Does what comes next, or waits for it. False: left behind.
static bool go_on(nsp__sender *sender, uint32_t value)
{
    if (is_late(sender)) {
        nsp__sender_give_up_rest(sender);
        return true;
    }
    const uint64_t now = nsp__monotonic_ns();
    uint64_t due_ns;
    nsp__batch_pool *next = nsp__turns_next(&sender->turns, now, &due_ns);
    if (due_ns <= now)
        return take_turn(sender, next->line.first);
    wait_for_turn(sender, next, due_ns, value);
    return true;
}

// A fault that is blocked ends the process, whatever handler there is.
static void let_faults_through(void)
{
    sigset_t fault;
    sigemptyset(&fault);
    sigaddset(&fault, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &fault, NULL);
}

void *nsp__sender_run(void *argument)
{
    nsp__sender *sender = argument;
    nsp__call_thread(NSP__THREAD_SENDER);
    if (sender->options.faults)
        let_faults_through();
    for (;;) {
        uint32_t value = nsp__event_value(&sender->work);
        bool last = nsp__sender_stopping(sender);
        take_in(sender);
        if (sender->turns.first != NULL) {
            if (!go_on(sender, value)) {
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
