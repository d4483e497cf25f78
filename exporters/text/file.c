// SPDX-License-Identifier: Apache-2.0
//
// The exporter "file": appends OTLP JSON to nsp_config.file, one line with a TracesData object for each
// batch.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builtin.h"
#include "common/descriptor.h"
#include "otlp/encoding.h"
#include "text/output.h"

typedef struct file_exporter {
    void *json; // the encoder
    nsp__output output;
    char *label, *path; // as configured; absolute
} file_exporter;

static void file_destroy(void *state)
{
    file_exporter *file = state;
    if (file == NULL)
        return;
    nsp__output_close(&file->output);
    nsp__otlp_json.destroy(file->json);
    free(file->label);
    free(file->path);
    free(file);
}

// Does the file end in the middle of a line? A run that was killed while it wrote leaves it like that. If the
// file cannot be read, the answer is yes: an empty line is harmless, but two batches in one line are lost.
static bool is_torn(int fd, const char *path)
{
    struct stat ours, read_from;
    char last = 0;
    if (fstat(fd, &ours) != 0 || !S_ISREG(ours.st_mode) || ours.st_size == 0)
        return false;
    int reader = nsp__above_standard(open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (reader < 0)
        return true;
    bool ended = fstat(reader, &read_from) == 0 && read_from.st_dev == ours.st_dev &&
                 read_from.st_ino == ours.st_ino && pread(reader, &last, 1, ours.st_size - 1) == 1 &&
                 last == '\n';
    close(reader);
    return !ended;
}

static nsp_status file_open(file_exporter *file, const nsp_exporter_context *context)
{
    const char *path = context->config->file;
    if (path == NULL || !*path) {
        context->log(NSP_LOG_ERROR, "file", "the exporter file has no path; set nsp_config.file or NSP_FILE");
        return NSP_ERR_CONFIG;
    }
    file->label = strdup(path);
    file->path = strdup(path);
    if (file->label == NULL || file->path == NULL)
        return NSP_ERR_NO_MEMORY;
    file->output.label = file->label;
    file->output.path = file->path;
    int error = nsp__output_open(&file->output);
    if (error) {
        char text[80];
        context->log(
            NSP_LOG_ERROR, "file",
            "cannot open \"%s\" to append spans: %s (the path is set by nsp_config.file or NSP_FILE)", path,
            strerror_r(error, text, sizeof text));
        return NSP_ERR_SYSTEM;
    }
    file->output.torn = is_torn(file->output.fd, path);
    // If the process changes its working directory, as daemons do, it is still this file. A file without such
    // a path (a pipe behind /dev/stdout) keeps the path that was given.
    char *absolute = realpath(path, NULL);
    if (absolute != NULL) {
        free(file->path);
        file->output.path = file->path = absolute;
    }
    return NSP_OK;
}

static nsp_status file_create(void **state, const nsp_exporter_context *context)
{
    file_exporter *file = calloc(1, sizeof *file);
    if (file == NULL)
        return NSP_ERR_NO_MEMORY;
    file->output.fd = -1;
    file->output.cancel = context->cancel;
    nsp_status status = file_open(file, context);
    if (status == NSP_OK)
        status = nsp__otlp_json.create(&file->json, context);
    if (status != NSP_OK) {
        file_destroy(file);
        return status;
    }
    *state = file;
    return NSP_OK;
}

static void file_batch_open(void *state, nsp_batch *batch)
{
    nsp__otlp_json.open(((file_exporter *)state)->json, batch);
}

static bool file_batch_append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    return nsp__otlp_json.append(((file_exporter *)state)->json, batch, view);
}

static void file_batch_close(void *state, nsp_batch *batch)
{
    nsp__otlp_json.close(((file_exporter *)state)->json, batch);
}

static nsp_send_result file_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    return nsp__output_send(&((file_exporter *)state)->output, batch, deadline_ns, report);
}

const nsp_exporter nsp__exporter_file = {
    .size = sizeof(nsp_exporter),
    .name = "file",
    .create = file_create,
    .destroy = file_destroy,
    .open = file_batch_open,
    .append = file_batch_append,
    .close = file_batch_close,
    .send = file_send,
};
