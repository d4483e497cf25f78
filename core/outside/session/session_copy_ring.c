// SPDX-License-Identifier: Apache-2.0
//
// Records of a ring. A window of the ring is copied at once, as far as it goes in one piece: from a position
// to the end of the ring, and the overflow behind it that its last record may reach into.
#include "outside/session/session_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drain/span_view.h"
#include "outside/session/session_files.h"
#include "shm/path.h"

enum { WINDOW = 256 * 1024 }; // more than the largest record

bool nsp__ring_copy_begin(nsp__ring_copy *ring, const nsp__session_copy *copy, uint32_t slot, uint64_t from,
                          uint64_t to)
{
    memset(ring, 0, sizeof *ring);
    errno = 0;
    if (slot >= copy->slot_count || copy->slots[slot].ring_bytes == 0)
        return false;
    const nsp__slot *its = &copy->slots[slot];
    return nsp__ring_copy_begin_at(ring, copy, its, copy->control->places[slot].offset + its->ring_offset,
                                   from, to);
}

bool nsp__ring_copy_begin_at(nsp__ring_copy *ring, const nsp__session_copy *copy, const nsp__slot *slot,
                             uint64_t file_at, uint64_t from, uint64_t to)
{
    memset(ring, 0, sizeof *ring);
    errno = 0;
    if (from > to || to - from > slot->ring_bytes)
        return false;
    ring->copy = copy;
    ring->slot = slot;
    ring->file_at = file_at;
    ring->at = ring->window_from = ring->window_to = from;
    ring->to = to;
    ring->window = aligned_alloc(64, WINDOW);
    return ring->window != NULL;
}

void nsp__ring_copy_end(nsp__ring_copy *ring)
{
    free(ring->window);
    ring->window = NULL;
}

// Copies a window that begins with the next record, as far as the file goes. RD2: after the positions were read (RD1).
static bool refill(nsp__ring_copy *ring)
{
    uint64_t offset = ring->at & (ring->slot->ring_bytes - 1);
    uint64_t bytes = ring->slot->ring_bytes - offset + ring->slot->record_bytes;
    const uint64_t from = ring->file_at + offset, size = ring->copy->threads_size;
    bytes = nsp__least(nsp__least(bytes, ring->to - ring->at), WINDOW);
    bytes = nsp__least(bytes, size > from ? size - from : 0);
    if (!nsp__read_at(ring->copy->threads_fd, ring->window, bytes, from))
        return false;
    ring->window_from = ring->at;
    ring->window_to = ring->at + bytes;
    return true;
}

// The next record if it begins, and lies whole, within the window; a record behind the ring's end begins at
// its beginning, which is another window.
static const nsp__record *in_window(const nsp__ring_copy *ring)
{
    const uint64_t mask = ring->slot->ring_bytes - 1, left = ring->window_to - ring->at;
    if (left < sizeof(nsp__record) || (ring->at & ~mask) != (ring->window_from & ~mask))
        return NULL;
    const nsp__record *record =
        (const nsp__record *)(const void *)(ring->window + (ring->at - ring->window_from));
    return record->bytes <= left ? record : NULL;
}

// Nothing tells where the items of a path begin whose body has an impossible size: it has none.
static bool items_whole(const nsp__record *record)
{
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    const uint8_t *end = (const uint8_t *)record + record->bytes;
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1) + body, end};
    if (nsp__record_is_path(record) && body == 0)
        return true;
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        ;
    return cursor.at == end;
}

const nsp__record *nsp__ring_copy_next(nsp__ring_copy *ring)
{
    if (ring->at == ring->to || ring->damaged)
        return NULL;
    const nsp__record *record = in_window(ring);
    if (record == NULL && refill(ring))
        record = in_window(ring);
    if (record == NULL || !nsp__record_valid(record, ring->to - ring->at, ring->slot->record_bytes) ||
        !items_whole(record)) {
        ring->damaged = true;
        return NULL;
    }
    ring->at += record->bytes;
    return record;
}
