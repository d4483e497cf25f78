// SPDX-License-Identifier: Apache-2.0
#include "drain/switches.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/perf_permission.h"
#include "shm/figures.h"

// ---- threads ----

nsp__switches *nsp__switches_new(const nsp__switch_names *names, uint32_t pid, const nsp_config *config)
{
    nsp__switches *switches = calloc(1, sizeof *switches);
    if (switches == NULL)
        return NULL;
    *switches = (nsp__switches){.names = *names,
                                .thread_count = config->threads,
                                .event_limit = config->event_count_limit,
                                .pid = pid,
                                .threads = calloc(config->threads, sizeof *switches->threads),
                                .latest = calloc(config->threads, sizeof *switches->latest),
                                .items = malloc(NSP__SWITCHES_ITEMS)};
    if (switches->threads != NULL && switches->latest != NULL && switches->items != NULL)
        return switches;
    nsp__switches_free(switches);
    return NULL;
}

void nsp__switches_free(nsp__switches *switches)
{
    if (switches == NULL)
        return;
    for (uint32_t i = 0; switches->threads != NULL && i < switches->thread_count; i++) {
        nsp__switch_ring_close(&switches->threads[i].ring);
        free(switches->threads[i].list);
    }
    free(switches->threads);
    free(switches->latest);
    free(switches->items);
    free(switches);
}

// What another process says of itself may be the number of any thread: of one that this process may watch, and of which
// that process should learn nothing.
static bool is_its_own(const nsp__switches *switches, uint32_t tid)
{
    char path[64];
    struct stat of;
    if (switches->pid == 0)
        return true;
    snprintf(path, sizeof path, "/proc/%u/task/%u", switches->pid, tid);
    return stat(path, &of) == 0;
}

static void open_ring(nsp__switches *switches, nsp__switches_thread *thread, uint32_t tid,
                      nsp__notices *notices)
{
    bool mapping = false;
    thread->tid = tid;
    thread->off = false;
    if (tid == 0 || switches->forbidden || !is_its_own(switches, tid))
        return;
    const int error = nsp__switch_ring_open(&thread->ring, tid, &mapping);
    if (error == 0 || error == ESRCH) // it has just ended
        return;
    notices->any = true;
    notices->switches.error = error;
    notices->switches.mapping = mapping;
    // Without memory or descriptors, others may have more luck.
    switches->forbidden = !mapping && error != EMFILE && error != ENFILE && error != ENOMEM && error != EBUSY;
}

static void add(nsp__switches *switches, uint32_t slot, nsp_ticks in)
{
    nsp__switches_thread *thread = &switches->threads[slot];
    if (thread->list == NULL)
        thread->list = malloc(NSP__SWITCHES_KEPT * sizeof *thread->list);
    if (thread->list == NULL) {
        thread->missed = in;
        return;
    }
    nsp__switch *place = &thread->list[thread->added % NSP__SWITCHES_KEPT];
    if (thread->added >= NSP__SWITCHES_KEPT)
        thread->missed = place->in;
    *place = (nsp__switch){.out = thread->out, .in = in, .preempted = thread->preempted};
    thread->added++;
    switches->latest[slot] = in;
}

// From CLOCK_MONOTONIC to ticks, near the clock's last reading.
typedef struct tick_line {
    uint64_t tick, monotonic;
    double ticks; // in a nanosecond
} tick_line;

static tick_line line_of(const nsp__clock *clock)
{
    if (clock->counter == 0 || clock->rate == 0)
        return (tick_line){.ticks = 1};
    return (tick_line){clock->last.tick, clock->last.monotonic,
                       ldexp(1, NSP__CLOCK_RATE_BITS) / (double)clock->rate};
}

static nsp_ticks tick_of(const tick_line *line, uint64_t monotonic)
{
    return line->tick == 0 ? monotonic
                           : line->tick + (uint64_t)(int64_t)((double)(int64_t)(monotonic - line->monotonic) *
                                                              line->ticks);
}

static void read_ring(nsp__switches *switches, uint32_t slot, const tick_line *line)
{
    nsp__switches_thread *thread = &switches->threads[slot];
    nsp__switch_record record;
    while (nsp__switch_ring_next(&thread->ring, &record)) {
        const nsp_ticks tick = tick_of(line, record.monotonic);
        switch (record.kind) {
        case NSP__SWITCH_LOST:
            switches->lost += record.lost;
            thread->off = false;
            thread->missed = record.monotonic != 0 ? tick : switches->latest[slot] + 1;
            break;
        case NSP__SWITCH_IN:
            if (thread->off && tick > thread->out)
                add(switches, slot, tick);
            switches->switches += thread->off;
            thread->off = false;
            break;
        default:
            thread->off = true;
            thread->preempted = record.kind == NSP__SWITCH_PREEMPTED;
            thread->out = tick;
        }
    }
    nsp__switch_ring_release(&thread->ring);
}

static uint32_t tid_of(const nsp__ring_source *source)
{
    return source->available ? __atomic_load_n(&source->slot->tid, __ATOMIC_RELAXED) : 0;
}

void nsp__switches_read(nsp__switches *switches, const nsp__ring_source *sources, uint32_t count,
                        const nsp__clock *clock, nsp__figures *figures, nsp__notices *notices)
{
    const tick_line line = line_of(clock);
    for (uint32_t slot = 0; slot < count && slot < switches->thread_count; slot++) {
        nsp__switches_thread *thread = &switches->threads[slot];
        const uint32_t tid = tid_of(&sources[slot]);
        read_ring(switches, slot, &line);
        if (NSP__LIKELY(tid == thread->tid))
            continue;
        nsp__switch_ring_close(&thread->ring);
        open_ring(switches, thread, tid, notices);
    }
    if (figures != NULL && (switches->switches | switches->lost) != 0) {
        nsp__figure_add(&figures->switches, switches->switches);
        nsp__figure_add(&figures->switches_lost, switches->lost);
        switches->switches = switches->lost = 0;
    }
}

bool nsp__switches_wait(const nsp__switches *switches, const nsp__ring_source *sources, uint32_t count)
{
    for (uint32_t slot = 0; slot < count && slot < switches->thread_count; slot++)
        if (tid_of(&sources[slot]) != switches->threads[slot].tid ||
            nsp__switch_ring_fills(&switches->threads[slot].ring))
            return true;
    return false;
}

// ---- spans ----

// What of it lies in the span, in nanoseconds of the span's own times.
static uint64_t length_in(const nsp__switch *one, const nsp__record *record, const nsp_span_view *view)
{
    const nsp_ticks from = one->out > record->start ? one->out : record->start;
    const nsp_ticks to = one->in < record->end ? one->in : record->end;
    return to > from ? nsp_span_view_ns(view, to) - nsp_span_view_ns(view, from) : 0;
}

typedef struct chosen {
    const nsp__switch *switches[NSP__SWITCHES_EVENTS];
    uint64_t ns[NSP__SWITCHES_EVENTS];
    uint32_t count, most;
    uint32_t left_out;
} chosen;

// Keeps the longest.
static void choose(chosen *events, const nsp__switch *one, uint64_t ns)
{
    uint32_t at = events->count;
    if (at == events->most) {
        events->left_out++;
        for (uint32_t i = at = 0; i < events->count; i++)
            at = events->ns[i] < events->ns[at] ? i : at;
        if (events->count == 0 || events->ns[at] >= ns)
            return;
    } else {
        events->count++;
    }
    events->switches[at] = one;
    events->ns[at] = ns;
}

// Hold by insertion: what is put off is the earlier one, since the list was read backwards.
static void sort_by_time(chosen *events)
{
    for (uint32_t i = 1; i < events->count; i++)
        for (uint32_t j = i; j > 0 && events->switches[j]->out < events->switches[j - 1]->out; j--) {
            const nsp__switch *one = events->switches[j];
            const uint64_t ns = events->ns[j];
            events->switches[j] = events->switches[j - 1];
            events->ns[j] = events->ns[j - 1];
            events->switches[j - 1] = one;
            events->ns[j - 1] = ns;
        }
}

static uint32_t events_of(const nsp_span_view *view)
{
    nsp_item_cursor cursor = {view->items, view->items + view->items_bytes};
    nsp_item item;
    uint32_t count = 0;
    while (nsp_item_next(&cursor, &item))
        count += item.type == NSP_ITEM_EVENT;
    return count;
}

typedef struct item_list {
    uint8_t *bytes;
    uint32_t used;
} item_list;

static void put(item_list *to, nsp_name key, uint32_t type, const void *payload, size_t length)
{
    const uint64_t tag = nsp__item_tag(key, type, 0, length);
    memset(to->bytes + to->used, 0, NSP__ITEM_BYTES(length));
    memcpy(to->bytes + to->used, &tag, sizeof tag);
    memcpy(to->bytes + to->used + sizeof tag, payload, length);
    to->used += NSP__ITEM_BYTES(length);
}

static void write_items(nsp__switches *switches, const nsp__record *record, nsp_span_view *view, uint64_t sum,
                        const chosen *events)
{
    const nsp__switch_names *names = &switches->names;
    item_list to = {switches->items, view->items_bytes};
    memcpy(to.bytes, view->items, view->items_bytes);
    put(&to, names->off_cpu, NSP_TYPE_I64, &sum, sizeof sum);
    for (uint32_t i = 0; i < events->count; i++) {
        const nsp__switch *one = events->switches[i];
        const nsp_item_event event = {.ticks = one->out > record->start ? one->out : record->start,
                                      .attribute_count = 1};
        put(&to, one->preempted ? names->preempted : names->waited, NSP_ITEM_EVENT, &event, sizeof event);
        put(&to, names->off_cpu, NSP_TYPE_I64, &events->ns[i], sizeof events->ns[i]);
    }
    const uint32_t dropped = view->dropped_events + events->left_out;
    view->dropped_events = (uint16_t)(dropped < UINT16_MAX ? dropped : UINT16_MAX);
    view->items = to.bytes;
    view->items_bytes = to.used;
}

bool nsp__switches_describe(nsp__switches *switches, uint32_t slot, const nsp__record *record,
                            nsp_span_view *view)
{
    nsp__switches_thread *thread = &switches->threads[slot];
    const bool root = record->local_root_id == record->span_id;
    const uint64_t oldest = thread->added > NSP__SWITCHES_KEPT ? thread->added - NSP__SWITCHES_KEPT : 0;
    const uint32_t present = events_of(view);
    chosen events = {.most = switches->event_limit > present ? switches->event_limit - present : 0};
    if (events.most > NSP__SWITCHES_EVENTS)
        events.most = NSP__SWITCHES_EVENTS;
    uint64_t sum = 0;
    for (uint64_t number = thread->added; number > oldest; number--) {
        const nsp__switch *one = &thread->list[(number - 1) % NSP__SWITCHES_KEPT];
        if (one->in <= record->start)
            break;
        const uint64_t ns = length_in(one, record, view);
        if (ns == 0)
            continue;
        sum += root || !one->taken ? ns : 0;
        if (!one->taken)
            choose(&events, one, ns);
    }
    switches->lost += record->start < thread->missed; // there may have been more
    if (sum == 0)
        return false;
    sort_by_time(&events);
    write_items(switches, record, view, sum, &events);
    switches->described.thread = thread;
    switches->described.start = record->start;
    switches->described.end = record->end;
    return true;
}

static void own(nsp__switches *switches, nsp__switch_owner owner)
{
    nsp__switches_thread *thread = switches->described.thread;
    const uint64_t oldest = thread->added > NSP__SWITCHES_KEPT ? thread->added - NSP__SWITCHES_KEPT : 0;
    for (uint64_t number = thread->added; number > oldest; number--) {
        nsp__switch *one = &thread->list[(number - 1) % NSP__SWITCHES_KEPT];
        if (one->in <= switches->described.start)
            break;
        if (one->out < switches->described.end && one->taken == NSP__SWITCH_FREE)
            one->taken = (uint8_t)owner;
    }
}

void nsp__switches_taken(nsp__switches *switches)
{
    own(switches, NSP__SWITCH_TAKEN);
}

void nsp__switches_hold(nsp__switches *switches)
{
    own(switches, NSP__SWITCH_HELD);
}

void nsp__switches_decide(nsp__switches *switches, bool taken)
{
    const nsp__switches_thread *thread = switches->described.thread;
    for (uint32_t i = 0; i < NSP__SWITCHES_KEPT && i < thread->added; i++)
        if (thread->list[i].taken == NSP__SWITCH_HELD)
            thread->list[i].taken = taken ? NSP__SWITCH_TAKEN : NSP__SWITCH_FREE;
}

// ---- what is said of it ----

void nsp__switches_explain(char *out, size_t size, int error, bool mapping)
{
    char paranoid[NSP__PERF_PARANOID], remedy[NSP__SWITCHES_WHY];
    if (mapping)
        snprintf(out, size,
                 "NSP_SWITCHES: no memory for the context switches of a thread (%s): raise "
                 "kernel.perf_event_mlock_kb or RLIMIT_MEMLOCK (ulimit -l), or give the program CAP_IPC_LOCK",
                 strerror(error));
    else if (error == EACCES || error == EPERM) {
        nsp__perf_paranoid(paranoid);
        nsp__perf_remedy(remedy, sizeof remedy, paranoid);
        snprintf(out, size, "NSP_SWITCHES: the kernel does not permit perf events: %s", remedy);
    } else if (error == ESRCH)
        snprintf(out, size,
                 "NSP_SWITCHES: the engine is not the process here that has its number, so its context "
                 "switches are not "
                 "recorded: whoever drains it has to run in the engine's PID namespace");
    else if (error == EMFILE || error == ENFILE || error == ENOMEM || error == EBUSY)
        snprintf(out, size, "NSP_SWITCHES: the context switches of a thread are not recorded: %s",
                 strerror(error));
    else
        snprintf(out, size, "NSP_SWITCHES: this kernel has no perf events of context switches: %s",
                 strerror(error));
}
