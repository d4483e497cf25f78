// SPDX-License-Identifier: Apache-2.0
#include "drain/ring_window.h"

#include <string.h>

#include "common/time.h"
#include "drain/span_view.h"

// The record if it begins in the window and lies whole in it. What follows a record that crosses the ring's end
// begins at the ring's beginning, and not behind that record.
static const nsp__record *in_window(const nsp__ring_window *window, const nsp__ring_source *source,
                                    uint64_t at)
{
    const uint64_t left = window->to - at, lap = ~(source->ring_bytes - 1);
    if (at < window->from || at > window->to || left < sizeof(nsp__record) ||
        (at & lap) != (window->from & lap))
        return NULL;
    const nsp__record *record = (const nsp__record *)(const void *)(window->bytes + (at - window->from));
    return record->bytes <= left ? record : NULL;
}

// Copies a piece of at most `most` bytes that begins with the record at `at`, as far as it goes without a jump: to
// the end of the ring and the space behind it, which the last record may reach into. Returns that record.
static const nsp__record *refill(nsp__ring_window *window, const nsp__ring_source *source, uint64_t at,
                                 uint64_t end, uint64_t most)
{
    const uint64_t offset = at & (source->ring_bytes - 1);
    uint64_t bytes = source->ring_bytes - offset + source->record_bytes;
    bytes = nsp__earlier(nsp__earlier(bytes, end - at), most);
    memcpy(window->bytes, source->bytes + offset, bytes);
    window->from = at;
    window->to = at + bytes;
    return in_window(window, source, at);
}

const nsp__record *nsp__ring_window_record(nsp__ring_window *window, const nsp__ring_source *source,
                                           uint64_t at, uint64_t end)
{
    const nsp__record *record = in_window(window, source, at);
    if (record == NULL)
        record = refill(window, source, at, end, nsp__earlier(NSP__RING_PIECE, window->size));
    if (NSP__UNLIKELY(record == NULL)) // larger than a piece, or damaged
        record = refill(window, source, at, end, window->size);
    return record != NULL && nsp__record_valid(record, end - at, source->record_bytes) ? record : NULL;
}
