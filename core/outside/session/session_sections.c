// SPDX-License-Identifier: Apache-2.0
#include "outside/session/session_sections.h"

#include "outside/session/session_files.h"
#include "outside/session/session_slots.h"
#include "shm/batches.h"

enum { BATCH_MAX = 256 * 1024 * 1024 };

// The sections that this version reads. size: of an element. count: the least number of elements.
static const struct {
    nsp__section_kind kind;
    bool in_control;
    size_t size;
    uint64_t count;
} known[] = {
    {NSP__SECTION_ENGINE, true,
     offsetof(nsp__control, policy_generation) - offsetof(nsp__control, threads_max), 1},
    {NSP__SECTION_POLICY_GENERATION, true, sizeof(uint32_t), 1},
    {NSP__SECTION_POLICY, true, sizeof(nsp__policy), 2},
    {NSP__SECTION_COUNTERS, true, sizeof(nsp__counters), 1},
    {NSP__SECTION_CLOCK, true, sizeof(nsp__clock), 1},
    {NSP__SECTION_PLACES, true, sizeof(nsp__slot_place), 1},
    {NSP__SECTION_NAMES, true, sizeof(nsp__shared_name), 1},
    {NSP__SECTION_NAME_TEXT, true, 1, 1},
    {NSP__SECTION_RESOURCE, true, 1, 1},
    {NSP__SECTION_SLOT, false, NSP__SLOT_HEAD, 1},
    {NSP__SECTION_SLOT_COUNTERS, false, sizeof(nsp__slot_counters), 1},
    {NSP__SECTION_SKIPS, false, sizeof(int64_t), NSP__CLASSES},
    {NSP__SECTION_FRAME, false, sizeof(nsp__frame), 1},
    {NSP__SECTION_DETACHED, false, sizeof(nsp__frame), 0},
    {NSP__SECTION_RECORD, false, sizeof(nsp__record), 1},
    {NSP__SECTION_BATCH_HEADER, false, sizeof(nsp__batch_header), 0},
    {NSP__SECTION_COVERAGE, false, sizeof(uint64_t), 0},
    {NSP__SECTION_BATCH_DATA, false, 1, 0},
    {NSP__SECTION_DRAINER, true, sizeof(nsp__drainer), 1},
    {NSP__SECTION_TUNING, true, sizeof(nsp__tuning), 2},
    {NSP__SECTION_SLOT_GENERATION, false, sizeof(uint32_t), 1},
    {NSP__SECTION_FIGURES, true, sizeof(nsp__figures), 1},
    {NSP__SECTION_OUTLIERS, true, sizeof(nsp__outliers), 2},
    {NSP__SECTION_OUTLIER_BOUNDS, true, sizeof(nsp__outlier_bounds), 1},
    {NSP__SECTION_SPECULATION, false, sizeof(nsp__speculation), 1},
    {NSP__SECTION_LATENCIES, false, sizeof(nsp__latencies), 1},
    {NSP__SECTION_SNAPSHOTS, true, sizeof(nsp__snapshots), 1},
    {NSP__SECTION_PATHS, true, sizeof(nsp__paths), 1},
};

#define COUNT_OF(kind, number, version, name) +1
_Static_assert(sizeof known / sizeof known[0] == 0 NSP__SECTIONS(COUNT_OF), "every section is read");
#undef COUNT_OF

// Refuses a section that is not known here, unless it is optional; notes the others.
static bool note(nsp__session_copy *copy, const nsp__section *section)
{
    uint32_t kind = section->kind & ~NSP__SECTION_OPTIONAL, version = nsp__section_version(kind);
    if (version != 0 && version == section->version && kind < NSP__SECTION_KINDS) {
        copy->sections[kind] = *section;
        return true;
    }
    if ((section->kind & NSP__SECTION_OPTIONAL) != 0)
        return true;
    if (version == 0)
        return nsp__session_copy_fail(
            copy, NSP__SESSION_OTHER_VERSION,
            "it belongs to another version of nanospan (section %u is not known here)", kind);
    return nsp__session_copy_fail(
        copy, NSP__SESSION_OTHER_VERSION,
        "it belongs to another version of nanospan (section %s has version %u, not %u)",
        nsp__section_name(kind), section->version, version);
}

bool nsp__elements_within(uint64_t size, uint64_t offset, uint64_t stride, uint64_t element, uint64_t count)
{
    uint64_t bytes;
    return count == 0 ||
           (!__builtin_mul_overflow(stride, count - 1, &bytes) &&
            !__builtin_add_overflow(bytes, element, &bytes) && nsp__within(size, offset, bytes));
}

// True for what sessions of earlier releases do not have.
static bool may_be_missing(nsp__section_kind kind)
{
    return kind == NSP__SECTION_DRAINER || kind == NSP__SECTION_TUNING ||
           kind == NSP__SECTION_SLOT_GENERATION || kind == NSP__SECTION_FIGURES ||
           kind == NSP__SECTION_OUTLIERS || kind == NSP__SECTION_OUTLIER_BOUNDS ||
           kind == NSP__SECTION_SPECULATION || kind == NSP__SECTION_LATENCIES ||
           kind == NSP__SECTION_SNAPSHOTS || kind == NSP__SECTION_PATHS;
}

// Checks that everything is there that this version reads.
static bool check(nsp__session_copy *copy)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const nsp__section *section = &copy->sections[known[i].kind];
        const char *name = nsp__section_name(known[i].kind);
        if (section->version == 0 && may_be_missing(known[i].kind))
            continue;
        if (section->version == 0)
            return nsp__session_copy_fail(copy, NSP__SESSION_OTHER_VERSION,
                                          "it belongs to another version of nanospan (it has no section %s)",
                                          name);
        if (section->count < known[i].count || section->stride < known[i].size ||
            (known[i].in_control && !nsp__elements_within(copy->control_size, section->offset,
                                                          section->stride, known[i].size, section->count)))
            return nsp__session_copy_fail(copy, NSP__SESSION_DAMAGED,
                                          "its control file is damaged: the section %s is not within it",
                                          name);
    }
    return true;
}

// The sections of one file that lie apart from each other have the same number; 0: it says only what form
// something has.
static int place_of(size_t i)
{
    switch (known[i].kind) {
    case NSP__SECTION_SLOT:
    case NSP__SECTION_SLOT_COUNTERS:
    case NSP__SECTION_SKIPS:
    case NSP__SECTION_LATENCIES:
    case NSP__SECTION_SPECULATION:
    case NSP__SECTION_SLOT_GENERATION: return 2; // in each slot
    case NSP__SECTION_BATCH_HEADER:
    case NSP__SECTION_COVERAGE:
    case NSP__SECTION_BATCH_DATA: return 3;
    default: return known[i].in_control ? 1 : 0;
    }
}

// Behind the last element of a section. Of a slot, which contains its counters and skips, only what comes before
// them counts.
static uint64_t end_of(const nsp__session_copy *copy, size_t i)
{
    const nsp__section *section = &copy->sections[known[i].kind];
    const bool is_slot = known[i].kind == NSP__SECTION_SLOT;
    const uint64_t element = is_slot ? offsetof(nsp__slot, counters) : known[i].size;
    uint64_t end;
    if (section->count == 0)
        return section->offset;
    if (__builtin_mul_overflow(section->stride, is_slot ? 0 : section->count - 1, &end) ||
        __builtin_add_overflow(end, element, &end) || __builtin_add_overflow(end, section->offset, &end))
        return UINT64_MAX;
    return end;
}

// Whoever writes into a section must not change another one by that.
static bool check_apart(nsp__session_copy *copy)
{
    const size_t count = sizeof known / sizeof known[0];
    for (size_t i = 0; i < count; i++)
        for (size_t k = i + 1; k < count; k++)
            if (place_of(i) != 0 && place_of(i) == place_of(k) &&
                copy->sections[known[i].kind].offset < end_of(copy, k) &&
                copy->sections[known[k].kind].offset < end_of(copy, i))
                return nsp__session_copy_fail(
                    copy, NSP__SESSION_DAMAGED, "its control file is damaged: the sections %s and %s overlap",
                    nsp__section_name(known[i].kind), nsp__section_name(known[k].kind));
    return true;
}

bool nsp__session_sections_read(nsp__session_copy *copy)
{
    nsp__control *control = copy->control;
    const size_t table = offsetof(nsp__control, sections);
    // Version 1 had no table, but the same head.
    if (!nsp__read_at(copy->control_fd, control, offsetof(nsp__control, section_count), 0))
        return nsp__session_copy_damaged(copy, "its control file is cut short");
    if (control->magic == 0)
        return nsp__session_copy_without_beginning(copy);
    if (control->magic != NSP__SESSION_MAGIC)
        return nsp__session_copy_damaged(copy, "its control file was not written by nanospan");
    if (control->version != NSP__SESSION_VERSION)
        return nsp__session_copy_fail(copy, NSP__SESSION_OTHER_VERSION,
                                      "it belongs to another version of nanospan (layout %u, not %d)",
                                      control->version, NSP__SESSION_VERSION);
    if (control->control_bytes > copy->control_size ||
        !nsp__read_at(copy->control_fd, &control->section_count,
                      table - offsetof(nsp__control, section_count), offsetof(nsp__control, section_count)))
        return nsp__session_copy_damaged(copy, "its control file is cut short");
    if (control->section_count > NSP__SECTIONS_MAX)
        return nsp__session_copy_damaged(copy, "its control file is damaged: it has too many sections");
    if (!nsp__read_at(copy->control_fd, control->sections, control->section_count * sizeof(nsp__section),
                      table))
        return nsp__session_copy_damaged(copy, "its control file is cut short");
    for (uint32_t i = 0; i < control->section_count; i++)
        if (!note(copy, &control->sections[i]))
            return false;
    return check(copy) && check_apart(copy);
}

// ---- the pools of detached spans and of batches ----

// True if this file contains all elements of a section.
static bool file_holds(uint64_t size, const nsp__section *section)
{
    return nsp__elements_within(size, section->offset, section->stride, section->stride, section->count);
}

static bool pools_hold(const nsp__session_copy *copy, uint64_t detached_size, uint64_t batches_size)
{
    const nsp__section *sections = copy->sections;
    return file_holds(detached_size, &sections[NSP__SECTION_DETACHED]) &&
           file_holds(batches_size, &sections[NSP__SECTION_BATCH_HEADER]) &&
           file_holds(batches_size, &sections[NSP__SECTION_COVERAGE]) &&
           file_holds(batches_size, &sections[NSP__SECTION_BATCH_DATA]);
}

// True if the table of sections describes pools that files could hold.
static bool pools_sane(nsp__session_copy *copy)
{
    const nsp__section *sections = copy->sections;
    const nsp__control *control = copy->control;
    return (pools_hold(copy, INT64_MAX, INT64_MAX) &&
            sections[NSP__SECTION_DETACHED].stride <= NSP__STRIDE_MAX &&
            sections[NSP__SECTION_COVERAGE].count >= control->batch_count &&
            sections[NSP__SECTION_COVERAGE].stride >= control->threads_max * sizeof(uint64_t) &&
            sections[NSP__SECTION_BATCH_DATA].count >= control->batch_count &&
            sections[NSP__SECTION_BATCH_DATA].stride <= BATCH_MAX) ||
           nsp__session_copy_damaged(copy, "its control file is damaged: a pool's size is impossible");
}

bool nsp__session_pools_check(nsp__session_copy *copy)
{
    if (!pools_sane(copy))
        return false;
    if (!pools_hold(copy, copy->detached_size, INT64_MAX))
        nsp__session_copy_note_damage(copy, "its detached file is %s",
                                      copy->detached_fd < 0 ? "missing" : "cut short");
    if (!pools_hold(copy, INT64_MAX, copy->batches_size))
        nsp__session_copy_note_damage(copy, "its batches file is %s",
                                      copy->batches_fd < 0 ? "missing" : "cut short");
    return true;
}

// ---- sections ----

bool nsp__session_section_read(const nsp__session_copy *copy, nsp__section_kind kind, int fd, uint64_t place,
                               void *to, size_t element, uint64_t count)
{
    const nsp__section *section = &copy->sections[kind];
    uint64_t at;
    if (count > section->count || __builtin_add_overflow(place, section->offset, &at) ||
        !nsp__elements_within(INT64_MAX, at, section->stride, element, count))
        return false;
    if (section->stride == element)
        return nsp__read_at(fd, to, element * count, at);
    for (uint64_t i = 0; i < count; i++)
        if (!nsp__read_at(fd, (uint8_t *)to + i * element, element, at + i * section->stride))
            return false;
    return true;
}

uint64_t nsp__session_copy_section_at(const nsp__session_copy *copy, nsp__section_kind kind)
{
    return copy->sections[kind].offset;
}
