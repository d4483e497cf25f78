// SPDX-License-Identifier: Apache-2.0
#include "support/session_reader.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "context/threshold.h"
#include "drain/span_view.h"
#include "shm/control.h"
#include "shm/path.h"
#include "shm/slot.h"

enum { IDS_MAX = 65536 };

typedef struct image {
    uint8_t *bytes;
    size_t size;
} image;

typedef struct reading {
    image control, threads, detached;
    const nsp__control *head;
    uint64_t *finished, *open; // span ids
    session_reading *out;
} reading;

static bool read_file(const char *path, const char *name, image *out)
{
    char file[1024];
    struct stat status;
    snprintf(file, sizeof file, "%s/%s", path, name);
    int fd = open(file, O_RDONLY);
    if (fd < 0 || fstat(fd, &status) != 0)
        return false;
    out->size = (size_t)status.st_size;
    out->bytes = malloc(out->size + 1);
    bool whole = out->bytes != NULL && pread(fd, out->bytes, out->size, 0) == (ssize_t)out->size;
    close(fd);
    return whole;
}

static bool within(const image *file, uint64_t offset, uint64_t bytes)
{
    return offset <= file->size && bytes <= file->size - offset;
}

static bool trouble(reading *me, const char *what)
{
    me->out->trouble = what;
    return false;
}

// The slot with this index; NULL if it is unused, private, or not within the file.
static const nsp__slot *slot_at(const reading *me, uint32_t index)
{
    if (index >= NSP__THREADS_MAX)
        return NULL;
    const nsp__slot_place *place = &me->head->places[index];
    if (place->used == 0 || place->is_private != 0 || place->bytes < sizeof(nsp__slot) ||
        !within(&me->threads, place->offset, place->bytes))
        return NULL;
    return (const nsp__slot *)(const void *)(me->threads.bytes + place->offset);
}

static bool slot_sane(const nsp__slot *slot, const nsp__slot_place *place, uint32_t index)
{
    uint64_t ring = slot->ring_bytes, frames = (uint64_t)slot->frame_count * slot->frame_stride;
    return slot->index == index && ring != 0 && (ring & (ring - 1)) == 0 &&
           slot->ring_offset <= place->bytes &&
           ring + slot->record_bytes <= place->bytes - slot->ring_offset &&
           slot->frames_offset <= place->bytes && frames <= place->bytes - slot->frames_offset &&
           slot->consumed <= slot->published && slot->published - slot->consumed <= ring;
}

// The items of a path follow its body.
static bool items_whole(const nsp__record *record)
{
    const uint32_t body = nsp__record_body_bytes(record, record->bytes);
    if (nsp__record_is_path(record) && body == 0)
        return false;
    nsp_item_cursor cursor = {(const uint8_t *)(record + 1) + body, (const uint8_t *)record + record->bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item))
        ;
    return cursor.at == (const uint8_t *)record + record->bytes;
}

static bool read_ring(reading *me, const nsp__slot *slot)
{
    const uint8_t *ring = (const uint8_t *)slot + slot->ring_offset;
    for (uint64_t at = slot->consumed; at != slot->published;) {
        const nsp__record *record = (const nsp__record *)(const void *)(ring + (at & (slot->ring_bytes - 1)));
        if (!nsp__record_valid(record, slot->published - at, slot->record_bytes) || !items_whole(record) ||
            record->span_id == 0 || record->name == 0 || record->end < record->start)
            return trouble(me, "a published record is not whole");
        if (me->out->finished == IDS_MAX)
            return trouble(me, "too many records");
        me->finished[me->out->finished++] = record->span_id;
        at += record->bytes;
    }
    return true;
}

static bool read_frame(reading *me, const nsp__frame *frame)
{
    if ((frame->tag & NSP__RECORDING) == 0)
        return true;
    if (frame->record.threshold == NSP__THRESHOLD_CODE_SPECULATIVE)
        return true; // not attempted, unless its trace is kept
    const nsp__slot *slot = slot_at(me, frame->ring);
    if (frame->position != 0 && slot != NULL && frame->position <= slot->published) {
        me->out->committed++;
        return true;
    }
    if (frame->record.span_id == 0 || frame->record.name == 0 || frame->record.start == 0)
        return trouble(me, "an open span has no identity");
    if (me->out->open == IDS_MAX)
        return trouble(me, "too many open spans");
    me->open[me->out->open++] = frame->record.span_id;
    return true;
}

static bool read_all(reading *me)
{
    for (uint32_t i = 0; i < NSP__THREADS_MAX; i++) {
        const nsp__slot *slot = slot_at(me, i);
        if (slot == NULL)
            continue;
        if (!slot_sane(slot, &me->head->places[i], i))
            return trouble(me, "a thread slot is not sane");
        me->out->slots++;
        if (!read_ring(me, slot))
            return false;
        for (uint32_t depth = 0; depth < slot->frame_count; depth++)
            if (!read_frame(me,
                            (const nsp__frame *)(const void *)((const uint8_t *)slot + slot->frames_offset +
                                                               (uint64_t)depth * slot->frame_stride)))
                return false;
    }
    for (uint32_t i = 0; i < me->head->detached_count; i++) {
        uint64_t offset = (uint64_t)i * me->head->detached_stride;
        if (!within(&me->detached, offset, sizeof(nsp__frame)))
            return trouble(me, "the pool of detached spans is cut short");
        if (!read_frame(me, (const nsp__frame *)(const void *)(me->detached.bytes + offset)))
            return false;
    }
    for (size_t i = 0; i < me->out->open; i++)
        for (size_t j = 0; j < me->out->finished; j++)
            if (me->open[i] == me->finished[j])
                return trouble(me, "a span is both finished and open");
    return true;
}

bool session_read(const char *path, session_reading *out)
{
    reading me = {.out = out};
    memset(out, 0, sizeof *out);
    me.finished = calloc(IDS_MAX, sizeof *me.finished);
    me.open = calloc(IDS_MAX, sizeof *me.open);
    bool fine = me.finished != NULL && me.open != NULL && read_file(path, "control", &me.control) &&
                read_file(path, "threads", &me.threads) && read_file(path, "detached", &me.detached);
    me.head = (const nsp__control *)(const void *)me.control.bytes;
    if (!fine || me.control.size < sizeof *me.head)
        fine = trouble(&me, "a file of the session cannot be read");
    else if (me.head->magic != NSP__SESSION_MAGIC || me.head->version != NSP__SESSION_VERSION)
        fine = trouble(&me, "that is no session of this version");
    else
        fine = read_all(&me);
    free(me.control.bytes);
    free(me.threads.bytes);
    free(me.detached.bytes);
    free(me.finished);
    free(me.open);
    return fine;
}
