// SPDX-License-Identifier: Apache-2.0
#include "shm/path.h"
#include "trace/reuse.h"

#include <string.h>

enum {
    // The last items are left alone: they may include one that an interrupted setter has yet to write,
    // followed by those that the signal handler we are in has set itself.
    TAIL = 8,
    GIVEN_UP_AT_ONCE = 64
};

// ---- the items one after another ----

typedef struct walk {
    const nsp__writer *to;
    uint32_t at, next; // the item, and the one after it
    uint32_t attached; // attributes of an event or link that are still to come
    uint64_t tag;
    bool outer; // the item is the span's own, not an event's or link's
} walk;

static uint32_t type_of(uint64_t tag)
{
    return tag >> 48 & 0xff;
}

static uint32_t bytes_of(uint64_t tag)
{
    return NSP__ITEM_BYTES(tag >> 32 & 0xffff);
}

static uint64_t filler(const nsp__writer *to, uint32_t bytes)
{
    return nsp__writer_tag(to, 0, NSP__ITEM_FILLER, bytes - NSP__ITEM_HEADER);
}

static bool is_attribute(uint64_t tag)
{
    return type_of(tag) >= NSP_TYPE_STR && type_of(tag) <= NSP_TYPE_F64S;
}

// True for two items of which only the later one counts.
static bool same(uint64_t a, uint64_t b)
{
    if (type_of(a) == NSP_ITEM_STATUS_MESSAGE || type_of(b) == NSP_ITEM_STATUS_MESSAGE)
        return type_of(a) == type_of(b);
    return is_attribute(a) && is_attribute(b) && (nsp_name)a == (nsp_name)b;
}

static walk walk_of(const nsp__writer *to)
{
    return (walk){.to = to, .next = nsp__frame_items_at(to->frame)};
}

static bool step(walk *w)
{
    w->at = w->next;
    if (w->at + NSP__ITEM_HEADER > w->to->cursor)
        return false;
    w->tag = *nsp__writer_at(w->to, w->at);
    w->next = w->at + bytes_of(w->tag);
    w->outer = w->attached == 0;
    uint16_t count = 0;
    size_t offset = type_of(w->tag) == NSP_ITEM_LINK ? offsetof(nsp_item_link, attribute_count)
                                                     : offsetof(nsp_item_event, attribute_count);
    if (!w->outer)
        w->attached--;
    else if (type_of(w->tag) == NSP_ITEM_EVENT || type_of(w->tag) == NSP_ITEM_LINK) {
        memcpy(&count, (const char *)nsp__writer_at(w->to, w->at + NSP__ITEM_HEADER) + offset, sizeof count);
        w->attached = count;
    }
    return true;
}

// The number of items; UINT32_MAX unless all of them are well formed and end where the record ends.
static uint32_t count_items(const nsp__writer *to)
{
    uint32_t count = 0;
    walk w = walk_of(to);
    for (; step(&w); count++) {
        bool known = is_attribute(w.tag) ||
                     (w.outer && type_of(w.tag) >= NSP_ITEM_EVENT && type_of(w.tag) <= NSP__ITEM_FILLER);
        if (!known || w.next > to->cursor)
            return UINT32_MAX;
    }
    return w.at == to->cursor && w.attached == 0 ? count : UINT32_MAX;
}

// ---- what was replaced ----

static void give_up(const nsp__writer *to, uint32_t at)
{
    uint64_t *item = nsp__writer_at(to, at);
    __atomic_store_n(item, filler(to, bytes_of(*item)), __ATOMIC_RELAXED);
}

// Gives up the item before `end` that an item of this tag replaces. *first: where the search begins.
static void give_up_before(const nsp__writer *to, uint32_t end, uint64_t tag, uint32_t *first)
{
    walk w = walk_of(to);
    w.next = *first;
    bool leading = true;
    while (step(&w) && w.at < end) {
        leading = leading && type_of(w.tag) == NSP__ITEM_FILLER;
        if (leading)
            *first = w.next;
        if (w.outer && same(w.tag, tag)) {
            give_up(to, w.at);
            return;
        }
    }
}

bool nsp__reuse_look(nsp__writer *to, uint64_t tag, nsp__reuse *found)
{
    uint32_t count = count_items(to), distinct = 0, given_up = 0, number = 0,
             first = nsp__frame_items_at(to->frame);
    uint64_t seen[NSP_NAME_MAX / 64];
    bool message = false;
    *found = (nsp__reuse){false, 0};
    if (count == UINT32_MAX)
        return false;
    memset(seen, 0, sizeof seen);
    walk w = walk_of(to);
    for (; step(&w); number++) {
        if (!w.outer)
            continue;
        if (same(w.tag, tag))
            *found = (nsp__reuse){true, w.at};
        bool again;
        if (is_attribute(w.tag)) {
            uint32_t key = (nsp_name)w.tag & (NSP_NAME_MAX - 1);
            again = (seen[key / 64] >> (key % 64) & 1) != 0;
            seen[key / 64] |= UINT64_C(1) << (key % 64);
            distinct += !again;
        } else {
            again = message && type_of(w.tag) == NSP_ITEM_STATUS_MESSAGE;
            message = message || type_of(w.tag) == NSP_ITEM_STATUS_MESSAGE;
        }
        if (again && number + TAIL < count && given_up < GIVEN_UP_AT_ONCE) {
            give_up_before(to, w.at, w.tag, &first);
            given_up++;
        }
    }
    uint32_t limit = (uint32_t)to->frame->initial >> 16;
    to->attributes = distinct < limit ? limit - distinct : 0;
    return true;
}

// ---- the places ----

uint32_t nsp__reuse_room(const nsp__writer *to, uint32_t region)
{
    return bytes_of(*nsp__writer_at(to, region)) - NSP__ITEM_HEADER;
}

uint32_t nsp__reuse_region(nsp__writer *to, const nsp__reuse *found, size_t wanted, size_t end)
{
    uint32_t largest = found->own, last = 0; // last: the place just before, if it was given up
    size_t most = found->own != 0 ? nsp__reuse_room(to, found->own) : 0;
    walk w = walk_of(to);
    while (step(&w)) {
        bool given_up = w.outer && type_of(w.tag) == NSP__ITEM_FILLER;
        if (given_up && last != 0) // merges neighbours
            *nsp__writer_at(to, last) = filler(to, w.next - last);
        else
            last = given_up ? w.at : 0;
        if (last == 0)
            continue;
        if (nsp__reuse_room(to, last) >= wanted)
            return last;
        if (nsp__reuse_room(to, last) > most) {
            most = nsp__reuse_room(to, last);
            largest = last;
        }
    }
    return largest != 0 && (most >= wanted || most > end) ? largest : 0;
}

uint8_t *nsp__reuse_begin(nsp__writer *to, uint32_t region)
{
    give_up(to, region); // so that a reader after a crash skips it while it is being written
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    return (uint8_t *)nsp__writer_at(to, region + NSP__ITEM_HEADER);
}

void nsp__reuse_end(nsp__writer *to, uint32_t region, uint64_t tag)
{
    uint32_t used = bytes_of(tag), bytes = bytes_of(*nsp__writer_at(to, region));
    if (used < bytes)
        *nsp__writer_at(to, region + used) = filler(to, bytes - used);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    __atomic_store_n(nsp__writer_at(to, region), tag, __ATOMIC_RELAXED);
    walk w = walk_of(to);
    while (step(&w))
        if (w.outer && w.at != region && same(w.tag, tag))
            give_up(to, w.at);
}
