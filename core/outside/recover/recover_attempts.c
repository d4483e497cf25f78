// SPDX-License-Identifier: Apache-2.0
#include "outside/recover/recover_attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "common/descriptor.h"
#include "outside/session/session_files.h"

static const char file_name[] = "attempts", new_name[] = "attempts.new", settling_name[] = "settling",
                  sending_name[] = "sending";

uint32_t nsp__attempts_read(int directory)
{
    char text[12] = "";
    uint64_t size;
    int fd = nsp__session_file_open(directory, file_name, false, &size);
    if (fd < 0)
        return 0;
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    nsp__close(fd);
    return got > 0 ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

bool nsp__attempts_write(int directory, uint32_t attempts)
{
    if (attempts == 0)
        return unlinkat(directory, file_name, 0) == 0 || errno == ENOENT;
    char text[12];
    int length = snprintf(text, sizeof text, "%u\n", attempts);
    return nsp__session_file_replace(directory, file_name, new_name, text, (size_t)length);
}

void nsp__attempts_note(int directory, const char *name, uint32_t attempts)
{
    if (!nsp__attempts_write(directory, attempts))
        nsp__log(NSP_LOG_WARN, "", "cannot note in the session %s that its recovery has %s: %s", name,
                 attempts > nsp__attempts_read(directory) ? "begun" : "ended", strerror(errno));
}

static void mark(int directory, const char *name)
{
    nsp__close(nsp__open(directory, name, O_WRONLY | O_CREAT | O_EXCL, 0600));
}

static bool marked(int directory, const char *name)
{
    return faccessat(directory, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void nsp__settling_begin(int directory)
{
    mark(directory, settling_name);
}

void nsp__settling_end(int directory)
{
    unlinkat(directory, settling_name, 0);
}

bool nsp__settling_interrupted(int directory)
{
    return marked(directory, settling_name);
}

void nsp__sending_begin(int directory)
{
    mark(directory, sending_name);
}

bool nsp__sending_interrupted(int directory)
{
    return marked(directory, sending_name);
}

void nsp__sending_end(int directory)
{
    unlinkat(directory, sending_name, 0);
}
