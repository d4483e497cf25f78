// SPDX-License-Identifier: Apache-2.0
//
// Frames of open spans, on the stacks of threads and in the pool of detached spans.
#include "outside/session/session_copy.h"

#include "outside/session/session_files.h"
#include "shm/path.h"

uint64_t nsp__session_copy_frame_at(const nsp__session_copy *copy, uint32_t slot, uint32_t depth)
{
    const nsp__slot *at = &copy->slots[slot];
    return copy->control->places[slot].offset + at->frames_offset + (uint64_t)depth * at->frame_stride;
}

uint64_t nsp__session_copy_detached_at(const nsp__session_copy *copy, uint32_t index)
{
    const nsp__section *section = &copy->sections[NSP__SECTION_DETACHED];
    return section->offset + index * section->stride;
}

_Static_assert(sizeof(nsp__frame) == offsetof(nsp__frame, record) + sizeof(nsp__record),
               "the items follow the fixed part");

static bool frame_read(int fd, uint64_t at, size_t stride, nsp__frame *out, size_t size)
{
    size = size < stride ? size : stride;
    if (size < sizeof *out || !nsp__read_at(fd, out, sizeof *out, at))
        return false;
    if ((out->tag & NSP__RECORDING) == 0 || size == sizeof *out)
        return true;
    uint32_t bytes = nsp__frame_bytes(out);
    if (bytes < sizeof out->record || bytes % 8 != 0 || bytes > size - offsetof(nsp__frame, record))
        return false;
    out->record.bytes = bytes;
    return nsp__read_at(fd, out + 1, bytes - sizeof out->record, at + sizeof *out);
}

bool nsp__session_copy_frame(const nsp__session_copy *copy, uint32_t slot, uint32_t depth, nsp__frame *out,
                             size_t size)
{
    if (slot >= copy->slot_count || copy->slots[slot].ring_bytes == 0 ||
        depth >= copy->slots[slot].frame_count)
        return false;
    return frame_read(copy->threads_fd, nsp__session_copy_frame_at(copy, slot, depth),
                      copy->slots[slot].frame_stride, out, size);
}

uint32_t nsp__session_copy_counted_phases(const nsp__session_copy *copy, const nsp__frame *frame, int fd,
                                          uint64_t at)
{
    const nsp__slot *slot = nsp__session_copy_slot((void *)(uintptr_t)copy, frame->ring);
    nsp__path_head head;
    if (copy->alive || !nsp__record_is_path(&frame->record) || frame->record.end == 0 || slot == NULL ||
        slot->counters.attempted < frame->record.end ||
        !nsp__read_at(fd, &head, sizeof head, at + sizeof *frame))
        return 0;
    return nsp__path_phases(&head);
}

uint32_t nsp__session_copy_detached_count(const nsp__session_copy *copy)
{
    uint32_t count = copy->control->detached_count, left = copy->control->detached_left;
    return count - (left <= count ? left : 0); // more: none is left
}

bool nsp__session_copy_detached(const nsp__session_copy *copy, uint32_t index, nsp__frame *out, size_t size)
{
    if (index >= nsp__session_copy_detached_count(copy))
        return false;
    return frame_read(copy->detached_fd, nsp__session_copy_detached_at(copy, index),
                      copy->sections[NSP__SECTION_DETACHED].stride, out, size);
}
