// SPDX-License-Identifier: Apache-2.0
#include "support/scripted.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "common/time.h"

enum { LINES = 512, LINE_BYTES = 256 };

scripted script;

static const int *cancel;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[LINES][LINE_BYTES];
static unsigned line_count;

uint64_t test_now_ns(void)
{
    return nsp__monotonic_ns();
}

void test_sleep_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    *state = &script;
    cancel = context->cancel;
    __atomic_fetch_add(&script.creates, 1, __ATOMIC_RELAXED);
    return script.created;
}

static void destroy(void *state)
{
    (void)state;
    __atomic_fetch_add(&script.destroys, 1, __ATOMIC_RELAXED);
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    if (script.items_max != 0 && view->items_bytes > script.items_max)
        return false;
    if (batch->capacity - batch->length < sizeof(tally_span))
        return false;
    tally_span span = {.start_ns = view->start_ns, .end_ns = view->end_ns};
    memcpy(span.trace_id, view->trace_id, sizeof span.trace_id);
    memcpy(&span.span_id, view->span_id, sizeof span.span_id);
    memcpy(&span.parent_id, view->parent_id, sizeof span.parent_id);
    span.parent_remote = view->parent_remote;
    memcpy(batch->data + batch->length, &span, sizeof span);
    batch->length += sizeof span;
    __atomic_fetch_add(&script.appended, 1, __ATOMIC_RELAXED);
    return true;
}

// Returns false if the stall outlasted the deadline or was cancelled.
static bool wait_out_stall(uint64_t deadline_ns)
{
    uint64_t delay_ns = __atomic_load_n(&script.delay_ns, __ATOMIC_RELAXED);
    uint64_t until = delay_ns != 0 ? test_now_ns() + delay_ns : 0;
    while (__atomic_load_n(&script.stalled, __ATOMIC_ACQUIRE) || (until != 0 && test_now_ns() < until)) {
        bool over = test_now_ns() >= deadline_ns || __atomic_load_n(cancel, __ATOMIC_ACQUIRE) != 0;
        if (over && !__atomic_load_n(&script.deaf, __ATOMIC_ACQUIRE))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return true;
}

static void note_sizes(const nsp_batch *batch)
{
    if (batch->spans > script.batch_spans_max)
        __atomic_store_n(&script.batch_spans_max, batch->spans, __ATOMIC_RELAXED);
    if (batch->length > script.batch_bytes_max)
        __atomic_store_n(&script.batch_bytes_max, batch->length, __ATOMIC_RELAXED);
}

static nsp_send_result take_batch(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                  nsp_send_report *report)
{
    (void)state;
    __atomic_fetch_add(&script.sends, 1, __ATOMIC_RELAXED);
    note_sizes(batch);
    if (!wait_out_stall(deadline_ns))
        return NSP_SEND_RETRY;
    scripted_verdict verdict = {NSP_SEND_EXPORTED, true, 0};
    if (script.answer != NULL)
        verdict = script.answer(script.context, batch);
    report->answered = verdict.result != NSP_SEND_UNKNOWN;
    report->bytes = batch->length - batch->head;
    report->rejected = verdict.rejected;
    if (verdict.result == NSP_SEND_RETRY || verdict.result == NSP_SEND_UNKNOWN)
        report->retry_after_ns = 1000000;
    uint64_t left_out = verdict.rejected;
    for (size_t at = batch->head; verdict.taken && at < batch->length; at += sizeof(tally_span)) {
        tally_span span;
        memcpy(&span, batch->data + at, sizeof span);
        // A shutdown that no longer waits soon lets the batch read as zeros.
        if (__atomic_load_n(cancel, __ATOMIC_ACQUIRE) != 0)
            return NSP_SEND_UNKNOWN;
        if (left_out != 0)
            left_out--;
        else
            tally_add(script.tally, &span);
    }
    return verdict.result;
}

const nsp_exporter scripted_exporter = {
    .size = sizeof(nsp_exporter),
    .name = "scripted",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = take_batch,
};

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    pthread_mutex_lock(&log_lock);
    if (line_count < LINES)
        snprintf(lines[line_count++], LINE_BYTES, "%s", line);
    pthread_mutex_unlock(&log_lock);
}

unsigned script_lines_with(const char *text)
{
    pthread_mutex_lock(&log_lock);
    unsigned found = 0;
    for (unsigned i = 0; i < line_count; i++)
        found += strstr(lines[i], text) != NULL;
    pthread_mutex_unlock(&log_lock);
    return found;
}

void script_reset(void)
{
    tally_free(script.tally);
    script = (scripted){.tally = tally_new()};
    pthread_mutex_lock(&log_lock);
    line_count = 0;
    pthread_mutex_unlock(&log_lock);
}

void script_config(nsp_config *config)
{
    nsp_config_init(config);
    config->service_name = "test";
    config->custom_exporter = &scripted_exporter;
    config->endpoint = config->exporter = NULL;
    config->log = keep_line;
    config->poll_min_ns = 200000;
    config->poll_max_ns = 2000000;
}

uint64_t stats_sum(const nsp_stats *stats)
{
    return stats->open + stats->dropped + stats->discarded + stats->in_rings + stats->in_batches +
           stats->unconfirmed + stats->rejected + stats->exported + stats->spooled;
}

void accounting_print(const nsp_stats *stats)
{
    print_message("attempted %" PRIu64 ", sum %" PRIu64 ": open %" PRIu64 ", dropped %" PRIu64
                  " (full %" PRIu64 ", deep %" PRIu64 ", detached %" PRIu64 ", signal %" PRIu64
                  ", no thread %" PRIu64 ", invalid %" PRIu64 "), discarded %" PRIu64 ", in rings %" PRIu64
                  ", in batches %" PRIu64 ", unconfirmed %" PRIu64 ", rejected %" PRIu64 ", exported %" PRIu64
                  "; refused %" PRIu64 ", unsampled %" PRIu64 ", leaked %" PRIu64 ", misused %" PRIu64 "\n",
                  stats->attempted, stats_sum(stats), stats->open, stats->dropped, stats->dropped_ring_full,
                  stats->dropped_too_deep, stats->dropped_detached_full, stats->dropped_in_signal,
                  stats->dropped_no_thread, stats->dropped_invalid, stats->discarded, stats->in_rings,
                  stats->in_batches, stats->unconfirmed, stats->rejected, stats->exported,
                  stats->roots_refused, stats->roots_unsampled, stats->leaked, stats->misused);
}

nsp_stats script_balance(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    if (stats.attempted != stats_sum(&stats)) {
        accounting_print(&stats);
        fail_msg("the accounting does not balance");
    }
    return stats;
}
