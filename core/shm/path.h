// SPDX-License-Identifier: Apache-2.0
//
// Records with a body (abi/path.h), as far as they can be read without their declaration. What is read may be
// anything: the results stay within the record.
#ifndef NSP_SHM_PATH_H
#define NSP_SHM_PATH_H

#include <nanospan/path.h>

static inline bool nsp__record_is_path(const nsp__record *record)
{
    return (record->kind & NSP__KIND_PATH) != 0;
}

// What the body begins with, and the readings behind it.
static inline const nsp__path_head *nsp__record_path(const nsp__record *record)
{
    return (const nsp__path_head *)(const void *)(record + 1);
}

static inline const uint64_t *nsp__path_readings(const nsp__path_head *head)
{
    return (const uint64_t *)(const void *)(head + 1);
}

// The bytes of the body of a record that has so many bytes.
static inline uint32_t nsp__record_body_bytes(const nsp__record *record, uint32_t record_bytes)
{
    if (!nsp__record_is_path(record) || record_bytes < sizeof *record + sizeof(nsp__path_head))
        return 0;
    const uint32_t bytes = nsp__record_path(record)->bytes & ~15u;
    return bytes <= record_bytes - (uint32_t)sizeof *record ? bytes : 0;
}

// The phase that is open, from 1; 0: none.
static inline uint32_t nsp__path_open(const nsp__path_head *head)
{
    const uint32_t open = head->open & ~NSP__PATH_BY_CALL;
    return open <= head->phases ? open : head->phases;
}

// The phases that happened, as the path has counted them: as many of its readings are not 0, unless the record is
// damaged.
static inline uint32_t nsp__path_phases(const nsp__path_head *head)
{
    const uint32_t open = nsp__path_open(head);
    return head->skipped <= open ? open - head->skipped : 0;
}

// The same for a record that has so many bytes, path or not.
static inline uint32_t nsp__record_phases(const nsp__record *record, uint32_t record_bytes)
{
    return nsp__record_body_bytes(record, record_bytes) != 0 ? nsp__path_phases(nsp__record_path(record)) : 0;
}

// The spans that a record in a ring stands for.
static inline uint32_t nsp__record_spans(const nsp__record *record)
{
    return NSP__LIKELY(!nsp__record_is_path(record)) ? 1 : 1 + nsp__record_phases(record, record->bytes);
}

// Where the items of the span in this frame begin.
static inline uint32_t nsp__frame_items_at(const nsp__frame *frame)
{
    return (uint32_t)sizeof(nsp__record) + nsp__record_body_bytes(&frame->record, nsp__frame_bytes(frame));
}

#endif
