// SPDX-License-Identifier: Apache-2.0
//
// The exporter "file": OTLP JSON, one TracesData object a line and batch, appended to nsp_config.file.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtin.h"
#include "otlp/encoding.h"
#include "text/output.h"

typedef struct file_exporter {
    void *json; // encoder
    nsp__output output;
    char *path;
} file_exporter;

static void file_destroy(void *state)
{
    file_exporter *file = state;
    if (!file)
        return;
    if (file->output.fd >= 0)
        close(file->output.fd);
    nsp__otlp_json.destroy(file->json);
    free(file->path);
    free(file);
}

static nsp_status file_open(file_exporter *file, const nsp_exporter_context *context)
{
    const char *path = context->config->file;
    if (!path || !*path) {
        context->log(NSP_LOG_ERROR, "file", "the exporter file has no path; set nsp_config.file or NSP_FILE");
        return NSP_ERR_CONFIG;
    }
    // Not to wait for the reader of a named pipe.
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0644);
    if (fd < 0) {
        context->log(NSP_LOG_ERROR, "file",
                     "cannot open '%s' to append spans: %s (the path is nsp_config.file, NSP_FILE)", path,
                     strerror(errno));
        return NSP_ERR_SYSTEM;
    }
    file->output.fd = fd;
    file->path = strdup(path);
    file->output.label = file->path;
    return file->path ? NSP_OK : NSP_ERR_NO_MEMORY;
}

static nsp_status file_create(void **state, const nsp_exporter_context *context)
{
    file_exporter *file = calloc(1, sizeof *file);
    if (!file)
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
