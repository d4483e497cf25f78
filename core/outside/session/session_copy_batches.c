// SPDX-License-Identifier: Apache-2.0
//
// Batches and their coverage.
#include "outside/session/session_copy.h"

#include "outside/session/session_files.h"

static uint64_t element_at(const nsp__session_copy *copy, nsp__section_kind kind, uint32_t index)
{
    return copy->sections[kind].offset + index * copy->sections[kind].stride;
}

uint64_t nsp__session_copy_batch_at(const nsp__session_copy *copy, uint32_t index)
{
    return element_at(copy, NSP__SECTION_BATCH_HEADER, index);
}

// The bytes of a batch lie in its part of the section, so that no two batches share any.
static bool header_sane(const nsp__session_copy *copy, const nsp__batch_header *header, uint32_t index)
{
    return header->state <= NSP__BATCH_SETTLING && header->head <= header->length &&
           header->length <= header->capacity &&
           header->capacity <= copy->sections[NSP__SECTION_BATCH_DATA].stride &&
           header->data_offset == element_at(copy, NSP__SECTION_BATCH_DATA, index);
}

bool nsp__session_copy_batch(const nsp__session_copy *copy, uint32_t index, nsp__batch_header *out)
{
    if (index >= copy->control->batch_count ||
        !nsp__read_at(copy->batches_fd, out, sizeof *out, nsp__session_copy_batch_at(copy, index)))
        return false;
    if (out->state == NSP__BATCH_EMPTY) { // the rest says nothing
        out->spans = 0;
        out->head = out->length = 0;
        return true;
    }
    return header_sane(copy, out, index);
}

uint64_t nsp__session_copy_batch_unsettled(const nsp__batch_header *header)
{
    uint32_t settled = header->settled;
    if (header->state == NSP__BATCH_SETTLING && settled < header->outcome.settled)
        settled = header->outcome.settled;
    return settled < header->spans ? header->spans - settled : 0;
}

uint64_t nsp__session_copy_batch_there(const nsp__session_copy *copy, const nsp__batch_header *header)
{
    const uint64_t size = copy->batches_size;
    return size > header->data_offset ? nsp__least(header->length, size - header->data_offset) : 0;
}

bool nsp__session_copy_batch_bytes(const nsp__session_copy *copy, const nsp__batch_header *header,
                                   uint8_t *to)
{
    return nsp__read_at(copy->batches_fd, to, header->length, header->data_offset);
}

bool nsp__session_copy_coverage(const nsp__session_copy *copy, uint32_t index, uint64_t *positions)
{
    return index < copy->control->batch_count &&
           nsp__read_at(copy->batches_fd, positions, copy->control->threads_max * sizeof *positions,
                        element_at(copy, NSP__SECTION_COVERAGE, index));
}
