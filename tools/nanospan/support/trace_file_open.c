// SPDX-License-Identifier: Apache-2.0
#include "trace_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { BUFFER = 1 << 20 };

static FILE *copy_of_stdin(void)
{
    FILE *copy = tmpfile();
    char *buffer = need_memory(BUFFER);
    size_t length = 0;
    bool sound = copy != NULL;
    while (sound && (length = fread(buffer, 1, BUFFER, stdin)) > 0)
        sound = fwrite(buffer, 1, length, copy) == length;
    free(buffer);
    if (sound && !ferror(stdin) && fflush(copy) == 0) {
        rewind(copy);
        return copy;
    }
    if (copy != NULL)
        fclose(copy);
    return NULL;
}

bool trace_file_open(trace_file *file, const char *name)
{
    bool is_stdin = strcmp(name, "-") == 0;
    *file = (trace_file){.name = is_stdin ? "standard input" : name};
    file->stream = is_stdin ? copy_of_stdin() : fopen(name, "re");
    struct stat about;
    if (file->stream != NULL && fstat(fileno(file->stream), &about) == 0) {
        file->size = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
        if (S_ISREG(about.st_mode)) {
            setvbuf(file->stream, NULL, _IOFBF, BUFFER);
            return true;
        }
        errno = S_ISDIR(about.st_mode) ? EISDIR : ESPIPE;
        fclose(file->stream);
    }
    complain("cannot read %s: %s%s", file->name, strerror(errno),
             errno == ENOENT   ? "; the file should come from 'nanospan sink --output' or a file exporter"
             : errno == ESPIPE ? "; pipe it into standard input and use '-' as the file name"
                               : "");
    return false;
}

bool trace_file_memory(trace_file *file, const void *data, size_t size, const char *name)
{
    // fmemopen takes no empty buffer, and a blank line means the same.
    static const char BLANK = '\n';
    *file = (trace_file){.name = name, .size = size};
    file->stream = size != 0 ? fmemopen((void *)(uintptr_t)data, size, "rb")
                             : fmemopen((void *)(uintptr_t)&BLANK, 1, "rb");
    if (file->stream == NULL)
        complain("cannot read %s: %s", name, strerror(errno));
    return file->stream != NULL;
}

void trace_file_close(trace_file *file)
{
    fclose(file->stream);
    free(file->line);
}
