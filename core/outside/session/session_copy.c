// SPDX-License-Identifier: Apache-2.0
//
// Copies the control file, and the rest with it. The engine may be writing meanwhile, or the file may come
// from another program, so every number is checked before it is used as an offset or a count.
#include "outside/session/session_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testpoint.h"
#include "common/descriptor.h"
#include "outside/session/folder.h"
#include "outside/session/session_files.h"
#include "outside/session/session_sections.h"
#include "outside/session/session_slots.h"
#include "outside/session/session_texts.h"
#include "shm/session_lock.h"
#include "trace/outlier_rules.h"
#include "trace/sampler.h"

enum { DETACHED_MAX = 1048576 };
enum { BATCHES_MAX = 1024 };
enum { ENGINE_BYTES = offsetof(nsp__control, policy_generation) - offsetof(nsp__control, threads_max) };

bool nsp__session_copy_fail(nsp__session_copy *copy, nsp__session_state state, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(copy->problem, sizeof copy->problem, format, arguments);
    va_end(arguments);
    copy->state = state;
    return false;
}

bool nsp__session_copy_damaged(nsp__session_copy *copy, const char *problem)
{
    return nsp__session_copy_fail(copy, NSP__SESSION_DAMAGED, "%s", problem);
}

void nsp__session_copy_note_damage(nsp__session_copy *copy, const char *format, ...)
{
    const size_t length = strlen(copy->damage);
    va_list arguments;
    va_start(arguments, format);
    int before = snprintf(copy->damage + length, sizeof copy->damage - length, "%s", length != 0 ? "; " : "");
    if (length + (size_t)before < sizeof copy->damage)
        vsnprintf(copy->damage + length + before, sizeof copy->damage - length - (size_t)before, format,
                  arguments);
    va_end(arguments);
}

bool nsp__session_copy_no_memory(nsp__session_copy *copy)
{
    nsp__session_copy_fail(copy, NSP__SESSION_NO_MEMORY, "there is not enough memory to read it");
    errno = ENOMEM;
    return false;
}

void *nsp__session_copy_memory(size_t bytes)
{
    bytes = (bytes + 127) & ~(size_t)127;
    void *memory = aligned_alloc(128, bytes);
    return memory != NULL ? memset(memory, 0, bytes) : NULL;
}

// The control file is large, and of most sessions only little of it is read: those pages alone cost anything.
static nsp__control *control_memory(void)
{
    void *memory =
        mmap(NULL, sizeof(nsp__control), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

// ---- files ----

// Why errno says that something cannot be opened. `what` begins the sentence.
static bool cannot_open(nsp__session_copy *copy, const char *what)
{
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
        return nsp__session_copy_fail(copy, NSP__SESSION_NOT_NOW, "%s cannot be opened: %s%s", what,
                                      strerror(errno),
                                      errno == EMFILE ? "; raise the limit (ulimit -n)" : "");
    const char *why = errno == ENOENT    ? "it is missing"
                      : errno == EINVAL  ? "it is not a file"
                      : errno == ELOOP   ? "it is a link"
                      : errno == ENOTDIR ? "it is not a directory"
                                         : strerror(errno);
    return nsp__session_copy_fail(copy, NSP__SESSION_DAMAGED, "%s cannot be opened: %s", what, why);
}

static bool open_file(nsp__session_copy *copy, const char *file, bool for_writing, int *fd, uint64_t *size)
{
    char what[40];
    *fd = nsp__session_file_open(copy->directory, file, for_writing, size);
    snprintf(what, sizeof what, "its %s file", file);
    return *fd >= 0 || cannot_open(copy, what);
}

static bool is_missing(const nsp__session_copy *copy, const char *file)
{
    return faccessat(copy->directory, file, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

// An engine makes all files before the session has its name, and takes the name away before it removes one.
// Where none is left, there are no spans.
static bool without_control(nsp__session_copy *copy)
{
    const bool empty =
        is_missing(copy, "threads") && is_missing(copy, "detached") && is_missing(copy, "batches");
    return copy->alive || empty ? nsp__session_copy_not_started(copy)
                                : nsp__session_copy_damaged(copy, "its control file is missing");
}

// Whether another one has to exist is known when the control file is read.
static bool open_other(nsp__session_copy *copy, const char *file, bool for_writing, int *fd, uint64_t *size)
{
    return is_missing(copy, file) || open_file(copy, file, for_writing, fd, size);
}

static bool open_files(nsp__session_copy *copy, bool for_writing)
{
    if (is_missing(copy, "control"))
        return without_control(copy);
    return open_file(copy, "control", for_writing, &copy->control_fd, &copy->control_size) &&
           open_other(copy, "threads", for_writing, &copy->threads_fd, &copy->threads_size) &&
           open_other(copy, "detached", for_writing, &copy->detached_fd, &copy->detached_size) &&
           open_other(copy, "batches", for_writing, &copy->batches_fd, &copy->batches_size);
}

// ---- control ----

bool nsp__session_copy_not_started(nsp__session_copy *copy)
{
    return nsp__session_copy_fail(
        copy, NSP__SESSION_NOT_STARTED, "%s",
        copy->alive ? "its engine is starting"
                    : "its engine was killed while it was starting or ending; nothing is in it");
}

// True if the file holds anything but zeroes near its beginning, where what an engine writes first lies.
static bool written(int fd)
{
    enum { LOOKED_AT = 64 * 1024 };
    uint8_t bytes[4096];
    for (uint64_t at = 0; at < LOOKED_AT && nsp__read_at(fd, bytes, sizeof bytes, at); at += sizeof bytes)
        for (size_t i = 0; i < sizeof bytes; i++)
            if (bytes[i] != 0)
                return true;
    return false;
}

// A session is without its beginning as long as its engine is creating it. If there are threads or batches
// all the same, the beginning was overwritten.
bool nsp__session_copy_without_beginning(nsp__session_copy *copy)
{
    if (!copy->alive && (copy->threads_size != 0 || written(copy->batches_fd)))
        return nsp__session_copy_damaged(copy, "its control file is damaged: its beginning is overwritten");
    return nsp__session_copy_not_started(copy);
}

// True if no policy was ever written: the engine was just starting when the file was read, or when it died.
static bool without_policy(const nsp__control *control)
{
    return control->policy_generation == 0 && control->policies[0].checksum == 0;
}

// What is wrong with the counts, or NULL.
static const char *counts_problem(const nsp__session_copy *copy)
{
    const nsp__control *control = copy->control;
    const nsp__section *sections = copy->sections;
    if (control->slot_count > NSP__THREADS_MAX || control->threads_max > NSP__THREADS_MAX ||
        control->threads_max < control->slot_count || control->detached_count > DETACHED_MAX ||
        control->batch_count > BATCHES_MAX || control->resource_bytes > sizeof control->resource ||
        control->record_bytes > NSP__RECORD_MAX || control->record_bytes < sizeof(nsp__record) ||
        control->slot_count > sections[NSP__SECTION_PLACES].count ||
        control->resource_bytes > sections[NSP__SECTION_RESOURCE].count ||
        control->batch_count != sections[NSP__SECTION_BATCH_HEADER].count ||
        control->detached_count != sections[NSP__SECTION_DETACHED].count ||
        control->detached_stride != sections[NSP__SECTION_DETACHED].stride)
        return "its control file is damaged: a count is out of range";
    return NULL;
}

static bool in_control(nsp__session_copy *copy, nsp__section_kind kind, void *to, size_t element,
                       uint64_t count)
{
    return nsp__session_section_read(copy, kind, copy->control_fd, 0, to, element, count);
}

// Behind the last text of a name.
static uint64_t texts_end(const nsp__control *control)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < NSP_NAME_MAX; i++) {
        const nsp__shared_name *name = &control->names[i];
        if (name->length != 0 && nsp__within(sizeof control->name_text, name->offset, name->length) &&
            (uint64_t)name->offset + name->length > end)
            end = (uint64_t)name->offset + name->length;
    }
    return end;
}

// The declarations of paths that there are. What they say is checked when a record refers to one (drain/path_plan.h).
static bool read_paths(nsp__session_copy *copy)
{
    nsp__paths *paths = &copy->control->paths;
    const size_t head = offsetof(nsp__paths, path);
    if (copy->sections[NSP__SECTION_PATHS].version == 0)
        return true;
    if (!in_control(copy, NSP__SECTION_PATHS, paths, head, 1))
        return false;
    const uint32_t count = paths->count < NSP__PATHS_MAX ? paths->count : NSP__PATHS_MAX;
    return in_control(copy, NSP__SECTION_PATHS, paths, head + count * sizeof paths->path[0], 1);
}

// Counts come first, then what they cover, except for those of the exporting side, which are the end of the
// pipeline (stats.c).
static bool read_control(nsp__session_copy *copy)
{
    nsp__control *control = copy->control;
    if (!nsp__session_sections_read(copy))
        return false;
    bool whole = in_control(copy, NSP__SECTION_COUNTERS, &control->counters, sizeof control->counters, 1) &&
                 in_control(copy, NSP__SECTION_ENGINE, &control->threads_max, ENGINE_BYTES, 1);
    if (!whole)
        return nsp__session_copy_damaged(copy, "its control file is cut short");
    const char *problem = counts_problem(copy);
    if (problem != NULL)
        return nsp__session_copy_damaged(copy, problem);
    const nsp__section *sections = copy->sections;
    uint64_t names = nsp__least(sections[NSP__SECTION_NAMES].count, NSP_NAME_MAX);
    uint64_t text = nsp__least(sections[NSP__SECTION_NAME_TEXT].count, sizeof control->name_text);
    whole =
        in_control(copy, NSP__SECTION_POLICY_GENERATION, &control->policy_generation, sizeof(uint32_t), 1) &&
        in_control(copy, NSP__SECTION_POLICY, control->policies, sizeof(nsp__policy), 2) &&
        in_control(copy, NSP__SECTION_CLOCK, &control->clock, sizeof control->clock, 1) &&
        in_control(copy, NSP__SECTION_PLACES, control->places, sizeof(nsp__slot_place),
                   control->slot_count) &&
        in_control(copy, NSP__SECTION_NAMES, control->names, sizeof(nsp__shared_name), names) &&
        in_control(copy, NSP__SECTION_NAME_TEXT, control->name_text, 1,
                   nsp__least(text, texts_end(control))) &&
        in_control(copy, NSP__SECTION_RESOURCE, control->resource, 1, control->resource_bytes);
    if (sections[NSP__SECTION_DRAINER].version != 0) // optional, and so is the next
        whole =
            whole && in_control(copy, NSP__SECTION_DRAINER, &control->drainer, sizeof control->drainer, 1);
    if (sections[NSP__SECTION_FIGURES].version != 0)
        whole = whole && in_control(copy, NSP__SECTION_FIGURES, &control->figures,
                                    offsetof(nsp__figures, ring_peak) +
                                        control->slot_count * sizeof control->figures.ring_peak[0],
                                    1);
    if (sections[NSP__SECTION_OUTLIER_BOUNDS].version != 0)
        whole = whole && in_control(copy, NSP__SECTION_OUTLIER_BOUNDS, &control->outlier_bounds,
                                    sizeof control->outlier_bounds, 1);
    if (sections[NSP__SECTION_SNAPSHOTS].version != 0)
        whole = whole &&
                in_control(copy, NSP__SECTION_SNAPSHOTS, &control->snapshots, sizeof control->snapshots, 1);
    whole = whole && read_paths(copy);
    return whole || nsp__session_copy_damaged(copy, "its control file is cut short");
}

// ---- the whole ----

// Nobody can tell whether the engine lives if its lock cannot be read.
static bool read_lock(nsp__session_copy *copy)
{
    errno = 0;
    copy->alive = !nsp__session_lock_free(copy->directory, "alive");
    if (!copy->alive || errno == 0)
        return true;
    copy->alive = false;
    return cannot_open(copy, "its alive file");
}

static bool read_all(nsp__session_copy *copy, bool for_writing)
{
    char why[sizeof copy->problem - 4];
    if (!nsp__ours_alone(copy->directory, why, sizeof why))
        return nsp__session_copy_fail(copy, NSP__SESSION_NOT_OURS, "it %s", why);
    if (!read_lock(copy))
        return false;
    if (nsp__session_name_half_made(copy->name))
        return nsp__session_copy_not_started(copy);
    copy->control = control_memory();
    if (copy->control == NULL)
        return nsp__session_copy_no_memory(copy);
    if (!open_files(copy, for_writing))
        return false;
    NSP__TESTPOINT("reader: files open");
    if (!read_control(copy))
        return false;
    if (without_policy(copy->control))
        return copy->alive || copy->threads_size == 0
                   ? nsp__session_copy_not_started(copy)
                   : nsp__session_copy_damaged(copy,
                                               "its control file is damaged: it has no sampler's policy");
    return nsp__session_texts_read(copy) && nsp__session_slots_read(copy) && nsp__session_pools_check(copy);
}

// False if somebody has removed the session since its directory was opened: its name goes first.
static bool has_its_name(const nsp__session_copy *copy, int folder_fd)
{
    struct stat opened, named;
    return fstat(copy->directory, &opened) == 0 &&
           fstatat(folder_fd, copy->name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == opened.st_ino;
}

static bool open_copy(nsp__session_copy *out, int folder_fd, const char *name, bool for_writing, bool whole)
{
    memset(out, 0, sizeof *out);
    out->directory = out->control_fd = out->threads_fd = out->detached_fd = out->batches_fd = -1;
    out->state = NSP__SESSION_GONE;
    if (!nsp__session_name_valid(name) && !nsp__session_name_half_made(name))
        return false;
    memcpy(out->name, name, strlen(name) + 1);
    out->directory = nsp__session_open(folder_fd, name);
    if (out->directory < 0)
        return errno != ENOENT && cannot_open(out, "it");
    out->state = NSP__SESSION_READABLE;
    if (read_all(out, for_writing) &&
        (!whole || out->damage[0] == 0 || nsp__session_copy_damaged(out, out->damage)))
        return true;
    if (out->state == NSP__SESSION_DAMAGED && !has_its_name(out, folder_fd))
        nsp__session_copy_fail(out, NSP__SESSION_GONE, "it was removed in the meantime");
    return false;
}

bool nsp__session_copy_open(nsp__session_copy *out, int folder_fd, const char *name, bool for_writing)
{
    return open_copy(out, folder_fd, name, for_writing, true);
}

bool nsp__session_copy_open_damaged(nsp__session_copy *out, int folder_fd, const char *name)
{
    return open_copy(out, folder_fd, name, true, false);
}

void nsp__session_copy_close(nsp__session_copy *copy)
{
    nsp__close(copy->directory);
    nsp__close(copy->control_fd);
    nsp__close(copy->threads_fd);
    nsp__close(copy->detached_fd);
    nsp__close(copy->batches_fd);
    copy->directory = copy->control_fd = copy->threads_fd = copy->detached_fd = copy->batches_fd = -1;
    if (copy->control != NULL)
        munmap(copy->control, sizeof *copy->control);
    free(copy->texts);
    free(copy->slots);
    copy->control = NULL;
    copy->texts = NULL;
    copy->slots = NULL;
    copy->slot_count = 0;
}

nsp_status nsp__session_copy_status(const nsp__session_copy *copy)
{
    switch (copy->state) {
    case NSP__SESSION_READABLE: return NSP_OK;
    case NSP__SESSION_NOT_STARTED: return copy->alive ? NSP_ERR_BUSY : NSP_ERR_NOT_FOUND;
    case NSP__SESSION_GONE: return NSP_ERR_NOT_FOUND;
    case NSP__SESSION_OTHER_VERSION: return NSP_ERR_UNSUPPORTED;
    case NSP__SESSION_DAMAGED: return NSP_ERR_DAMAGED;
    case NSP__SESSION_NO_MEMORY: return NSP_ERR_NO_MEMORY;
    case NSP__SESSION_NOT_OURS:
    case NSP__SESSION_NOT_NOW: break;
    }
    return NSP_ERR_SYSTEM;
}

// ---- read again ----

static bool read_tunings(nsp__session_copy *copy)
{
    nsp__tuning *tunings = copy->control->tunings;
    if (copy->sections[NSP__SECTION_TUNING].version == 0 ||
        !in_control(copy, NSP__SECTION_TUNING, tunings, sizeof(nsp__tuning), 2))
        return false;
    for (int i = 0; i < 2; i++)
        tunings[i].name[sizeof tunings[i].name - 1] = 0;
    return true;
}

const nsp__policy *nsp__session_copy_policy(nsp__session_copy *copy, const nsp__tuning **tuning,
                                            const nsp__outliers **outliers)
{
    nsp__control *control = copy->control;
    const bool has_outliers = copy->sections[NSP__SECTION_OUTLIERS].version != 0;
    enum { TRIES = 8 };
    for (int tries = 1; tries <= TRIES; tries++) {
        uint32_t generation, again;
        if (!in_control(copy, NSP__SECTION_POLICY_GENERATION, &generation, sizeof generation, 1) ||
            !in_control(copy, NSP__SECTION_POLICY, control->policies, sizeof(nsp__policy), 2))
            return NULL;
        if (has_outliers &&
            !in_control(copy, NSP__SECTION_OUTLIERS, control->outliers, sizeof(nsp__outliers), 2))
            return NULL;
        bool tunings = read_tunings(copy);
        if (!in_control(copy, NSP__SECTION_POLICY_GENERATION, &again, sizeof again, 1))
            return NULL;
        // A policy has a checksum; what is beside it is sure to belong to it if the generation is the same.
        if (again != generation && tries < TRIES)
            continue;
        tunings = tunings && again == generation;
        // The engine that ends leaves the policy in both places, but a writer may be at work in one of them.
        for (uint32_t other = 0; other <= (generation == 0); other++) {
            const uint32_t place = (generation & 1) ^ other;
            const nsp__policy *policy = &control->policies[place];
            *tuning = tunings ? &control->tunings[place] : NULL;
            *outliers = has_outliers ? &control->outliers[place] : NULL;
            if (policy->rules < NSP__CLASSES && policy->checksum == nsp__sampler_checksum(policy) &&
                (!has_outliers || nsp__outliers_valid(&control->outliers[place], policy)))
                return policy;
        }
    }
    return NULL;
}

// Adds up what all threads attempted, in memory of its own: what was checked before stays as it was, but for the
// counts themselves.
static bool add_attempts(nsp__session_copy *copy, uint32_t count, nsp__slot_place *places,
                         uint64_t *attempted)
{
    if (!nsp__session_section_read(copy, NSP__SECTION_PLACES, copy->control_fd, 0, places, sizeof *places,
                                   count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        nsp__slot_counters counters;
        if (places[i].used != 0 && places[i].is_private == 0 &&
            nsp__session_section_read(copy, NSP__SECTION_SLOT_COUNTERS, copy->threads_fd, places[i].offset,
                                      &counters, sizeof counters, 1)) {
            *attempted += counters.attempted;
            if (i < copy->slot_count)
                copy->slots[i].counters.attempted = counters.attempted;
        }
    }
    return true;
}

bool nsp__session_copy_attempted(nsp__session_copy *copy, uint64_t *attempted)
{
    nsp__control *again = control_memory(), *control = copy->control;
    if (again == NULL)
        return nsp__session_copy_no_memory(copy);
    *attempted = 0;
    bool whole = in_control(copy, NSP__SECTION_ENGINE, &again->threads_max, ENGINE_BYTES, 1) &&
                 again->slot_count <= NSP__THREADS_MAX &&
                 add_attempts(copy, again->slot_count, again->places, attempted);
    control->unattached_attempted = again->unattached_attempted;
    control->unattached_misused = again->unattached_misused;
    control->unattached_values_cut = again->unattached_values_cut;
    munmap(again, sizeof *again);
    return whole || nsp__session_copy_damaged(copy, "its control file cannot be read again");
}
