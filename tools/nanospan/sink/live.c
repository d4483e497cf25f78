// SPDX-License-Identifier: Apache-2.0
#include "live.h"

#include "common/time.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

// Of the memory, as much again may wait in the queue.
enum { QUEUE_SHARE = 4, LESS_URGENT = 10 };

static void free_entry(live_entry *entry)
{
    text_free(&entry->line);
    free(entry->repeated);
    free(entry);
}

void live_offer(sink_live *live, text *line, bool *repeated, uint64_t spans)
{
    live_entry *entry = need_memory(sizeof *entry);
    *entry = (live_entry){.line = *line, .repeated = repeated, .spans = spans};
    *line = (text){0};
    pthread_mutex_lock(&live->queue_lock);
    const bool room = live->queued_bytes + entry->line.length <= live->most_queued;
    if (room) {
        *(live->last != NULL ? &live->last->next : &live->first) = entry;
        live->last = entry;
        live->queued_bytes += entry->line.length;
        if (live->waiting)
            pthread_cond_signal(&live->arrival);
    } else {
        live->skipped_lines++;
        live->skipped_spans += spans;
    }
    pthread_mutex_unlock(&live->queue_lock);
    if (!room)
        free_entry(entry);
}

// Waits for a line until this instant. NULL: none has come, or the end has.
static live_entry *take_line(sink_live *live, uint64_t until_ns)
{
    const struct timespec until = nsp__timespec_of(until_ns);
    pthread_mutex_lock(&live->queue_lock);
    live->waiting = true;
    while (live->first == NULL && !live->ending &&
           pthread_cond_timedwait(&live->arrival, &live->queue_lock, &until) != ETIMEDOUT)
        ;
    live->waiting = false;
    live_entry *entry = live->ending ? NULL : live->first;
    if (entry != NULL) {
        live->first = entry->next;
        if (live->first == NULL)
            live->last = NULL;
        live->queued_bytes -= entry->line.length;
    }
    pthread_mutex_unlock(&live->queue_lock);
    return entry;
}

static void add_line(sink_live *live, const live_entry *entry, line_spans *spans, held_trace ***found,
                     size_t *capacity)
{
    // Reading changes the line, and the held one has to be as long as needed, so that one is a copy.
    text copy = {0};
    text_add(&copy, entry->line.data, entry->line.length);
    if (!line_spans_read(spans, entry->line.data, entry->line.length)) {
        // Whoever receives accepts JSON that is nested deeper than what is read here.
        pthread_mutex_lock(&live->queue_lock);
        live->skipped_lines++;
        live->skipped_spans += entry->spans;
        pthread_mutex_unlock(&live->queue_lock);
        text_free(&copy);
        return;
    }
    while (spans->count > *capacity)
        *found = need_room(*found, *capacity, capacity, sizeof **found);
    const bool *repeated = spans->count == entry->spans ? entry->repeated : NULL;
    const uint64_t second = nsp__monotonic_ns() / NSP__SECOND;
    pthread_mutex_lock(&live->lock);
    held_add(&live->held, copy.data, copy.length, spans, repeated, *found);
    for (size_t i = 0; i < spans->count; i++)
        if ((*found)[i] != NULL) {
            live_figures_add(&live->figures, (*found)[i], &spans->spans[i],
                             spans->scopes[spans->spans[i].scope].service, second);
            // One line can make many copies, so this does not wait for its end. The traces of `found` stay: the window
            // has spans of them.
            live_figures_fit(&live->figures);
        }
    live->read_spans += entry->spans;
    held_trim(&live->held);
    pthread_mutex_unlock(&live->lock);
    text_free(&copy);
}

static void take_sample(sink_live *live)
{
    const sink_totals totals = accounting_totals(live->accounting);
    const uint64_t now = nsp__monotonic_ns();
    pthread_mutex_lock(&live->lock);
    live->samples[live->sample_count++ % LIVE_SAMPLES] =
        (live_sample){.at_ns = now - live->started_ns, .totals = totals, .traces = live->figures.traces};
    pthread_mutex_unlock(&live->lock);
}

static void *run(void *context)
{
    sink_live *live = context;
    // Where processors are scarce, the threads that receive come first.
    setpriority(PRIO_PROCESS, (id_t)gettid(), getpriority(PRIO_PROCESS, 0) + LESS_URGENT);
    line_spans spans = {0};
    held_trace **found = NULL;
    size_t capacity = 0;
    uint64_t next = live->started_ns;
    for (;;) {
        if (nsp__monotonic_ns() >= next) {
            take_sample(live);
            next = nsp__monotonic_ns() + NSP__SECOND;
        }
        live_entry *entry = take_line(live, next);
        if (entry != NULL) {
            add_line(live, entry, &spans, &found, &capacity);
            free_entry(entry);
        } else if (__atomic_load_n(&live->ending, __ATOMIC_RELAXED)) {
            break;
        }
    }
    line_spans_free(&spans);
    free(found);
    return NULL;
}

sink_live *live_start(sink_accounting *accounting, uint64_t most_bytes)
{
    sink_live *live = need_zeroes(1, sizeof *live);
    live->accounting = accounting;
    live->started_ns = nsp__monotonic_ns();
    live->most_queued = most_bytes / QUEUE_SHARE;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&live->arrival, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&live->queue_lock, NULL);
    pthread_mutex_init(&live->lock, NULL);
    held_init(&live->held, most_bytes);
    live_figures_init(&live->figures, &live->held);
    const int wrong = pthread_create(&live->thread, NULL, run, live);
    if (wrong == 0)
        return live;
    complain("cannot start the thread of the live page: %s", strerror(wrong));
    live_figures_free(&live->figures);
    held_free(&live->held);
    free(live);
    return NULL;
}

bool live_trace_lines(sink_live *live, const uint64_t id[2], text *out, uint64_t *missing)
{
    pthread_mutex_lock(&live->lock);
    const held_trace *trace = held_find(&live->held, id);
    const bool found = trace != NULL && held_span_count(trace) > 0;
    if (found) {
        held_write(trace, out);
        *missing = trace->received - held_span_count(trace);
    }
    pthread_mutex_unlock(&live->lock);
    return found;
}

void live_stop(sink_live *live)
{
    pthread_mutex_lock(&live->queue_lock);
    __atomic_store_n(&live->ending, true, __ATOMIC_RELAXED);
    pthread_cond_signal(&live->arrival);
    pthread_mutex_unlock(&live->queue_lock);
    pthread_join(live->thread, NULL);
    while (live->first != NULL) {
        live_entry *entry = live->first;
        live->first = entry->next;
        free_entry(entry);
    }
    live_figures_free(&live->figures);
    held_free(&live->held);
    pthread_mutex_destroy(&live->lock);
    pthread_mutex_destroy(&live->queue_lock);
    pthread_cond_destroy(&live->arrival);
    free(live);
}
