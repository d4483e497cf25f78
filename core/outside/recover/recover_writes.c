// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/recover_writes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/descriptor.h"
#include "outside/recover/recover_attempts.h"
#include "outside/session/session_files.h"

static const char file_name[] = "settlement", new_name[] = "settlement.new";

// Changes with the form of the note; one of another form is not believed.
#define MAGIC UINT64_C(0x31746e6c7470736e)

typedef struct head {
    uint64_t magic;
    uint64_t length;               // of the writes behind it, in bytes
    uint64_t interrupted;          // 1: so was an earlier recovery, by the mark `settling`
    nsp__counters counters, after; // of the session, as they are and as they become: last of all
} head;

// Before the bytes of each, which are followed by padding to the next multiple of 8.
typedef struct one {
    uint64_t at; // in the file
    uint32_t file, bytes;
} one;

static size_t padded(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

// ---- putting them together ----

void nsp__writes_clear(nsp__writes *writes)
{
    writes->length = sizeof(head);
}

void nsp__writes_free(nsp__writes *writes)
{
    free(writes->bytes);
    *writes = (nsp__writes){0};
}

size_t nsp__writes_end(const nsp__writes *writes)
{
    return writes->length;
}

static bool reserve(nsp__writes *writes, size_t more)
{
    if (more <= writes->capacity - writes->length && writes->bytes != NULL)
        return true;
    const size_t capacity = 2 * (writes->length + more);
    uint8_t *bytes = realloc(writes->bytes, capacity);
    if (bytes == NULL)
        return false;
    writes->bytes = bytes;
    writes->capacity = capacity;
    return true;
}

bool nsp__writes_put(nsp__writes *writes, nsp__written_file file, const void *bytes, size_t length,
                     uint64_t at)
{
    const one it = {at, file, (uint32_t)length};
    const size_t all = sizeof it + padded(length);
    if (!reserve(writes, all))
        return false;
    uint8_t *to = writes->bytes + writes->length;
    memset(to, 0, all);
    memcpy(to, &it, sizeof it);
    memcpy(to + sizeof it, bytes, length);
    writes->length += all;
    return true;
}

// ---- making them ----

static int descriptor_of(const nsp__session_copy *copy, uint32_t file)
{
    const int descriptors[NSP__WRITTEN_FILES] = {copy->threads_fd, copy->detached_fd, copy->batches_fd};
    return descriptors[file];
}

static one at(const nsp__writes *writes, size_t position)
{
    one it;
    memcpy(&it, writes->bytes + position, sizeof it);
    return it;
}

bool nsp__writes_make(const nsp__writes *writes, const nsp__session_copy *copy, size_t from, size_t to)
{
    one it;
    for (size_t i = from == 0 ? sizeof(head) : from; i < to; i += sizeof it + padded(it.bytes)) {
        it = at(writes, i);
        if (!nsp__write_at(descriptor_of(copy, it.file), writes->bytes + i + sizeof it, it.bytes, it.at))
            return false;
    }
    return true;
}

static uint64_t counters_at(const nsp__session_copy *copy)
{
    return nsp__session_copy_section_at(copy, NSP__SECTION_COUNTERS);
}

bool nsp__counters_write(const nsp__session_copy *copy, const nsp__counters *counters)
{
    return nsp__write_at(copy->control_fd, counters, sizeof *counters, counters_at(copy));
}

// ---- the note ----

bool nsp__writes_note(nsp__writes *writes, const nsp__session_copy *copy, const nsp__counters *after,
                      bool interrupted)
{
    head its = {
        .magic = MAGIC, .length = writes->length - sizeof its, .interrupted = interrupted, .after = *after};
    nsp__writes_forget(copy->directory);
    if (!reserve(writes, 0) ||
        !nsp__read_at(copy->control_fd, &its.counters, sizeof its.counters, counters_at(copy)))
        return false;
    memcpy(writes->bytes, &its, sizeof its);
    return nsp__session_file_replace(copy->directory, file_name, new_name, writes->bytes, writes->length);
}

void nsp__writes_forget(int directory)
{
    unlinkat(directory, file_name, 0);
}

// Nothing is noted twice, so it is no longer than what it is about.
static bool length_possible(const nsp__session_copy *copy, uint64_t size)
{
    return size >= sizeof(head) &&
           size - sizeof(head) <= copy->threads_size + copy->detached_size + copy->batches_size;
}

static bool read_note(const nsp__session_copy *copy, nsp__writes *out)
{
    uint64_t size;
    const int fd = nsp__session_file_open(copy->directory, file_name, false, &size);
    bool read = fd >= 0 && length_possible(copy, size);
    nsp__writes_clear(out);
    if (read && reserve(out, size - out->length) && nsp__read_at(fd, out->bytes, size, 0))
        out->length = size;
    else
        read = false;
    nsp__close(fd);
    return read;
}

static bool writes_sane(const nsp__writes *writes)
{
    size_t i = sizeof(head);
    while (writes->length - i >= sizeof(one)) {
        const one it = at(writes, i);
        i += sizeof it;
        if (it.file >= NSP__WRITTEN_FILES || padded(it.bytes) > writes->length - i)
            return false;
        i += padded(it.bytes);
    }
    return i == writes->length;
}

// Its counters are those before or after it. Otherwise a recovery of a release that knows no such notes has gone on since.
static bool is_true(const nsp__session_copy *copy, const nsp__writes *writes, const head *its)
{
    nsp__counters now;
    return its->magic == MAGIC && its->length == writes->length - sizeof *its && writes_sane(writes) &&
           nsp__read_at(copy->control_fd, &now, sizeof now, counters_at(copy)) &&
           (memcmp(&now, &its->counters, sizeof now) == 0 || memcmp(&now, &its->after, sizeof now) == 0);
}

bool nsp__writes_complete(const nsp__session_copy *copy)
{
    nsp__writes writes = {0};
    head its;
    bool made = false;
    if (read_note(copy, &writes)) {
        memcpy(&its, writes.bytes, sizeof its);
        made = is_true(copy, &writes, &its) && nsp__writes_make(&writes, copy, 0, writes.length) &&
               nsp__counters_write(copy, &its.after);
    }
    if (made) {
        nsp__writes_forget(copy->directory);
        if (its.interrupted == 0)
            nsp__settling_end(copy->directory);
    }
    nsp__writes_free(&writes);
    return made;
}
