// SPDX-License-Identifier: Apache-2.0
#include "drain/sender.h"

#include <stdlib.h>

#include "base/lock.h"
#include "base/log.h"
#include "base/thread_start.h"
#include "common/seed.h"
#include "drain/sender_state.h"

// How long after the deadline of stop a cancelled send may take to return before its thread is left behind.
static const uint64_t cancel_grace = 150 * NSP__MILLISECOND;

// Senders whose memory must stay, because their thread was left behind or lives in the parent of a fork. They
// are reachable from here, so that leak checkers see the intent.
static nsp__sender *kept;

// The sender whose thread may be sending, for the exit of the process. There is one at a time, apart from orphans.
static nsp__sender *living;
static pthread_mutex_t living_lock = PTHREAD_MUTEX_INITIALIZER;

static nsp_status become_living(nsp__sender *sender)
{
    pthread_mutex_lock(&living_lock);
    bool alone = living == NULL || living->orphan;
    if (alone)
        living = sender;
    pthread_mutex_unlock(&living_lock);
    return alone ? NSP_OK : nsp__fail(NSP_ERR_BUSY, "an engine or a recovery is sending in this process");
}

static void end_living(void)
{
    pthread_mutex_lock(&living_lock);
    living = NULL;
    pthread_mutex_unlock(&living_lock);
}

void nsp__sender_cancel(void)
{
    if (!nsp__lock_until(&living_lock, nsp__monotonic_ns() + NSP__SECOND))
        return;
    if (living != NULL) {
        __atomic_store_n(living->options.cancel, 1, __ATOMIC_SEQ_CST); // see is_held_back
        nsp__event_signal(&living->work);
    }
    pthread_mutex_unlock(&living_lock);
}

static void keep(nsp__sender *sender)
{
    sender->next_kept = __atomic_load_n(&kept, __ATOMIC_RELAXED);
    // Relaxed: only leak checkers read the list.
    while (!__atomic_compare_exchange_n(&kept, &sender->next_kept, sender, true, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
        ;
}

static void destroy(nsp__sender *sender)
{
    nsp__batch_queue_destroy(&sender->closed);
    free(sender);
}

nsp_status nsp__sender_start(nsp__sender **out, const nsp__sender_options *options)
{
    *out = NULL;
    nsp__sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL)
        return nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the sender");
    sender->options = *options;
    nsp__event_init(&sender->work);
    nsp__event_init(&sender->progress);
    nsp__turns_begin(&sender->turns);
    sender->random = nsp__random_seed() | 1; // xorshift never leaves zero

    __atomic_store_n(options->cancel, 0, __ATOMIC_RELAXED);
    if (options->left_behind != NULL)
        *options->left_behind = false;
    nsp_status status = nsp__batch_queue_init(&sender->closed, options->closed_max)
                            ? become_living(sender)
                            : nsp__fail(NSP_ERR_NO_MEMORY, "no memory for the sender");
    if (status != NSP_OK) {
        destroy(sender);
        return status;
    }
    status = nsp__thread_start(&sender->thread, "nsp-sender", options->cpus, nsp__sender_run, sender);
    if (status != NSP_OK) {
        end_living();
        destroy(sender);
        return status;
    }
    *out = sender;
    return NSP_OK;
}

uint64_t nsp__sender_put_closed(nsp__sender *sender, nsp__batch *batch)
{
    const uint64_t sequence = ++batch->pool->sequence;
    batch->sequence = sequence;
    batch->settled = 0;
    nsp__counters_add(&sender->waiting_spans, batch->exported.spans);
    nsp__batch_queue_put(&sender->closed, batch);
    nsp__event_signal(&sender->work);
    return sequence;
}

bool nsp__sender_settled(const nsp__batch_pool *pool, uint64_t sequence)
{
    return __atomic_load_n(&pool->settled, __ATOMIC_ACQUIRE) >= sequence; // SE2: acquires SE1
}

static bool is_over(nsp__sender *sender)
{
    uint32_t thread_state = __atomic_load_n(&sender->thread_state, __ATOMIC_ACQUIRE); // SW2: acquires SW1
    return thread_state == NSP__SENDER_DONE || thread_state == NSP__SENDER_ABANDONED;
}

bool nsp__sender_wait(nsp__sender *sender, const nsp__batch_pool *pool, uint64_t sequence,
                      uint64_t deadline_ns)
{
    if (nsp__sender_settled(pool, sequence))
        return true;
    __atomic_fetch_add(&sender->waiters, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(&sender->retry_requests, 1, __ATOMIC_RELEASE); // SH1: to SH2
    nsp__event_signal(&sender->work);
    bool settled;
    for (;;) {
        uint32_t value = nsp__event_value(&sender->progress);
        bool over = is_over(sender);
        settled = nsp__sender_settled(pool, sequence);
        if (settled || over || nsp__monotonic_ns() >= deadline_ns)
            break;
        nsp__event_wait(&sender->progress, value, deadline_ns);
    }
    // The last access: stop frees the sender when nobody is here any more.
    __atomic_fetch_sub(&sender->waiters, 1, __ATOMIC_RELEASE); // SQ1: to SQ2
    return settled;
}

// True if the thread is done.
static bool wait_until_done(nsp__sender *sender, uint64_t deadline_ns)
{
    for (;;) {
        uint32_t value = nsp__event_value(&sender->progress);
        if (__atomic_load_n(&sender->thread_state, __ATOMIC_ACQUIRE) == NSP__SENDER_DONE) // SW2: acquires SW1
            return true;
        if (nsp__monotonic_ns() >= deadline_ns)
            return false;
        nsp__event_wait(&sender->progress, value, deadline_ns);
    }
}

// Can nobody have taken the current batch of a thread that was left behind? Stop has set `cancel` before it
// looks at `held_back`, and the exporter clears `held_back` before it looks at `cancel`. All four are
// sequentially consistent, so one of the two sees the other's: what counts as held back never leaves later.
// A list sets its word of `doubts` before its next exporter may set `held_back`, so here it is read after that.
static bool is_held_back(const nsp__sender *sender)
{
    const int *held_back = sender->options.held_back, *const *doubts = sender->options.doubts;
    if (sender->was_in_doubt || held_back == NULL || !__atomic_load_n(held_back, __ATOMIC_SEQ_CST))
        return false;
    return (doubts[0] == NULL || !__atomic_load_n(doubts[0], __ATOMIC_SEQ_CST)) &&
           (doubts[1] == NULL || !__atomic_load_n(doubts[1], __ATOMIC_SEQ_CST));
}

// Takes over from a thread that is blocked and does not return. The exporter may still be reading its current
// batch, so that batch is counted, but neither changed nor reused.
static bool leave_behind(nsp__sender *sender)
{
    uint32_t expected = NSP__SENDER_BLOCKING;
    if (!__atomic_compare_exchange_n(&sender->thread_state, &expected, NSP__SENDER_ABANDONED, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) // SW2
        return false;
    nsp__batch *current = sender->current;
    if (current != NULL)
        nsp__turns_remove(&sender->turns, current);
    if (current != NULL && is_held_back(sender))
        __atomic_store_n(&current->header->in_doubt, 0, __ATOMIC_RELAXED);
    if (current != NULL && sender->options.leave_rest) {
        nsp__sender_note_given_up(sender, current);
    } else if (current != NULL) {
        nsp__sender_count_as_given_up(sender, current);
        nsp__sender_close_account(sender, current);
        nsp__sender_announce(sender, current->pool, current->sequence);
    }
    nsp__sender_give_up_rest(sender);
    pthread_detach(sender->thread);
    if (sender->options.left_behind != NULL)
        *sender->options.left_behind = true;
    return true;
}

// Ends the thread in one way or the other. False: it was left behind, or stays until the process ends.
static bool end_thread(nsp__sender *sender, uint64_t deadline_ns)
{
    bool done = wait_until_done(sender, deadline_ns);
    if (!done) {
        __atomic_store_n(sender->options.cancel, 1, __ATOMIC_SEQ_CST); // see is_held_back
        nsp__event_signal(&sender->work);
        done = wait_until_done(sender, nsp__after(deadline_ns, cancel_grace));
    }
    // A thread that is not blocked reaches its end in bounded time: check again every millisecond.
    while (!done) {
        if (leave_behind(sender))
            return false;
        done = wait_until_done(sender, nsp__after(nsp__monotonic_ns(), NSP__MILLISECOND));
    }
    if (sender->stays) {
        pthread_detach(sender->thread);
        return false;
    }
    pthread_join(sender->thread, NULL);
    return true;
}

nsp__sender_end nsp__sender_stop(nsp__sender *sender, uint64_t deadline_ns)
{
    __atomic_store_n(&sender->stop_deadline, deadline_ns, __ATOMIC_RELAXED);
    __atomic_store_n(&sender->stopping, 1, __ATOMIC_RELEASE);         // SP1: the deadline, to SP2
    __atomic_fetch_add(&sender->retry_requests, 1, __ATOMIC_RELEASE); // SH1: to SH2
    nsp__event_signal(&sender->work);

    // With a deadline long past, a running send gets its grace period from now on.
    bool joined = end_thread(sender, nsp__later(deadline_ns, nsp__monotonic_ns()));
    nsp__event_signal(&sender->progress);
    while (__atomic_load_n(&sender->waiters, __ATOMIC_ACQUIRE) != 0) // SQ2: acquires SQ1
        nanosleep(&(struct timespec){.tv_nsec = (long)NSP__MILLISECOND / 10}, NULL);

    end_living();
    const nsp__sender_end end = {
        .all_sent = !sender->gave_up,
        .in_callback = !joined && sender->logging,
        .given_up = sender->given_up_spans,
    };
    if (joined)
        destroy(sender);
    else
        keep(sender);
    return end;
}

void nsp__sender_orphan(nsp__sender *sender)
{
    pthread_mutex_lock(&living_lock);
    sender->orphan = true;
    pthread_mutex_unlock(&living_lock);
}

void nsp__sender_fork_child(void)
{
    pthread_mutex_init(&living_lock, NULL); // a thread of the parent may have held it
    living = NULL;
}

void nsp__sender_abandon(nsp__sender *sender)
{
    keep(sender);
}
