// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_slots.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/testpoint.h"
#include "outside/session/session_files.h"
#include "outside/session/session_sections.h"

enum { FRAMES_MAX = 1025 };

// True if these parts of a slot's place are within it, behind the slot, and do not overlap. head: bytes of the slot.
static bool parts_sane(uint64_t bytes, uint64_t head, uint64_t frames_at, uint64_t frames, uint64_t ring_at,
                       uint64_t ring)
{
    return nsp__within(bytes, frames_at, frames) && nsp__within(bytes, ring_at, ring) && frames_at >= head &&
           ring_at >= head && (frames_at + frames <= ring_at || ring_at + ring <= frames_at);
}

static bool slot_sane(const nsp__session_copy *copy, const nsp__slot *slot, const nsp__slot_place *place,
                      uint32_t index)
{
    uint64_t ring = slot->ring_bytes;
    return slot->index == index && ring != 0 && (ring & (ring - 1)) == 0 && ring <= place->bytes &&
           slot->record_bytes >= sizeof(nsp__record) && slot->record_bytes <= NSP__RECORD_MAX &&
           slot->frame_count <= FRAMES_MAX && slot->frame_stride <= NSP__STRIDE_MAX &&
           slot->frame_stride >= sizeof(nsp__frame) && nsp__within(INT64_MAX, place->offset, place->bytes) &&
           parts_sane(place->bytes, copy->sections[NSP__SECTION_SLOT].stride, slot->frames_offset,
                      (uint64_t)slot->frame_count * slot->frame_stride, slot->ring_offset,
                      ring + slot->record_bytes);
}

static bool positions_sane(const nsp__slot *slot)
{
    return slot->consumed <= slot->published && slot->published - slot->consumed <= slot->ring_bytes;
}

static bool between_positions(void)
{
    NSP__TESTPOINT("reader: between positions");
    return true;
}

// The thread may be drawing skips meanwhile, which changes two numbers, as stats.c says; then they are read again.
static bool read_skips(const nsp__session_copy *copy, nsp__slot *slot, uint64_t at)
{
    enum { TRIES = 8 };
    const uint64_t skipped_at =
        at + copy->sections[NSP__SECTION_SLOT_COUNTERS].offset + offsetof(nsp__slot_counters, roots_skipped);
    uint64_t *skipped = &slot->counters.roots_skipped, before;
    bool whole = true;
    int tries = 0;
    do {
        before = *skipped;
        whole = nsp__session_section_read(copy, NSP__SECTION_SKIPS, copy->threads_fd, at, slot->skips.left,
                                          sizeof(int64_t), NSP__CLASSES) &&
                nsp__read_at(copy->threads_fd, skipped, sizeof *skipped, skipped_at);
    } while (whole && *skipped != before && ++tries < TRIES);
    return whole;
}

static bool between_counters(void)
{
    NSP__TESTPOINT("reader: between counters");
    return true;
}

// The slot by its sections, each within its place. `published` is read again after `consumed`, because a
// drainer may have gone beyond the first one meanwhile.
static bool read_parts(const nsp__session_copy *copy, nsp__slot *slot, const nsp__slot_place *place)
{
    const nsp__section *sections = copy->sections;
    const uint64_t at = place->offset;
    const int fd = copy->threads_fd;
    return nsp__within(place->bytes, sections[NSP__SECTION_SLOT].offset, NSP__SLOT_HEAD) &&
           nsp__within(place->bytes, sections[NSP__SECTION_SLOT_COUNTERS].offset, sizeof slot->counters) &&
           nsp__within(place->bytes, sections[NSP__SECTION_SKIPS].offset, sizeof slot->skips.left) &&
           (sections[NSP__SECTION_SLOT_GENERATION].version == 0 ||
            nsp__within(place->bytes, sections[NSP__SECTION_SLOT_GENERATION].offset, sizeof(uint32_t))) &&
           (sections[NSP__SECTION_LATENCIES].version == 0 ||
            nsp__within(place->bytes, sections[NSP__SECTION_LATENCIES].offset, sizeof(nsp__latencies))) &&
           (sections[NSP__SECTION_SPECULATION].version == 0 ||
            nsp__within(place->bytes, sections[NSP__SECTION_SPECULATION].offset, sizeof(nsp__speculation))) &&
           nsp__session_section_read(copy, NSP__SECTION_SLOT, fd, at, slot, NSP__SLOT_HEAD, 1) &&
           nsp__session_section_read(copy, NSP__SECTION_SLOT_COUNTERS, fd, at, &slot->counters,
                                     sizeof slot->counters, 1) &&
           between_counters() && read_skips(copy, slot, at) && between_positions() &&
           nsp__read_at(fd, &slot->published, sizeof slot->published,
                        at + sections[NSP__SECTION_SLOT].offset + offsetof(nsp__slot, published));
}

// A thread that attaches makes the file longer; the size may have been taken before it came.
static bool within_threads(nsp__session_copy *copy, const nsp__slot_place *place)
{
    struct stat status;
    if (!nsp__within(copy->threads_size, place->offset, place->bytes) &&
        fstat(copy->threads_fd, &status) == 0)
        copy->threads_size = (uint64_t)status.st_size;
    return nsp__within(copy->threads_size, place->offset, place->bytes);
}

// While this reader waits for a processor between the two positions, a ring may be drained and filled again as
// often as you like, so that they are further apart than they ever were. They are then read once more.
enum { POSITION_TRIES = 100 };

// The slot itself, whether or not its frames and its ring are there.
static bool read_head(nsp__session_copy *copy, uint32_t index, const nsp__slot_place *place, nsp__slot *slot)
{
    bool sane = read_parts(copy, slot, place) && slot_sane(copy, slot, place, index);
    for (int tries = 0; sane && !positions_sane(slot) && copy->alive && tries < POSITION_TRIES; tries++)
        sane = read_parts(copy, slot, place) && slot_sane(copy, slot, place, index);
    sane = sane && positions_sane(slot);
    __atomic_thread_fence(__ATOMIC_ACQUIRE); // RD1: positions are read before what they cover, at RD2
    return sane;
}

bool nsp__session_slot_read(nsp__session_copy *copy, uint32_t index, const nsp__slot_place *place,
                            nsp__slot *slot)
{
    return within_threads(copy, place) && read_head(copy, index, place, slot);
}

static bool is_shared(const nsp__slot_place *place)
{
    return place->used != 0 && place->is_private == 0;
}

typedef struct slots_seen {
    uint32_t shared; // threads in shared memory
    uint32_t cut;    // those of them that the file no longer has to the end
    uint32_t insane; // the first whose place or slot is impossible; NSP__THREADS_MAX: none
} slots_seen;

static void read_slot(nsp__session_copy *copy, uint32_t index, slots_seen *seen)
{
    const nsp__slot_place *place = &copy->control->places[index];
    if (!is_shared(place))
        return;
    const bool whole = within_threads(copy, place);
    const bool cut = !whole && nsp__within(copy->control->threads_bytes, place->offset, place->bytes);
    const bool readable = read_head(copy, index, place, &copy->slots[index]);
    if (!readable) {
        copy->slots[index].ring_bytes = 0;
        copy->slots_lost++;
    }
    seen->shared++;
    seen->cut += cut;
    if (!cut && !(whole && readable) && seen->insane == NSP__THREADS_MAX)
        seen->insane = index;
}

static void note_damage(nsp__session_copy *copy, const slots_seen *seen)
{
    const uint32_t whole = seen->shared - seen->cut;
    if (copy->threads_fd < 0)
        nsp__session_copy_note_damage(copy, "its threads file is missing");
    else if (seen->cut != 0)
        nsp__session_copy_note_damage(copy, "its threads file is cut short: %u of %u threads %s whole", whole,
                                      seen->shared, whole == 1 ? "is" : "are");
    if (seen->insane != NSP__THREADS_MAX)
        nsp__session_copy_note_damage(copy, "the slot of thread %u is damaged", seen->insane);
}

static int by_offset(const void *left, const void *right)
{
    const nsp__slot_place *a = left, *b = right;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

// A part of the file that no place names. A thread that died while it attached leaves one, in which nothing was
// counted yet; otherwise the place of a thread was overwritten. Of several threads this finds the first.
static bool is_lost_slot(const nsp__session_copy *copy, uint64_t from, uint64_t to)
{
    nsp__slot_counters counters;
    return to > from &&
           nsp__session_section_read(copy, NSP__SECTION_SLOT_COUNTERS, copy->threads_fd, from, &counters,
                                     sizeof counters, 1) &&
           counters.attempted != 0;
}

// Two threads in one place would give every span twice, and one in no place none of its spans.
static bool places_right(nsp__session_copy *copy)
{
    nsp__slot_place *places = calloc(copy->slot_count + 1, sizeof *places);
    if (places == NULL)
        return nsp__session_copy_no_memory(copy);
    uint32_t count = 0;
    for (uint32_t i = 0; i < copy->slot_count; i++)
        if (copy->slots[i].ring_bytes != 0)
            places[count++] = copy->control->places[i];
    qsort(places, count, sizeof *places, by_offset);
    bool apart = true, lost = false;
    uint64_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        apart = apart && places[i].offset >= end;
        lost = lost || is_lost_slot(copy, end, places[i].offset);
        end = places[i].offset + places[i].bytes;
    }
    lost = lost || is_lost_slot(copy, end, copy->threads_size);
    free(places);
    if (!apart)
        return nsp__session_copy_damaged(copy, "two of its threads lie in the same place");
    // A running engine may have attached a thread since the places were read, and where a slot cannot be read, it
    // is this one.
    if (lost && !copy->alive && copy->slots_lost == 0) {
        copy->slots_lost = 1;
        nsp__session_copy_note_damage(copy,
                                      "its control file is damaged: the place of a thread is overwritten");
    }
    return true;
}

bool nsp__session_slots_read(nsp__session_copy *copy)
{
    copy->slots = nsp__session_copy_memory((copy->control->slot_count + 1) * sizeof *copy->slots);
    if (copy->slots == NULL)
        return nsp__session_copy_no_memory(copy);
    copy->slot_count = copy->control->slot_count;
    slots_seen seen = {.insane = NSP__THREADS_MAX};
    for (uint32_t i = 0; i < copy->slot_count; i++)
        read_slot(copy, i, &seen);
    note_damage(copy, &seen);
    return places_right(copy);
}

const nsp__slot *nsp__session_copy_slot(void *argument, uint32_t index)
{
    const nsp__session_copy *copy = argument;
    return index < copy->slot_count && copy->slots[index].ring_bytes != 0 ? &copy->slots[index] : NULL;
}

bool nsp__session_copy_slot_lost(const nsp__session_copy *copy, uint32_t index)
{
    return index < copy->slot_count && is_shared(&copy->control->places[index]) &&
           copy->slots[index].ring_bytes == 0;
}

uint64_t nsp__session_copy_slot_at(const nsp__session_copy *copy, uint32_t slot)
{
    return copy->control->places[slot].offset + copy->sections[NSP__SECTION_SLOT].offset;
}

uint64_t nsp__session_copy_slot_counters_at(const nsp__session_copy *copy, uint32_t slot)
{
    return copy->control->places[slot].offset + copy->sections[NSP__SECTION_SLOT_COUNTERS].offset;
}
