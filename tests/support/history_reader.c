// SPDX-License-Identifier: Apache-2.0
#include "support/history_reader.h"

#include <string.h>

history_state history_reader;

// In words: under the thread sanitizer, what the thread writes meanwhile would be a race.
__attribute__((no_sanitize("thread"))) static void copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes / 8; i++) {
        uint64_t word;
        memcpy(&word, from + 8 * i, 8);
        memcpy(to + 8 * i, &word, 8);
    }
}

// Copies these positions. The first record may lie anywhere; the copy has the form of the buffer.
__attribute__((no_sanitize("thread"))) static void copy_positions(const nsp__speculation *its, uint64_t from,
                                                                  uint64_t to)
{
    const uint8_t *buffer = (const uint8_t *)&its->slot + its->slot.ring_offset;
    const uint64_t mask = its->slot.ring_bytes - 1;
    for (uint64_t at = from; at < to; at += 8)
        copy(history_reader.bytes + (at & mask), buffer + (at & mask), 8);
    // What lies behind the end of the buffer belongs to the last record before it.
    copy(history_reader.bytes + its->slot.ring_bytes, buffer + its->slot.ring_bytes, HISTORY_RECORD_MAX);
}

// True if what was copied is whole traces: counted, numbered, filled.
static bool whole(uint64_t from, uint64_t end, uint64_t mask)
{
    uint64_t children = 0;
    while (from < end) {
        const nsp__record *record = (const nsp__record *)(const void *)(history_reader.bytes + (from & mask));
        const uint64_t *item = (const uint64_t *)(const void *)(record + 1);
        if (record->bytes < sizeof *record + 32 || record->bytes > HISTORY_RECORD_MAX ||
            record->bytes % 8 != 0 || record->bytes > end - from)
            return false;
        const bool root = record->span_id == record->local_root_id;
        const uint64_t number = item[1], part = item[3];
        const uint64_t length = (number * 7 + part * 13) % 64;
        const bool filled = length > 8;
        if (part != children || (root && part != number % 5) ||
            (filled && memcmp(&item[5], history_filling + number % 8, length) != 0))
            return false;
        children = root ? 0 : children + 1;
        from += record->bytes;
        history_reader.whole += root;
    }
    return children == 0 && from == end;
}

void history_read_first(const nsp__speculation *its)
{
    history_reader.end = __atomic_load_n(&its->history_end, __ATOMIC_ACQUIRE);    // H2
    history_reader.from = __atomic_load_n(&its->slot.consumed, __ATOMIC_ACQUIRE); // H1
    if (history_reader.from > history_reader.end) // it has passed the end that was loaded before
        history_reader.from = history_reader.end;
    history_reader.middle = history_reader.from + (history_reader.end - history_reader.from) / 16 * 8;
    copy_positions(its, history_reader.from, history_reader.middle);
    history_reader.reading = true;
}

void history_read_second(const nsp__speculation *its)
{
    copy_positions(its, history_reader.middle, history_reader.end);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    const uint64_t now = __atomic_load_n(&its->slot.consumed, __ATOMIC_RELAXED); // H1
    history_reader.reading = false;
    history_reader.looks++;
    history_reader.overtaken += now > history_reader.from;
    if (now < history_reader.end)
        history_reader.wrong += !whole(now > history_reader.from ? now : history_reader.from,
                                       history_reader.end, its->slot.ring_bytes - 1);
}
