// SPDX-License-Identifier: Apache-2.0
//
// A thread's buffer of speculative spans, and what its slot says of them.
#include "outside/session/session_copy.h"

#include "drain/history_copy.h"
#include "outside/session/session_files.h"
#include "outside/session/session_sections.h"

bool nsp__session_copy_speculation(const nsp__session_copy *copy, uint32_t slot, nsp__speculation *out)
{
    const nsp__section *section = &copy->sections[NSP__SECTION_SPECULATION];
    const nsp__slot_place *place = &copy->control->places[slot];
    return section->version != 0 && nsp__within(place->bytes, section->offset, sizeof *out) &&
           nsp__session_section_read(copy, NSP__SECTION_SPECULATION, copy->threads_fd, place->offset, out,
                                     sizeof *out, 1);
}

uint64_t nsp__session_copy_half_kept(const nsp__session_copy *copy, uint32_t slot)
{
    const nsp__slot *its = &copy->slots[slot];
    nsp__speculation speculation;
    if (its->ring_bytes == 0 || !nsp__session_copy_speculation(copy, slot, &speculation))
        return 0;
    const uint64_t position = speculation.keeping.position, spans = speculation.keeping.spans;
    const bool counted = its->counters.attempted >= speculation.keeping.attempted;
    return position > its->published && counted && spans <= its->counters.attempted ? spans : 0;
}

uint64_t nsp__session_copy_speculation_at(const nsp__session_copy *copy, uint32_t slot)
{
    return copy->control->places[slot].offset + copy->sections[NSP__SECTION_SPECULATION].offset;
}

// The buffer lies in the thread's part of the file, and its records are as large as the ring's.
static bool is_sane(const nsp__session_copy *copy, uint32_t slot, const nsp__slot *buffer)
{
    const uint64_t bytes = buffer->ring_bytes;
    const uint64_t place = copy->control->places[slot].bytes,
                   at = copy->sections[NSP__SECTION_SPECULATION].offset;
    return bytes != 0 && (bytes & (bytes - 1)) == 0 && bytes <= NSP__HISTORY_BYTES_MAX &&
           buffer->record_bytes == copy->slots[slot].record_bytes && buffer->ring_offset <= place &&
           nsp__within(place, at + buffer->ring_offset, bytes + buffer->record_bytes);
}

// True if the thread died after it had put its history into the ring, with an outlier, and before it noted that.
static bool history_is_in_ring(const nsp__slot *slot, const nsp__speculation *speculation)
{
    const uint64_t position = speculation->keeping.position;
    return (position & NSP__KEEPING_HISTORY) != 0 && position < slot->published;
}

bool nsp__session_copy_buffer(const nsp__session_copy *copy, uint32_t slot, nsp__buffer_copy *out)
{
    nsp__speculation *speculation = &out->speculation;
    if (nsp__session_copy_slot((void *)(uintptr_t)copy, slot) == NULL ||
        !nsp__session_copy_speculation(copy, slot, speculation) || speculation->slot.ring_bytes == 0)
        return false;
    nsp__slot *buffer = &speculation->slot;
    out->placed = is_sane(copy, slot, buffer);
    out->from = buffer->consumed;
    out->history_end = speculation->history_end;
    out->to = buffer->published;
    out->sane = out->placed && out->from <= out->to && out->history_end <= out->to &&
                out->to - out->from <= buffer->ring_bytes && speculation->history_kept <= out->history_end;
    if (out->sane && history_is_in_ring(&copy->slots[slot], speculation))
        out->from = out->history_end;
    else if (out->from < speculation->history_kept)
        out->from = speculation->history_kept;
    return true;
}

bool nsp__ring_copy_begin_buffer(nsp__ring_copy *ring, const nsp__session_copy *copy, uint32_t slot,
                                 const nsp__buffer_copy *buffer)
{
    const uint64_t at = nsp__session_copy_speculation_at(copy, slot) + buffer->speculation.slot.ring_offset;
    return nsp__ring_copy_begin_at(ring, copy, &buffer->speculation.slot, at, buffer->from, buffer->to);
}
