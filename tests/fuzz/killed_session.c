// SPDX-License-Identifier: Apache-2.0
#include "killed_session.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "fuzz.h"
#include "shm/session.h"
#include "shm/speculation.h"
#include "support/child.h"
#include "support/sections.h"
#include "support/session_dir.h"

static killed_session killed = {.folder_fd = -1};

// ---- its session ----

enum { CONTROL, THREADS, DETACHED, BATCHES, FILES };
static const char *const names[FILES] = {"control", "threads", "detached", "batches"};

static struct {
    int fd;
    uint8_t *bytes; // as the engine left them
    size_t size;
    bool replaced; // cut, or settled by a recovery
    bool away;     // under another name
} files[FILES];

static char whole_name[NAME_MAX + 1];
static int directory_fd, alive_fd;

static void remove_session(void)
{
    session_dir_remove(killed.root);
}

static void find_session(void)
{
    snprintf(killed.user, sizeof killed.user, "%s/nanospan-%u", killed.root, (unsigned)geteuid());
    DIR *folder = opendir(killed.user);
    MUST(folder != NULL);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.')
            snprintf(whole_name, sizeof whole_name, "%s", entry->d_name);
    closedir(folder);
    MUST(whole_name[0] != 0);
    snprintf(killed.name, sizeof killed.name, "%s", whole_name);
    killed.folder_fd = open(killed.user, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    directory_fd = openat(killed.folder_fd, killed.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    alive_fd = openat(directory_fd, "alive", O_RDWR | O_CLOEXEC);
    MUST(alive_fd >= 0);
}

static void find_files(void)
{
    for (int i = 0; i < FILES; i++) {
        struct stat about;
        files[i].fd = openat(directory_fd, names[i], O_RDWR | O_CLOEXEC);
        MUST(files[i].fd >= 0 && fstat(files[i].fd, &about) == 0);
        files[i].size = (size_t)about.st_size;
        files[i].bytes = malloc(files[i].size);
        MUST(files[i].bytes != NULL && pread(files[i].fd, files[i].bytes, files[i].size, 0) == about.st_size);
    }
}

// ---- changes ----

typedef struct region {
    int file;
    uint64_t at, size;
} region;

// Numbers of changes; smaller ones are regions. HISTORY: and the number of one of history. AWAY and CUT: and the number
// of a file.
enum { HISTORY = 0xf1, LATER = 0xf6, STATE = 0xf7, AWAY = 0xf8, CUT = 0xfc };

enum { REGIONS_MAX = 32 };
static region regions[REGIONS_MAX];
static size_t region_count, history_regions; // those of history come last

static void add_region(int file, uint64_t at, uint64_t size)
{
    MUST(region_count < REGIONS_MAX && at + size <= files[file].size);
    regions[region_count++] = (region){file, at, size};
}

static void find_regions(void)
{
    const nsp__control *control = (const nsp__control *)(const void *)files[CONTROL].bytes;
#define MEMBER(member, size) add_region(CONTROL, offsetof(nsp__control, member), (size))
    MEMBER(magic, offsetof(nsp__control, threads_max));
    MEMBER(threads_max, offsetof(nsp__control, policy_generation) - offsetof(nsp__control, threads_max));
    MEMBER(policy_generation, 4);
    MEMBER(policies, offsetof(nsp__policy, classes));
    MEMBER(counters, sizeof control->counters);
    MEMBER(clock, 1024);
    MEMBER(places, 4 * sizeof control->places[0]);
    MEMBER(names, 32 * sizeof control->names[0]);
    MEMBER(name_text, 256);
    MEMBER(resource, 256);
    MEMBER(drainer, sizeof control->drainer);
#undef MEMBER
    for (uint32_t i = 0; i < 2; i++) {
        const nsp__slot_place *place = &control->places[i];
        const nsp__slot *slot = (const nsp__slot *)(const void *)(files[THREADS].bytes + place->offset);
        uint64_t ring = place->offset + slot->ring_offset;
        add_region(THREADS, place->offset, sizeof *slot);
        add_region(THREADS, place->offset + slot->frames_offset, 2 * slot->frame_stride);
        add_region(THREADS, ring + (slot->consumed & (slot->ring_bytes - 1)), 512); // the first records
        add_region(THREADS, ring + slot->ring_bytes - 512, 1024);                   // the end, and beyond
    }
    add_region(DETACHED, 0, sizeof(nsp__frame) + 256);
    for (int kind = NSP__SECTION_BATCH_HEADER; kind <= NSP__SECTION_BATCH_DATA; kind++) {
        const nsp__section *section = find_section(control, kind);
        MUST(section != NULL);
        add_region(BATCHES, section->offset, kind == NSP__SECTION_BATCH_DATA ? 64 : 2 * section->stride);
    }
    add_region(CONTROL, offsetof(nsp__control, policies[1]), offsetof(nsp__policy, classes));
    add_region(CONTROL, offsetof(nsp__control, paths), offsetof(nsp__paths, path[1]));
    history_regions = region_count;
    // The first thread's history: where it lies, its oldest and newest records, and the end of its buffer.
    const uint64_t its = control->places[0].offset + NSP__SPECULATION_OFFSET;
    const nsp__speculation *speculation =
        (const nsp__speculation *)(const void *)(files[THREADS].bytes + its);
    const uint64_t buffer = its + speculation->slot.ring_offset, bytes = speculation->slot.ring_bytes;
    MUST(bytes != 0 && speculation->slot.consumed != 0 && speculation->history_end >= bytes);
    add_region(THREADS, its, sizeof *speculation);
    add_region(THREADS, buffer + (speculation->slot.consumed & (bytes - 1)), 512);
    add_region(THREADS, buffer + ((speculation->history_end - 512) & (bytes - 1)), 512);
    add_region(THREADS, buffer + bytes - 512, 1024);
    add_region(CONTROL, offsetof(nsp__control, outliers[control->policy_generation & 1]),
               offsetof(nsp__outliers, rule[2]));
    MUST(history_regions + (LATER - HISTORY) == region_count);
}

enum { CHANGES_MAX = 64 };
static region changed[CHANGES_MAX];
static size_t changes;

static void write_file(int file, const void *bytes, size_t length, uint64_t at)
{
    MUST(pwrite(files[file].fd, bytes, length, (off_t)at) == (ssize_t)length);
}

static void overwrite(region to, uint32_t offset, const uint8_t *bytes, uint32_t length)
{
    to.at += offset % to.size;
    to.size = length;
    if (to.at + length > files[to.file].size || changes == CHANGES_MAX)
        return;
    write_file(to.file, bytes, length, to.at);
    changed[changes++] = to;
}

static void cut(int file, uint32_t part)
{
    files[file].replaced = killed.shrunk = true;
    MUST(ftruncate(files[file].fd, (off_t)(files[file].size * part / 65536)) == 0);
}

// Moves a file away; in its place is nothing, a folder, a link to it, or a pipe.
static void put_away(int file, uint32_t what)
{
    char aside[32];
    snprintf(aside, sizeof aside, "%s.away", names[file]);
    if (files[file].away)
        return;
    files[file].away = true;
    MUST(renameat(directory_fd, names[file], directory_fd, aside) == 0);
    switch (what % 4) {
    case 1: MUST(mkdirat(directory_fd, names[file], 0700) == 0); break;
    case 2: MUST(symlinkat(aside, directory_fd, names[file]) == 0); break;
    case 3: MUST(mkfifoat(directory_fd, names[file], 0600) == 0); break;
    default: break;
    }
}

static void put_back(int file)
{
    char aside[32];
    snprintf(aside, sizeof aside, "%s.away", names[file]);
    unlinkat(directory_fd, names[file], 0);
    unlinkat(directory_fd, names[file], AT_REMOVEDIR);
    MUST(renameat(directory_fd, aside, directory_fd, names[file]) == 0);
    files[file].away = false;
}

static void set_alive(bool alive)
{
    struct flock lock = {.l_type = alive ? F_WRLCK : F_UNLCK, .l_whence = SEEK_SET, .l_len = 1};
    if (alive != killed.alive)
        MUST(fcntl(alive_fd, F_OFD_SETLK, &lock) == 0);
    killed.alive = alive;
}

static void set_accessible(bool accessible)
{
    if (accessible != killed.accessible)
        MUST(fchmod(directory_fd, accessible ? 0755 : 0700) == 0);
    killed.accessible = accessible;
}

static void set_half_made(bool half_made)
{
    char name[sizeof killed.name];
    snprintf(name, sizeof name, "%s%s", half_made ? "." : "", whole_name);
    if (strcmp(name, killed.name) != 0)
        MUST(renameat(killed.folder_fd, killed.name, killed.folder_fd, name) == 0);
    memcpy(killed.name, name, sizeof name);
}

static void set_state(uint32_t state)
{
    set_alive((state & 1) != 0);
    set_accessible((state & 2) != 0);
    set_half_made((state & 4) != 0);
}

size_t killed_session_change(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    while (size - at >= 5) {
        const uint8_t *one = bytes + at;
        uint32_t number = one[0], offset = one[1] | (uint32_t)one[2] << 8, length = one[3] % 32 + 1u;
        if (length > size - at - 4)
            length = (uint32_t)(size - at - 4);
        at += 4 + length;
        if (number == LATER)
            return at;
        if (number >= CUT)
            cut((int)(number - CUT), offset);
        else if (number >= AWAY)
            put_away((int)(number - AWAY), offset);
        else if (number == STATE)
            set_state(offset);
        else if (number >= HISTORY)
            overwrite(regions[history_regions + (number - HISTORY)], offset, one + 4, length);
        else
            overwrite(regions[number % history_regions], offset, one + 4, length);
    }
    return size;
}

void killed_session_written(void)
{
    for (int i = 0; i < FILES; i++)
        files[i].replaced = true;
}

// Files that grow again contain zeroes, hence all of their bytes are written. What a recovery notes is gone, so that the
// next one does not complete what it could not enter.
void killed_session_restore(void)
{
    static const char *const notes[] = {"settling", "settlement", "sending", "attempts"};
    set_state(0);
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        unlinkat(directory_fd, notes[i], 0);
    for (int i = 0; i < FILES; i++) {
        if (files[i].away)
            put_back(i);
        if (!files[i].replaced)
            continue;
        MUST(ftruncate(files[i].fd, (off_t)files[i].size) == 0);
        write_file(i, files[i].bytes, files[i].size, 0);
        files[i].replaced = false;
    }
    for (size_t i = 0; i < changes; i++)
        write_file(changed[i].file, files[changed[i].file].bytes + changed[i].at, changed[i].size,
                   changed[i].at);
    changes = 0;
    killed.shrunk = false;
}

const killed_session *killed_session_make(void (*engine)(const char *shm_dir))
{
    session_dir_make(killed.root);
    pid_t child = child_fork();
    MUST(child >= 0);
    if (child == 0)
        engine(killed.root);
    int status;
    while (waitpid(child, &status, 0) != child) // the fuzzer's timer interrupts it
        MUST(errno == EINTR);
    MUST(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    find_session();
    atexit(remove_session);
    find_files();
    find_regions();
    return &killed;
}
