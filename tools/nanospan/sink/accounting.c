// SPDX-License-Identifier: Apache-2.0
#include "accounting.h"

#include "support/json_text.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

// Services beyond this many are counted together: their names come from the network.
enum { MOST_SERVICES = 4096 };
#define OTHER_SERVICES "(other services)"

bool books_open(sink_books *books, const char *output, size_t most_distinct, uint64_t wanted)
{
    *books = (sink_books){
        .lock = PTHREAD_MUTEX_INITIALIZER, .output = -1, .output_name = output, .wanted = wanted};
    books->done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (books->done < 0) {
        complain("no event descriptor: %s", strerror(errno));
        return false;
    }
    if (output && strcmp(output, "-") == 0)
        books->output = STDOUT_FILENO;
    else if (output)
        books->output = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (output && books->output < 0) {
        complain("cannot write %s: %s; name a file in a folder that you may write to", output,
                 strerror(errno));
        close(books->done);
        return false;
    }
    span_set_init(&books->distinct, most_distinct);
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

static void raise_done(sink_books *books)
{
    uint64_t one = 1;
    // It can only fail because it is raised already.
    ssize_t ignored = write(books->done, &one, sizeof one);
    (void)ignored;
}

// A line that did not fit is taken back, so that the file stays whole lines; a pipe without a reader ends the sink.
static bool write_line(sink_books *books, const text *line)
{
    off_t before = lseek(books->output, 0, SEEK_CUR);
    if (write_all(books->output, line->data, line->length))
        return true;
    int reason = errno;
    if (before >= 0 && ftruncate(books->output, before) == 0)
        lseek(books->output, before, SEEK_SET);
    else
        raise_done(books);
    if (!books->output_broken)
        complain("cannot write to %s: %s; senders are told to try again", books->output_name,
                 strerror(reason));
    books->output_broken = true;
    return false;
}

static void add_services(sink_books *books, const otlp_request *request)
{
    for (size_t i = 0; i < request->service_count; i++) {
        const service_tally *from = &request->services[i];
        slice name =
            nsp__slice_of(books->services.service_count < MOST_SERVICES ? from->name : OTHER_SERVICES);
        service_tally *tally = otlp_service(&books->services, name);
        tally->spans += from->spans;
        tally->errors += from->errors;
        books->totals.errors += from->errors;
    }
}

bool books_take(sink_books *books, const otlp_request *request, size_t wire_bytes, size_t body_bytes)
{
    pthread_mutex_lock(&books->lock);
    bool written = books->output < 0 || !request->key_count || write_line(books, &request->json);
    if (written) {
        sink_totals *totals = &books->totals;
        totals->requests++;
        totals->spans += request->key_count;
        totals->rejected += request->rejected;
        totals->bytes += wire_bytes;
        totals->bytes_decoded += body_bytes;
        span_set_add(&books->distinct, request->keys, request->key_count);
        add_services(books, request);
        if (books->wanted && totals->spans >= books->wanted)
            raise_done(books);
    } else {
        books->totals.failed++;
    }
    pthread_mutex_unlock(&books->lock);
    return written;
}

static void count(sink_books *books, uint64_t *counter)
{
    pthread_mutex_lock(&books->lock);
    ++*counter;
    pthread_mutex_unlock(&books->lock);
}

void books_refused(sink_books *books)
{
    count(books, &books->totals.refused);
}

void books_failed(sink_books *books)
{
    count(books, &books->totals.failed);
}

void books_reply_lost(sink_books *books)
{
    count(books, &books->totals.replies_lost);
}

sink_totals books_totals(sink_books *books)
{
    pthread_mutex_lock(&books->lock);
    sink_totals totals = books->totals;
    totals.distinct = books->distinct.count;
    totals.distinct_is_exact = !books->distinct.full;
    pthread_mutex_unlock(&books->lock);
    return totals;
}

void books_json(sink_books *books, double seconds, text *out)
{
    sink_totals totals = books_totals(books);
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
    pthread_mutex_lock(&books->lock);
    for (size_t i = 0; i < books->services.service_count; i++) {
        const service_tally *tally = &books->services.services[i];
        text_format(out, "%s\n    ", i ? "," : "");
        json_string(out, nsp__slice_of(tally->name));
        text_format(out, ": {\"spans\": %" PRIu64 ", \"errors\": %" PRIu64 "}", tally->spans, tally->errors);
    }
    text_format(out, "%s}\n}\n", books->services.service_count ? "\n  " : "");
    pthread_mutex_unlock(&books->lock);
}

bool books_close(sink_books *books)
{
    bool sound = !books->output_broken;
    if (books->output >= 0 && close(books->output) != 0) {
        complain("cannot write to %s: %s", books->output_name, strerror(errno));
        sound = false;
    }
    close(books->done);
    span_set_free(&books->distinct);
    otlp_request_free(&books->services);
    pthread_mutex_destroy(&books->lock);
    return sound;
}
