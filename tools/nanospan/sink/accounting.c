// SPDX-License-Identifier: Apache-2.0
#include "accounting.h"

#include "support/json_text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

// Names of services come from the network, so services beyond this number are counted together, as are those whose names
// begin with the same bytes.
enum { MOST_SERVICES = 4096, MOST_NAME_BYTES = 1000 };
#define OTHER_SERVICES "(other services)"

bool accounting_open(sink_accounting *accounting, const char *output, size_t most_distinct, uint64_t wanted)
{
    *accounting = (sink_accounting){
        .lock = PTHREAD_MUTEX_INITIALIZER, .output = -1, .output_name = output, .wanted = wanted};
    accounting->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (accounting->done < 0) {
        complain("cannot create an event descriptor: %s", strerror(errno));
        return false;
    }
    if (output != NULL && strcmp(output, "-") == 0)
        accounting->output = STDOUT_FILENO;
    else if (output != NULL)
        accounting->output = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (output != NULL && accounting->output < 0) {
        complain("cannot write %s: %s; choose a folder that you may write to", output, strerror(errno));
        close(accounting->done);
        return false;
    }
    span_set_init(&accounting->distinct, most_distinct);
    return true;
}

static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length) {
        ssize_t written = write(fd, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static void raise_done(sink_accounting *accounting)
{
    uint64_t one = 1;
    // This can fail only if the event is already raised.
    ssize_t ignored = write(accounting->done, &one, sizeof one);
    (void)ignored;
}

// If a line does not fit, the file is cut back so that it holds only whole lines. If that is impossible, as
// with a pipe without a reader, the sink ends.
static bool write_line(sink_accounting *accounting, const text *line)
{
    off_t before = lseek(accounting->output, 0, SEEK_CUR);
    if (write_all(accounting->output, line->data, line->length))
        return true;
    int reason = errno;
    if (before >= 0 && ftruncate(accounting->output, before) == 0)
        lseek(accounting->output, before, SEEK_SET);
    else
        raise_done(accounting);
    if (!accounting->output_broken)
        complain("cannot write to %s: %s; the sink asks senders to retry", accounting->output_name,
                 strerror(reason));
    accounting->output_broken = true;
    return false;
}

// The length of the name, or of as much of it as is kept, which ends between characters.
static size_t beginning(slice name)
{
    size_t length = name.length;
    if (length > MOST_NAME_BYTES)
        for (length = MOST_NAME_BYTES; length > 0 && ((unsigned char)name.text[length] & 0xc0) == 0x80;)
            length--;
    return length;
}

static void add_services(sink_accounting *accounting, const otlp_request *request)
{
    for (size_t i = 0; i < request->service_count; i++) {
        const service_tally *from = &request->services[i];
        slice name =
            nsp__slice_of(accounting->services.service_count < MOST_SERVICES ? from->name : OTHER_SERVICES);
        name.length = beginning(name);
        service_tally *tally = otlp_service(&accounting->services, name);
        tally->spans += from->spans;
        tally->errors += from->errors;
        accounting->totals.errors += from->errors;
    }
}

bool accounting_take(sink_accounting *accounting, const otlp_request *request, size_t wire_bytes,
                     size_t body_bytes, bool *repeated)
{
    pthread_mutex_lock(&accounting->lock);
    bool written = accounting->output < 0 || !request->key_count || write_line(accounting, &request->json);
    if (written) {
        sink_totals *totals = &accounting->totals;
        totals->requests++;
        totals->spans += request->key_count;
        totals->rejected += request->rejected;
        totals->bytes += wire_bytes;
        totals->bytes_decoded += body_bytes;
        span_set_add(&accounting->distinct, request->keys, request->key_count, repeated);
        add_services(accounting, request);
        if (accounting->wanted && totals->spans >= accounting->wanted)
            raise_done(accounting);
    } else {
        accounting->totals.failed++;
    }
    pthread_mutex_unlock(&accounting->lock);
    return written;
}

static void count(sink_accounting *accounting, uint64_t *counter)
{
    pthread_mutex_lock(&accounting->lock);
    ++*counter;
    pthread_mutex_unlock(&accounting->lock);
}

void accounting_refused(sink_accounting *accounting)
{
    count(accounting, &accounting->totals.refused);
}

void accounting_failed(sink_accounting *accounting)
{
    count(accounting, &accounting->totals.failed);
}

void accounting_reply_lost(sink_accounting *accounting)
{
    count(accounting, &accounting->totals.replies_lost);
}

sink_totals accounting_totals(sink_accounting *accounting)
{
    pthread_mutex_lock(&accounting->lock);
    sink_totals totals = accounting->totals;
    totals.distinct = accounting->distinct.count;
    totals.distinct_is_exact = !accounting->distinct.full;
    pthread_mutex_unlock(&accounting->lock);
    return totals;
}

void accounting_json(sink_accounting *accounting, double seconds, text *out)
{
    sink_totals totals = accounting_totals(accounting);
    text_format(out,
                "{\n  \"requests\": %" PRIu64 ",\n  \"requests_refused\": %" PRIu64
                ",\n  \"requests_failed\": %" PRIu64 ",\n  \"replies_lost\": %" PRIu64
                ",\n  \"spans\": %" PRIu64 ",\n  \"distinct_span_ids\": %" PRIu64
                ",\n  \"distinct_is_exact\": %s,\n  \"spans_rejected\": %" PRIu64 ",\n  \"errors\": %" PRIu64
                ",\n  \"bytes\": %" PRIu64 ",\n  \"bytes_decoded\": %" PRIu64
                ",\n  \"seconds\": %.3f,\n  \"services\": {",
                totals.requests, totals.refused, totals.failed, totals.replies_lost, totals.spans,
                totals.distinct, totals.distinct_is_exact ? "true" : "false", totals.rejected, totals.errors,
                totals.bytes, totals.bytes_decoded, seconds);
    pthread_mutex_lock(&accounting->lock);
    for (size_t i = 0; i < accounting->services.service_count; i++) {
        const service_tally *tally = &accounting->services.services[i];
        text_format(out, "%s\n    ", i ? "," : "");
        json_string(out, nsp__slice_of(tally->name));
        text_format(out, ": {\"spans\": %" PRIu64 ", \"errors\": %" PRIu64 "}", tally->spans, tally->errors);
    }
    text_format(out, "%s}\n}\n", accounting->services.service_count ? "\n  " : "");
    pthread_mutex_unlock(&accounting->lock);
}

bool accounting_close(sink_accounting *accounting)
{
    bool sound = !accounting->output_broken;
    if (accounting->output >= 0 && close(accounting->output) != 0) {
        complain("cannot write to %s: %s", accounting->output_name, strerror(errno));
        sound = false;
    }
    close(accounting->done);
    span_set_free(&accounting->distinct);
    otlp_request_free(&accounting->services);
    pthread_mutex_destroy(&accounting->lock);
    return sound;
}
