// SPDX-License-Identifier: Apache-2.0
#include "spool.h"

#include <errno.h>
#include <sys/mman.h>

static bool cannot(spool *s)
{
    if (!s->failed)
        complain("cannot write a temporary file in " P_tmpdir ": %s",
                 errno ? strerror(errno) : "it is too long");
    s->failed = true;
    return false;
}

bool spool_open(spool *s)
{
    *s = (spool){.file = tmpfile()};
    return s->file != NULL || cannot(s);
}

spool_place spool_add(spool *s, const text *bytes)
{
    const spool_place place = {s->length, (uint32_t)bytes->length};
    if (s->failed)
        return (spool_place){0};
    errno = 0;
    if (bytes->length > UINT32_MAX ||
        (bytes->length && fwrite(bytes->data, 1, bytes->length, s->file) != bytes->length)) {
        cannot(s);
        return (spool_place){0};
    }
    s->length += bytes->length;
    return place;
}

bool spool_map(spool *s)
{
    if (s->failed)
        return false;
    if (fflush(s->file) != 0)
        return cannot(s);
    if (!s->length)
        return true;
    void *bytes = mmap(NULL, s->length, PROT_READ, MAP_PRIVATE, fileno(s->file), 0);
    if (bytes == MAP_FAILED)
        return cannot(s);
    s->bytes = bytes;
    return true;
}

void spool_close(spool *s)
{
    if (s->bytes != NULL)
        munmap((void *)(uintptr_t)s->bytes, s->length);
    if (s->file != NULL)
        fclose(s->file);
}
