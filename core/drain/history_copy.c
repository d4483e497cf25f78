// SPDX-License-Identifier: Apache-2.0
#include "drain/history_copy.h"

#include <stdlib.h>
#include <string.h>

#include "base/testpoint.h"
#include "common/time.h"
#include "drain/span_view.h"
#include "shm/path.h"

// ---- memory of this process ----

static bool positions_in_memory(const void *argument, nsp__history_positions *out)
{
    const nsp__speculation *speculation = ((const nsp__history_memory *)argument)->speculation;
    out->end = __atomic_load_n(&speculation->history_end, __ATOMIC_ACQUIRE);        // H2: acquires H2
    out->consumed = __atomic_load_n(&speculation->slot.consumed, __ATOMIC_ACQUIRE); // H1: acquires H1
    out->kept = __atomic_load_n(&speculation->history_kept, __ATOMIC_ACQUIRE);      // H2
    return true;
}

// The thread may be writing what is read here. It is looked at only if it turns out that it was not, which
// ThreadSanitizer cannot know.
__attribute__((noinline, no_sanitize("thread"))) static bool copy_in_memory(const void *argument, uint8_t *to,
                                                                            uint64_t offset, uint64_t bytes)
{
    const uint64_t *from =
        (const uint64_t *)(const void *)(((const nsp__history_memory *)argument)->bytes + offset);
    uint64_t *words = (uint64_t *)(void *)to;
    for (uint64_t i = 0; i < bytes / sizeof *words; i++)
        words[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    return true;
}

nsp__history_source nsp__history_of_memory(const nsp__history_memory *memory, uint64_t bytes,
                                           uint32_t record_bytes)
{
    return (nsp__history_source){.bytes = bytes,
                                 .record_bytes = record_bytes,
                                 .positions = positions_in_memory,
                                 .copy = copy_in_memory,
                                 .argument = memory};
}

// ---- reading ----

static bool make_room(nsp__history *history, const nsp__history_source *source)
{
    const uint64_t size = source->bytes + source->record_bytes;
    history->mask = source->bytes - 1;
    history->record_bytes = source->record_bytes;
    if (history->size >= size)
        return true;
    free(history->bytes);
    history->bytes = aligned_alloc(64, (size + 63) & ~(uint64_t)63);
    history->size = history->bytes != NULL ? size : 0;
    return history->bytes != NULL;
}

static bool are_sane(const nsp__history_positions *p, const nsp__history_source *source)
{
    const bool aligned = (p->consumed | p->kept | p->end) % sizeof(uint64_t) == 0;
    return aligned && p->consumed <= p->end && p->kept <= p->end && p->end - p->consumed <= source->bytes;
}

// If this thread waits for a processor between the loads, the buffer's thread may have filled it again meanwhile, and
// `consumed` is beyond the end that was loaded before.
static bool load_positions(const nsp__history_source *source, nsp__history_positions *out)
{
    enum { TRIES = 100 };
    for (int i = 0; i < TRIES; i++) {
        if (!source->positions(source->argument, out))
            return false;
        if (are_sane(out, source))
            return true;
    }
    return false;
}

// In one piece to the end of the buffer and the space behind it, which its last record may reach into; the rest lies at
// its beginning.
static bool copy_between(nsp__history *history, const nsp__history_source *source, uint64_t from, uint64_t to)
{
    const uint64_t offset = from & history->mask;
    const uint64_t first = nsp__earlier(to - from, source->bytes + source->record_bytes - offset);
    const uint64_t whole_lap = source->bytes - offset;
    return source->copy(source->argument, history->bytes + offset, offset, first) &&
           (to - from <= whole_lap || source->copy(source->argument, history->bytes, 0, to & history->mask));
}

static const nsp__record *valid_at(const nsp__history *history, uint64_t at, uint64_t end)
{
    const nsp__record *record = nsp__history_record(history, at);
    return nsp__record_valid(record, end - at, history->record_bytes) ? record : NULL;
}

// How many spans lay there. Those that were overwritten already say nothing of their size any more; they are taken to
// be as large as the others.
static uint64_t count_overtaken(const nsp__history *history, uint64_t from, uint64_t to)
{
    uint64_t at = from, count = 0;
    for (const nsp__record *record; at < to && (record = valid_at(history, at, to)) != NULL;) {
        count += nsp__record_spans(record);
        at += record->bytes;
    }
    if (at == to)
        return count;
    const uint64_t mean = count != 0 ? (at - from) / count : sizeof(nsp__record);
    return count + (to - at + mean - 1) / mean;
}

bool nsp__history_read(nsp__history *history, const nsp__history_source *source, uint64_t from)
{
    nsp__history_positions before, after;
    history->at = history->end = from;
    history->damaged = false;
    if (!make_room(history, source) || !load_positions(source, &before))
        return false;
    uint64_t begin = nsp__later(nsp__later(before.consumed, before.kept), from);
    history->at = history->end = nsp__later(before.end, from);
    if (begin >= before.end)
        return true;
    if (!copy_between(history, source, begin, before.end))
        return false;
    NSP__TESTPOINT("snapshot: history copied");
    // Whoever has read a byte of what was written over it, sees here at least the position that was stored before that.
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // H1
    if (!source->positions(source->argument, &after) || after.consumed < before.consumed)
        return false;
    const uint64_t overtaken = nsp__earlier(after.consumed, before.end);
    if (overtaken > begin) {
        history->overtaken += count_overtaken(history, begin, overtaken);
        begin = overtaken;
    }
    history->at = nsp__earlier(nsp__later(begin, after.kept), before.end);
    return true;
}

void nsp__history_free(nsp__history *history)
{
    free(history->bytes);
    *history = (nsp__history){0};
}

bool nsp__history_next(nsp__history *history, nsp__history_trace *trace)
{
    *trace = (nsp__history_trace){.from = history->at};
    for (uint64_t at = history->at; at < history->end;) {
        const nsp__record *record = valid_at(history, at, history->end);
        if (record == NULL)
            break;
        at += record->bytes;
        trace->spans += nsp__record_spans(record);
        if (record->span_id != record->local_root_id)
            continue;
        trace->root = record;
        trace->to = history->at = at;
        return true;
    }
    history->damaged = history->at != history->end;
    history->at = history->end;
    return false;
}

void nsp__history_mark_root(nsp__record *room, const nsp__record *root, nsp_name key, const char *why)
{
    const size_t length = strlen(why);
    uint64_t item[2] = {nsp__item_tag(key, NSP_TYPE_STR, 0, length), 0};
    memcpy(&item[1], why, length);
    memcpy(room, root, root->bytes);
    memcpy((uint8_t *)room + root->bytes, item, sizeof item);
    room->bytes += sizeof item;
}
