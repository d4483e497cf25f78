// SPDX-License-Identifier: Apache-2.0
#include "engine/drop_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool drop_copy_open(struct drop_copy *copy, const char *path, size_t capacity)
{
    *copy = (struct drop_copy){.fd = -1, .capacity = capacity};
    copy->records = malloc(capacity * sizeof *copy->records);
    if (copy->records == NULL) {
        fprintf(stderr, "engine: out of memory\n");
        return false;
    }
    memset(copy->records, 0, capacity * sizeof *copy->records);
    copy->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (copy->fd < 0) {
        fprintf(stderr, "engine: cannot open the drop copy '%s': %s\n", path, strerror(errno));
        free(copy->records);
        return false;
    }
    return true;
}

void drop_copy_close(struct drop_copy *copy)
{
    close(copy->fd);
    free(copy->records);
}

void drop_copy_add(struct drop_copy *copy, struct drop_record record)
{
    if (copy->count == copy->capacity && !drop_copy_write(copy))
        return; // the lost records have used sequence numbers, so the file shows a gap
    record.sequence = ++copy->sequence;
    copy->records[copy->count++] = record;
}

bool drop_copy_write(struct drop_copy *copy)
{
    const char *bytes = (const char *)copy->records;
    size_t size = copy->count * sizeof *copy->records, done = 0;
    copy->count = 0;
    while (done < size) {
        ssize_t written = write(copy->fd, bytes + done, size - done);
        if (written > 0)
            done += (size_t)written;
        else if (written == 0 || errno != EINTR)
            return false;
    }
    return true;
}
