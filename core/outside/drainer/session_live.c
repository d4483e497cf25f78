// SPDX-License-Identifier: Apache-2.0
#include "outside/drainer/session_live.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "drain/history_copy.h"
#include "outside/session/session_files.h"
#include "outside/session/session_slots.h"
#include "shm/session_lock.h"

// No control file is as large, whatever this layout becomes.
enum { CONTROL_MAX = 64 * 1024 * 1024 };

// ---- the mapped parts ----

static void *in_control(const nsp__session_live *live, nsp__section_kind kind)
{
    return live->control + live->copy.sections[kind].offset;
}

static uint8_t *in_batches(const nsp__session_live *live, nsp__section_kind kind, uint32_t batch)
{
    const nsp__section *section = &live->copy.sections[kind];
    return live->batches + section->offset + batch * section->stride;
}

nsp__counters *nsp__session_live_counters(const nsp__session_live *live)
{
    return in_control(live, NSP__SECTION_COUNTERS);
}

nsp__clock *nsp__session_live_clock(const nsp__session_live *live)
{
    return in_control(live, NSP__SECTION_CLOCK);
}

nsp__drainer *nsp__session_live_drainer(const nsp__session_live *live)
{
    return in_control(live, NSP__SECTION_DRAINER);
}

nsp__figures *nsp__session_live_figures(const nsp__session_live *live)
{
    return live->copy.sections[NSP__SECTION_FIGURES].version != 0 ? in_control(live, NSP__SECTION_FIGURES)
                                                                  : NULL;
}

const nsp__outliers *nsp__session_live_outliers(const nsp__session_live *live)
{
    const nsp__section *section = &live->copy.sections[NSP__SECTION_OUTLIERS];
    const bool known = section->version != 0 && section->stride == sizeof(nsp__outliers);
    return known ? in_control(live, NSP__SECTION_OUTLIERS) : NULL;
}

nsp__outlier_bounds *nsp__session_live_bounds(const nsp__session_live *live)
{
    return live->copy.sections[NSP__SECTION_OUTLIER_BOUNDS].version != 0
               ? in_control(live, NSP__SECTION_OUTLIER_BOUNDS)
               : NULL;
}

nsp__snapshots *nsp__session_live_snapshots(const nsp__session_live *live)
{
    return live->copy.sections[NSP__SECTION_SNAPSHOTS].version != 0 ? in_control(live, NSP__SECTION_SNAPSHOTS)
                                                                    : NULL;
}

const nsp__paths *nsp__session_live_paths(const nsp__session_live *live)
{
    return live->copy.sections[NSP__SECTION_PATHS].version != 0 ? in_control(live, NSP__SECTION_PATHS) : NULL;
}

nsp__batch_header *nsp__session_live_header(const nsp__session_live *live, uint32_t batch)
{
    return (nsp__batch_header *)(void *)in_batches(live, NSP__SECTION_BATCH_HEADER, batch);
}

uint64_t *nsp__session_live_coverage(const nsp__session_live *live, uint32_t batch)
{
    return (uint64_t *)(void *)in_batches(live, NSP__SECTION_COVERAGE, batch);
}

uint8_t *nsp__session_live_data(const nsp__session_live *live, uint32_t batch)
{
    return in_batches(live, NSP__SECTION_BATCH_DATA, batch);
}

// ---- opening ----

// What is loaded and stored in one piece has to be aligned, and the counters of a slot have to lie where a
// drainer looks for them.
static bool well_placed(nsp__session_live *live)
{
    static const nsp__section_kind words[] = {
        NSP__SECTION_ENGINE,    NSP__SECTION_COUNTERS,    NSP__SECTION_CLOCK,
        NSP__SECTION_NAMES,     NSP__SECTION_SLOT,        NSP__SECTION_BATCH_HEADER,
        NSP__SECTION_COVERAGE,  NSP__SECTION_DRAINER,     NSP__SECTION_PLACES,
        NSP__SECTION_FIGURES,   NSP__SECTION_OUTLIERS,    NSP__SECTION_OUTLIER_BOUNDS,
        NSP__SECTION_LATENCIES, NSP__SECTION_SPECULATION, NSP__SECTION_SNAPSHOTS,
        NSP__SECTION_PATHS,
    };
    const nsp__section *sections = live->copy.sections;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (sections[words[i]].offset % sizeof(uint64_t) != 0 ||
            (sections[words[i]].stride % sizeof(uint64_t) != 0 && sections[words[i]].count > 1))
            return nsp__session_copy_damaged(&live->copy,
                                             "its control file is damaged: a section is not aligned");
    if (sections[NSP__SECTION_SLOT_COUNTERS].offset !=
        sections[NSP__SECTION_SLOT].offset + offsetof(nsp__slot, counters))
        return nsp__session_copy_fail(&live->copy, NSP__SESSION_OTHER_VERSION,
                                      "it belongs to another version of nanospan (a slot has another form)");
    if (live->copy.control_size > CONTROL_MAX)
        return nsp__session_copy_damaged(&live->copy, "its control file is impossibly large");
    if (live->batch_count == 0 || live->batch_bytes < NSP__BATCH_PARTS_MAX * sizeof(nsp__batch_part))
        return nsp__session_copy_damaged(&live->copy, "it has no batches");
    return true;
}

static uint8_t *map_file(nsp__session_live *live, const char *file, int fd, uint64_t size)
{
    uint8_t *mapped = nsp__guard_map(live->guard, fd, 0, size);
    if (mapped == NULL)
        nsp__session_copy_fail(&live->copy, NSP__SESSION_NOT_NOW, "its %s file cannot be mapped: %s", file,
                               strerror(errno));
    return mapped;
}

bool nsp__session_live_open(nsp__session_live *live, int folder_fd, const char *name)
{
    memset(live, 0, sizeof *live);
    nsp__session_copy *copy = &live->copy;
    live->alive_fd = -1;
    if (!nsp__session_copy_open(copy, folder_fd, name, true))
        return false;
    live->alive_fd = nsp__open(copy->directory, "alive", O_RDONLY | O_NONBLOCK, 0);
    if (live->alive_fd < 0 && errno != ENOENT)
        return nsp__session_copy_fail(copy, NSP__SESSION_NOT_NOW, "its file alive cannot be opened: %s",
                                      strerror(errno));
    live->threads_max = copy->control->threads_max;
    live->batch_count = copy->control->batch_count;
    live->batch_bytes = copy->sections[NSP__SECTION_BATCH_DATA].stride;
    if (copy->sections[NSP__SECTION_DRAINER].version == 0 || !well_placed(live))
        return copy->problem[0] != 0 ? false
                                     : nsp__session_copy_damaged(copy, "it has no section for a drainer");
    live->guard = nsp__guard_take();
    live->threads_taken = calloc(2 * (size_t)live->threads_max + 1, sizeof *live->threads_taken);
    if (live->guard == NULL || live->threads_taken == NULL)
        return nsp__session_copy_no_memory(copy);
    live->threads_taken_end = live->threads_taken + live->threads_max;
    live->control = map_file(live, "control", copy->control_fd, copy->control_size);
    if (live->control == NULL)
        return false;
    live->batches = map_file(live, "batches", copy->batches_fd, copy->batches_size);
    return live->batches != NULL;
}

void nsp__session_live_slim(nsp__session_live *live)
{
    const int directory = live->copy.directory;
    live->copy.directory = -1;
    nsp__session_copy_close(&live->copy);
    live->copy.directory = directory;
}

void nsp__session_live_close(nsp__session_live *live)
{
    nsp__session_copy_close(&live->copy);
    nsp__close(live->alive_fd);
    nsp__guard_give_back(live->guard);
    free(live->threads_taken);
    memset(live, 0, sizeof *live);
    live->copy.directory = live->copy.control_fd = live->copy.threads_fd = live->copy.detached_fd =
        live->copy.batches_fd = live->alive_fd = -1;
}

// ---- giving up ----

void nsp__session_live_fail(nsp__session_live *live, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (live->problem[0] == 0)
        vsnprintf(live->problem, sizeof live->problem, format, arguments);
    va_end(arguments);
    nsp__guard_abandon(live->guard);
}

bool nsp__session_live_lost(nsp__session_live *live)
{
    if (live->problem[0] == 0 && nsp__guard_lost(live->guard))
        snprintf(live->problem, sizeof live->problem, "one of its files was cut short while it was drained");
    return live->problem[0] != 0;
}

bool nsp__session_live_alive(const nsp__session_live *live)
{
    return live->alive_fd >= 0 && !nsp__file_lock_free(live->alive_fd);
}

bool nsp__session_live_removed(const nsp__session_live *live)
{
    struct stat status;
    return fstat(live->copy.directory, &status) == 0 && status.st_nlink == 0;
}

// ---- threads ----

// Two threads in one place would give every span twice.
static bool is_taken(const nsp__session_live *live, const nsp__slot_place *place)
{
    for (uint32_t i = 0; i < live->threads_max; i++)
        if (place->offset < live->threads_taken_end[i] &&
            live->threads_taken[i] < place->offset + place->bytes)
            return true;
    return false;
}

// This process has reached a limit that it may soon be below again.
static bool is_limit(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EAGAIN;
}

// Where the thread's buffer lies, from sizes that are read once. One that is not sane is as good as none.
static void find_buffer(const nsp__session_live *live, uint8_t *mapped, uint64_t bytes,
                        nsp__ring_source *source)
{
    const nsp__section *section = &live->copy.sections[NSP__SECTION_SPECULATION];
    if (section->version == 0)
        return;
    const nsp__speculation *speculation = (const nsp__speculation *)(const void *)(mapped + section->offset);
    const uint64_t size = __atomic_load_n(&speculation->slot.ring_bytes, __ATOMIC_RELAXED);
    const uint64_t at = __atomic_load_n(&speculation->slot.ring_offset, __ATOMIC_RELAXED);
    if (size == 0 || (size & (size - 1)) != 0 || size > NSP__HISTORY_BYTES_MAX || at > bytes ||
        at % sizeof(uint64_t) != 0 || !nsp__within(bytes, section->offset + at, size + source->record_bytes))
        return;
    source->speculation = speculation;
    source->buffer = mapped + section->offset + at;
    source->buffer_bytes = size;
}

// Maps a slot whose place was copied, after its own sizes were copied and validated. False: the session cannot be
// drained any more. If the slot cannot be mapped now, it stays unavailable.
static bool map_slot(nsp__session_live *live, uint32_t index, const nsp__slot_place *place,
                     nsp__ring_source *source)
{
    nsp__session_copy *copy = &live->copy;
    const int before = copy->threads_fd; // open while the session is being opened
    nsp__slot slot;
    int fd = nsp__session_file_open(copy->directory, "threads", true, &copy->threads_size);
    if (fd < 0 && is_limit(errno))
        return live->missing = true;
    if (fd < 0) {
        nsp__session_live_fail(live, "its threads file cannot be opened: %s", strerror(errno));
        return false;
    }
    copy->threads_fd = fd;
    bool sane = place->offset % (uint64_t)sysconf(_SC_PAGESIZE) == 0 &&
                nsp__session_slot_read(copy, index, place, &slot) && !is_taken(live, place);
    copy->threads_fd = before;
    uint8_t *mapped = sane ? nsp__guard_map(live->guard, fd, place->offset, place->bytes) : NULL;
    int error = errno;
    nsp__close(fd);
    if (!sane)
        nsp__session_live_fail(live, "the slot of thread %u is damaged", index);
    else if (mapped == NULL && is_limit(error))
        return live->missing = true;
    else if (mapped == NULL)
        nsp__session_live_fail(live, "the memory of thread %u cannot be mapped: %s", index, strerror(error));
    if (mapped == NULL)
        return false;
    live->threads_taken[index] = place->offset;
    live->threads_taken_end[index] = place->offset + place->bytes;
    *source = (nsp__ring_source){
        .slot = (nsp__slot *)(void *)(mapped + copy->sections[NSP__SECTION_SLOT].offset),
        .bytes = mapped + slot.ring_offset,
        .ring_bytes = slot.ring_bytes,
        .record_bytes = slot.record_bytes,
        .latencies =
            copy->sections[NSP__SECTION_LATENCIES].version != 0
                ? (const nsp__latencies *)(const void *)(mapped +
                                                         copy->sections[NSP__SECTION_LATENCIES].offset)
                : NULL,
        .index = index,
        .consumed = slot.consumed,
        .available = true,
    };
    find_buffer(live, mapped, place->bytes, source);
    return true;
}

// True unless something is damaged. A place that is not known yet is looked at again.
static bool look_at(nsp__session_live *live, uint32_t index, nsp__ring_source *source)
{
    const nsp__section *section = &live->copy.sections[NSP__SECTION_PLACES];
    const nsp__slot_place *shared =
        (const nsp__slot_place *)(const void *)(live->control + section->offset + index * section->stride);
    if (__atomic_load_n(&shared->used, __ATOMIC_ACQUIRE) == 0) // S2: acquires S1
        return true;
    const nsp__slot_place place = {
        .used = 1,
        .is_private = __atomic_load_n(&shared->is_private, __ATOMIC_RELAXED),
        .offset = __atomic_load_n(&shared->offset, __ATOMIC_RELAXED),
        .bytes = __atomic_load_n(&shared->bytes, __ATOMIC_RELAXED),
    };
    return place.is_private != 0 || map_slot(live, index, &place, source);
}

uint32_t nsp__session_live_slots(const nsp__session_live *live)
{
    const uint8_t *engine = in_control(live, NSP__SECTION_ENGINE);
    const uint32_t *shared = (const uint32_t *)(const void *)(engine + offsetof(nsp__control, slot_count) -
                                                              offsetof(nsp__control, threads_max));
    return __atomic_load_n(shared, __ATOMIC_ACQUIRE); // S4: acquires S3
}

uint32_t nsp__session_live_look(nsp__session_live *live, nsp__ring_source *sources)
{
    const uint32_t count = nsp__session_live_slots(live);
    if (nsp__session_live_lost(live))
        return 0;
    if (count > live->threads_max || count > live->copy.sections[NSP__SECTION_PLACES].count) {
        nsp__session_live_fail(live, "its control file is damaged: it has more threads than it may have");
        return 0;
    }
    live->missing = false;
    for (uint32_t i = 0; i < count; i++)
        if (!sources[i].available && !look_at(live, i, &sources[i]))
            return 0;
    live->slot_count = count;
    return count;
}
