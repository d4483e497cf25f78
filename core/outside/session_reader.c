// SPDX-License-Identifier: Apache-2.0
//
// The engine may be writing while its files are read, so counters are read in the order of stats.c: from the
// end of the pipeline to its beginning. The engine may also be dead, or the file may come from another
// program, so every number is checked before it is used as an offset or a count.
#include "outside/session_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "drain/stats.h"
#include "shm/session_lock.h"
#include "outside/prune.h"
#include "context/threshold.h"
#include "trace/sampler.h"

enum { FRAMES_MAX = 1024, DETACHED_MAX = 1048576, STRIDE_MAX = 128 * 1024 };

// Copies of the session's files, and the descriptors from which more is read.
typedef struct reading {
    int control_fd, threads_fd, detached_fd; // -1: none
    uint64_t threads_size, detached_size;
    nsp__control *control;
    nsp__slot *slots; // slot_count of them; ring_bytes 0: not available
    uint32_t slot_count;
    nsp__session_reading *out;
} reading;

__attribute__((format(printf, 2, 3))) static bool trouble(nsp__session_reading *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out->problem, sizeof out->problem, format, arguments);
    va_end(arguments);
    return false;
}

static bool read_at(int fd, void *out, size_t bytes, uint64_t offset)
{
    uint8_t *to = out;
    while (bytes != 0) {
        ssize_t got = pread(fd, to, bytes, (off_t)offset);
        if (got <= 0)
            return false;
        to += got;
        bytes -= (size_t)got;
        offset += (uint64_t)got;
    }
    return true;
}

static bool within(uint64_t size, uint64_t offset, uint64_t bytes)
{
    return offset <= size && bytes <= size - offset;
}

// Opens a regular file in the directory; -1 if there is none. O_NONBLOCK, so that a pipe of that name cannot
// block us.
static int open_plain(int directory, const char *name, uint64_t *size)
{
    int fd = nsp__open(directory, name, O_RDONLY | O_NONBLOCK, 0);
    struct stat status;
    *size = 0;
    if (fd < 0)
        return -1;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        errno = EINVAL;
        return -1;
    }
    *size = (uint64_t)status.st_size;
    return fd;
}

// ---- control ----

static bool not_started(nsp__session_reading *out)
{
    return trouble(out, "%s",
                   out->seen.alive ? "its engine is starting"
                                   : "its engine was killed while it was starting; nothing was recorded");
}

static bool read_control(reading *me, int directory)
{
    uint64_t size;
    me->control_fd = open_plain(directory, "control", &size);
    if (me->control_fd < 0)
        return trouble(me->out, "its control file cannot be opened: %s", strerror(errno));
    nsp__control *control = me->control;
    const size_t head = offsetof(nsp__control, threads_max);
    if (!within(size, 0, head) || !read_at(me->control_fd, control, head, 0))
        return trouble(me->out, "its control file is cut short");
    if (control->magic == 0)
        return not_started(me->out);
    if (control->magic != NSP__SESSION_MAGIC)
        return trouble(me->out, "its control file was not written by nanospan");
    if (control->version != NSP__SESSION_VERSION || control->control_bytes != sizeof *control)
        return trouble(me->out,
                       "it belongs to another version of nanospan (layout %u of %llu bytes, not %d of %zu)",
                       control->version, (unsigned long long)control->control_bytes, NSP__SESSION_VERSION,
                       sizeof *control);
    if (!within(size, 0, sizeof *control) || !read_at(me->control_fd, control, sizeof *control, 0))
        return trouble(me->out, "its control file is cut short");
    if (control->slot_count > NSP__THREADS_MAX || control->detached_count > DETACHED_MAX ||
        control->resource_bytes > sizeof control->resource)
        return trouble(me->out, "its control file is damaged: a count is out of range");
    return true;
}

// The resource is a sequence of zero-terminated texts: key, value, key, value.
static void find_service(nsp__session_reading *out, const nsp__control *control)
{
    const char *at = control->resource, *end = at + control->resource_bytes;
    while (at < end) {
        const char *key = at, *value = memchr(key, 0, (size_t)(end - key));
        const char *zero = value != NULL ? memchr(value + 1, 0, (size_t)(end - value - 1)) : NULL;
        if (zero == NULL)
            return;
        if (strcmp(key, "service.name") == 0)
            snprintf(out->service, sizeof out->service, "%s", value + 1);
        at = zero + 1;
    }
}

// True if no policy was ever written: the engine was just starting when the file was read, or when it died.
static bool without_policy(const nsp__control *control)
{
    return control->policy_generation == 0 && control->policies[0].checksum == 0;
}

// The policy may change while it is read; the checksum shows that. An engine that is stopping leaves the last
// one in the first place.
static bool read_policy(reading *me)
{
    nsp__session_reading *out = me->out;
    nsp__control *control = me->control;
    nsp__policy *policy = NULL;
    for (int tries = 0; tries < 8 && policy == NULL; tries++) {
        uint32_t generation;
        if (!read_at(me->control_fd, &generation, sizeof generation,
                     offsetof(nsp__control, policy_generation)))
            break;
        uint32_t which = generation & 1;
        nsp__policy *candidate = &control->policies[which];
        if (!read_at(me->control_fd, candidate, sizeof *candidate,
                     offsetof(nsp__control, policies) + which * sizeof *candidate))
            break;
        if (candidate->rules < NSP__CLASSES && candidate->checksum == nsp__sampler_checksum(candidate))
            policy = candidate;
    }
    if (policy == NULL)
        return without_policy(control) ? not_started(out) : trouble(out, "its sampler's policy is damaged");
    out->seen.rate = nsp__threshold_rate(policy->thresholds[0]);
    out->seen.parent_policy =
        policy->parent_policy == NSP_PARENT_DECIDE ? NSP_PARENT_DECIDE : NSP_PARENT_FOLLOW;
    out->seen.rule_count = policy->rules;
    for (uint32_t i = 0; i < policy->rules; i++) {
        memcpy(out->rules[i].pattern, policy->patterns[i + 1], sizeof out->rules[i].pattern);
        out->rules[i].pattern[NSP_SAMPLER_PATTERN_MAX] = 0;
        out->rules[i].rate = nsp__threshold_rate(policy->thresholds[i + 1]);
    }
    return true;
}

// ---- slots and frames ----

static bool slot_sane(const nsp__slot *slot, const nsp__slot_place *place, uint32_t index)
{
    uint64_t ring = slot->ring_bytes;
    return slot->index == index && ring != 0 && (ring & (ring - 1)) == 0 &&
           within(place->bytes, slot->ring_offset, ring) && slot->frame_count <= FRAMES_MAX &&
           slot->frame_stride <= STRIDE_MAX && slot->frame_stride >= sizeof(nsp__frame) &&
           within(place->bytes, slot->frames_offset, (uint64_t)slot->frame_count * slot->frame_stride);
}

static bool read_slots(reading *me, uint64_t *drained, uint64_t *committed)
{
    nsp_stats *stats = &me->out->seen.stats;
    for (uint32_t i = 0; i < me->slot_count; i++) {
        const nsp__slot_place *place = &me->control->places[i];
        nsp__slot *slot = &me->slots[i];
        if (place->used == 0)
            continue;
        if (place->is_private != 0) {
            stats->threads_private++;
            continue;
        }
        if (place->bytes < sizeof *slot || !within(me->threads_size, place->offset, place->bytes) ||
            !read_at(me->threads_fd, slot, sizeof *slot, place->offset) || !slot_sane(slot, place, i)) {
            slot->ring_bytes = 0;
            return trouble(me->out, "the slot of thread %u is damaged", i);
        }
        *drained += slot->drained;
        *committed += slot->counters.committed;
        nsp__stats_add_ended(stats, &slot->counters);
    }
    return true;
}

static const nsp__slot *slot_at(void *argument, uint32_t index)
{
    const reading *me = argument;
    return index < me->slot_count && me->slots[index].ring_bytes != 0 ? &me->slots[index] : NULL;
}

static bool count_frames(reading *me)
{
    nsp_stats *stats = &me->out->seen.stats;
    for (uint32_t i = 0; i < me->slot_count; i++) {
        const nsp__slot *slot = slot_at(me, i);
        for (uint32_t depth = 0; slot != NULL && depth < slot->frame_count; depth++) {
            nsp__frame frame;
            if (!read_at(me->threads_fd, &frame, sizeof frame,
                         me->control->places[i].offset + slot->frames_offset +
                             (uint64_t)depth * slot->frame_stride))
                return trouble(me->out, "the frames of thread %u cannot be read", i);
            stats->open += nsp__stats_open(&frame, slot_at, me);
        }
    }
    return true;
}

static bool count_detached(reading *me)
{
    uint32_t count = me->control->detached_count, left = me->control->detached_left;
    uint32_t stride = me->control->detached_stride;
    if (count == 0)
        return true;
    if (stride < sizeof(nsp__frame) || stride > STRIDE_MAX ||
        !within(me->detached_size, 0, (uint64_t)count * stride))
        return trouble(me->out, "its pool of detached spans is cut short");
    count -= left <= count ? left : 0;
    for (uint32_t i = 0; i < count; i++) {
        nsp__frame frame;
        if (!read_at(me->detached_fd, &frame, sizeof frame, (uint64_t)i * stride))
            return trouble(me->out, "its pool of detached spans cannot be read");
        me->out->seen.stats.open += nsp__stats_open(&frame, slot_at, me);
    }
    return true;
}

// ---- accounting ----

// Includes threads that have come since, because their detached spans already count as open.
static bool read_attempts(reading *me)
{
    nsp_stats *stats = &me->out->seen.stats;
    nsp__control *control = me->control;
    const size_t from = offsetof(nsp__control, slot_count), to = offsetof(nsp__control, policy_generation);
    if (!read_at(me->control_fd, (uint8_t *)control + from, to - from, from) ||
        !read_at(me->control_fd, control->places, sizeof control->places, offsetof(nsp__control, places)) ||
        control->slot_count > NSP__THREADS_MAX)
        return trouble(me->out, "its control file cannot be read again");
    nsp__stats_add_unattached(stats, control);
    for (uint32_t i = 0; i < control->slot_count; i++) {
        const nsp__slot_place *place = &control->places[i];
        uint64_t attempted = 0;
        const uint64_t at = offsetof(nsp__slot, counters) + offsetof(nsp__slot_counters, attempted);
        if (place->used != 0 && place->is_private == 0 && place->offset < INT64_MAX - at &&
            read_at(me->threads_fd, &attempted, sizeof attempted, place->offset + at))
            stats->attempted += attempted;
    }
    stats->threads_peak = control->slot_count;
    return true;
}

static bool read_stats(reading *me)
{
    nsp_stats *stats = &me->out->seen.stats;
    const nsp__control *control = me->control;
    uint64_t drained = 0, committed = 0;
    uint64_t settled = nsp__stats_settled(stats, &control->counters);
    if (!read_slots(me, &drained, &committed))
        return false;
    stats->dropped_no_thread = control->unattached_dropped;
    if (!count_detached(me) || !count_frames(me))
        return false;
    for (uint32_t i = 0; i < me->slot_count; i++)
        if (slot_at(me, i) != NULL)
            nsp__stats_add_slot(stats, &me->slots[i]);
    if (!read_attempts(me))
        return false;
    nsp__stats_total(stats, settled, drained, committed);
    if (me->out->seen.alive)
        stats->clock_error_ns = nsp__clock_error_bound(&control->clock);
    stats->clock_steps = nsp__clock_steps(&control->clock);
    return true;
}

static bool read_all(reading *me, int directory)
{
    if (!read_control(me, directory))
        return false;
    const nsp__control *control = me->control;
    nsp_session *seen = &me->out->seen;
    seen->start_unix_ns = control->start_unix_ns;
    find_service(me->out, control);
    me->threads_fd = open_plain(directory, "threads", &me->threads_size);
    if (me->threads_fd < 0)
        return trouble(me->out, "its threads file cannot be opened: %s", strerror(errno));
    me->detached_fd = open_plain(directory, "detached", &me->detached_size);
    me->slot_count = control->slot_count;
    if (me->slot_count != 0) {
        me->slots = aligned_alloc(_Alignof(nsp__slot), me->slot_count * sizeof *me->slots);
        if (me->slots == NULL)
            return trouble(me->out, "there is not enough memory to read it");
        memset(me->slots, 0, me->slot_count * sizeof *me->slots);
    }
    return read_policy(me) && read_stats(me);
}

static void read_directory(nsp__session_reading *out, nsp__control *control, int directory)
{
    reading me = {.control_fd = -1, .threads_fd = -1, .detached_fd = -1, .control = control, .out = out};
    out->seen.alive = !nsp__session_lock_free(directory, "alive");
    out->seen.bytes = nsp__session_bytes(directory);
    bool whole = read_all(&me, directory);
    nsp__close(me.control_fd);
    nsp__close(me.threads_fd);
    nsp__close(me.detached_fd);
    free(me.slots);
    if (!whole) {
        out->seen.problem = out->problem;
        memset(&out->seen.stats, 0, sizeof out->seen.stats);
        out->seen.stats.size = sizeof out->seen.stats;
    }
}

// Reads NAME and PID from NAME.PID.RANDOM.
static void read_name(nsp__session_reading *out, const char *name)
{
    unsigned pid = 0;
    snprintf(out->name, sizeof out->name, "%s", name);
    const char *dot = strchr(name, '.');
    if (sscanf(dot, ".%9u.", &pid) == 1)
        out->seen.pid = pid;
}

bool nsp__session_read(nsp__session_reading *out, int folder_fd, const char *folder, const char *name)
{
    memset(out, 0, sizeof *out);
    if (!nsp__session_name_valid(name))
        return false;
    int directory = nsp__open(folder_fd, name, O_RDONLY | O_DIRECTORY, 0);
    if (directory < 0)
        return false;
    nsp__control *control = aligned_alloc(_Alignof(nsp__control), sizeof *control);
    if (control == NULL) {
        close(directory);
        errno = ENOMEM;
        return false;
    }
    memset(control, 0, sizeof *control);
    out->seen.size = sizeof out->seen;
    out->seen.stats.size = sizeof out->seen.stats;
    read_name(out, name);
    snprintf(out->directory, sizeof out->directory, "%s/%s", folder, name);
    read_directory(out, control, directory);
    *strchr(out->name, '.') = 0;
    out->seen.name = out->name;
    out->seen.directory = out->directory;
    out->seen.service = out->service;
    out->seen.rules = out->rules;
    free(control);
    close(directory);
    return true;
}
