// SPDX-License-Identifier: Apache-2.0
#include "support/capture.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINES_KEPT = 256, LINE_BYTES = 512, CHUNK_BYTES = 256 * 1024 };

// What append writes into the batch; the items follow, with the events' times converted.
typedef struct wire_span {
    uint32_t items_bytes;
    nsp_name name;
    uint64_t start_ns, end_ns, threshold;
    uint8_t trace_id[NSP_TRACE_ID_SIZE];
    uint8_t span_id[NSP_SPAN_ID_SIZE], parent_id[NSP_SPAN_ID_SIZE], local_root_id[NSP_SPAN_ID_SIZE];
    uint8_t kind, status, trace_flags, parent_remote;
    uint16_t dropped_attributes, dropped_events, dropped_links, reserved;
} wire_span;

typedef struct chunk {
    struct chunk *before;
    size_t used, size;
    _Alignas(16) char bytes[];
} chunk;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t owner; // the process that the content belongs to
static chunk *memory;
static captured_span **spans;
static size_t span_count, span_room;
static uint64_t received;
static int answer = NSP_SEND_EXPORTED; // atomic
static bool keep = true;               // atomic

static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static char lines[LINES_KEPT][LINE_BYTES];
static size_t line_count;

// cmocka cannot report failures on other threads, so the process ends.
__attribute__((format(printf, 1, 2), noreturn)) static void broken(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "capture: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

// ---- memory: handed out piece by piece, freed at once ----

static void *take(size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    if (memory == NULL || memory->size - memory->used < bytes) {
        size_t size = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
        chunk *fresh = malloc(sizeof *fresh + size);
        if (fresh == NULL)
            broken("out of memory");
        *fresh = (chunk){.before = memory, .size = size};
        memory = fresh;
    }
    void *piece = memory->bytes + memory->used;
    memory->used += bytes;
    return memset(piece, 0, bytes);
}

// Frees everything that was allocated since this state.
static void take_back(chunk *newest, size_t used)
{
    while (memory != newest) {
        chunk *before = memory->before;
        free(memory);
        memory = before;
    }
    if (memory != NULL)
        memory->used = used;
}

static char *take_text(const void *bytes, size_t length)
{
    char *text = take(length + 1);
    memcpy(text, bytes, length);
    return text;
}

static void forget(void)
{
    take_back(NULL, 0);
    free(spans);
    spans = NULL;
    span_count = span_room = 0;
    received = 0;
}

// ---- decoding ----

// The context's, which in an engine are the process's.
static const char *(*text_of)(const void *names, nsp_name name, size_t *length);
static const void *text_names;

static const char *name_text(nsp_name name)
{
    size_t length;
    const char *text = text_of(text_names, name, &length);
    if (name == 0 || length == 0 || strcmp(text, nsp_name_text(name, NULL)) != 0)
        broken("an item or span has name %u, which has no text", name);
    return text;
}

static void write_hex(FILE *out, const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(out, "%02x", bytes[i]);
}

// Writes the value as text; returns its count.
static size_t write_value(FILE *out, const nsp_item *item)
{
    const uint8_t *at = item->payload;
    size_t elements = item->type == NSP_TYPE_BOOLS ? item->length : item->length / 8u;
    switch (item->type) {
    case NSP_TYPE_STR: fwrite(at, 1, item->length, out); return item->length;
    case NSP_TYPE_BYTES: write_hex(out, at, item->length); return item->length;
    case NSP_TYPE_BOOL:
        if (item->length != 0 || item->small > 1)
            broken("a boolean of %u bytes, value %u", item->length, item->small);
        fputs(item->small ? "true" : "false", out);
        return 1;
    case NSP_TYPE_I64:
    case NSP_TYPE_F64:
        if (item->length != 8)
            broken("a number of %u bytes", item->length);
        break;
    case NSP_TYPE_I64S:
    case NSP_TYPE_F64S:
        if (item->length % 8 != 0)
            broken("an array of numbers of %u bytes", item->length);
        break;
    default: break;
    }
    bool array = item->type >= NSP_TYPE_STRS;
    if (array)
        fputc('[', out);
    size_t count = 0;
    if (item->type == NSP_TYPE_STRS) {
        const uint8_t *end = at + item->length;
        for (; at != end; count++) {
            uint16_t length;
            if (end - at < 2)
                broken("an array of texts ends within an element");
            memcpy(&length, at, 2);
            at += 2;
            if (end - at < length)
                broken("an array of texts: an element reaches beyond it");
            if (count != 0)
                fputc(',', out);
            fwrite(at, 1, length, out);
            at += length;
        }
    } else {
        for (; count < elements; count++) {
            int64_t integer = 0;
            double real = 0;
            if (item->type != NSP_TYPE_BOOLS) {
                memcpy(&integer, at + count * 8, 8);
                memcpy(&real, at + count * 8, 8);
            }
            if (count != 0)
                fputc(',', out);
            if (item->type == NSP_TYPE_BOOLS)
                fputs(at[count] != 0 ? "true" : "false", out);
            else if (item->type == NSP_TYPE_I64 || item->type == NSP_TYPE_I64S)
                fprintf(out, "%" PRId64, integer);
            else
                fprintf(out, "%.17g", real);
        }
    }
    if (array)
        fputc(']', out);
    return count;
}

static captured_attribute decode_attribute(const nsp_item *item)
{
    captured_attribute attribute = {.key = name_text(item->key), .type = (nsp_type)item->type};
    if (item->type < NSP_TYPE_STR || item->type > NSP_TYPE_F64S)
        broken("an item of the unknown type %u", item->type);
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    attribute.count = write_value(out, item);
    fclose(out);
    attribute.text = take_text(text, length);
    free(text);
    return attribute;
}

// The attributes of an event or link: the next items.
static const captured_attribute *decode_attached(nsp_item_cursor *cursor, size_t count)
{
    captured_attribute *attributes = take(count * sizeof *attributes);
    for (size_t i = 0; i < count; i++) {
        nsp_item item;
        if (!nsp_item_next(cursor, &item))
            broken("an event or link says it has %zu attributes and has %zu", count, i);
        attributes[i] = decode_attribute(&item);
    }
    return attributes;
}

static captured_event decode_event(const nsp_item *item, nsp_item_cursor *cursor)
{
    nsp_item_event payload;
    if (item->length != sizeof payload)
        broken("an event of %u bytes", item->length);
    memcpy(&payload, item->payload, sizeof payload);
    return (captured_event){
        .name = name_text(item->key),
        .time_ns = payload.ticks, // append converted it
        .attributes = decode_attached(cursor, payload.attribute_count),
        .attribute_count = payload.attribute_count,
        .dropped_attributes = payload.dropped_attributes,
    };
}

static captured_link decode_link(const nsp_item *item, nsp_item_cursor *cursor)
{
    nsp_item_link payload;
    if (item->length < sizeof payload)
        broken("a link of %u bytes", item->length);
    memcpy(&payload, item->payload, sizeof payload);
    captured_link link = {
        .flags = payload.flags,
        .remote = payload.remote != 0,
        .tracestate = take_text(item->payload + sizeof payload, item->length - sizeof payload),
        .attributes = decode_attached(cursor, payload.attribute_count),
        .attribute_count = payload.attribute_count,
        .dropped_attributes = payload.dropped_attributes,
    };
    memcpy(link.trace_id, payload.trace_id, sizeof link.trace_id);
    memcpy(link.span_id, payload.span_id, sizeof link.span_id);
    return link;
}

// Counts items first, so that a span takes no more memory than it needs.
static void make_room(captured_span *span, const uint8_t *items, size_t bytes)
{
    size_t attributes = 0, events = 0, links = 0;
    nsp_item_cursor cursor = {items, items + bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        attributes += item.type < NSP_ITEM_EVENT;
        events += item.type == NSP_ITEM_EVENT;
        links += item.type == NSP_ITEM_LINK;
    }
    span->attributes = take(attributes * sizeof *span->attributes);
    span->events = take(events * sizeof *span->events);
    span->links = take(links * sizeof *span->links);
}

static void decode_items(captured_span *span, const uint8_t *items, size_t bytes)
{
    make_room(span, items, bytes);
    captured_attribute *attributes = (captured_attribute *)span->attributes;
    captured_event *events = (captured_event *)span->events;
    captured_link *links = (captured_link *)span->links;
    nsp_item_cursor cursor = {items, items + bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        switch (item.type) {
        case NSP_ITEM_EVENT: events[span->event_count++] = decode_event(&item, &cursor); break;
        case NSP_ITEM_LINK: links[span->link_count++] = decode_link(&item, &cursor); break;
        case NSP_ITEM_STATUS_MESSAGE: span->status_message = take_text(item.payload, item.length); break;
        case NSP_ITEM_TRACESTATE: span->tracestate = take_text(item.payload, item.length); break;
        default:
            if (item.type < NSP_ITEM_EVENT) // other types are not for exporters
                attributes[span->attribute_count++] = decode_attribute(&item);
        }
    }
    if (cursor.at != items + bytes)
        broken("span %s: items end at %td of %zu bytes", span->name, cursor.at - items, bytes);
}

static bool is_zero(const uint8_t *id, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (id[i] != 0)
            return false;
    return true;
}

static void check(const captured_span *span)
{
    if (is_zero(span->trace_id, sizeof span->trace_id) || is_zero(span->span_id, sizeof span->span_id) ||
        is_zero(span->local_root_id, sizeof span->local_root_id))
        broken("span %s has an id that is zero", span->name);
    if (span->end_ns <= span->start_ns)
        broken("span %s ends at %" PRIu64 ", which is not after its start %" PRIu64, span->name, span->end_ns,
               span->start_ns);
    if (span->kind > NSP_KIND_CONSUMER || span->status > NSP_SPAN_STATUS_ERROR)
        broken("span %s has kind %u and status %u", span->name, span->kind, span->status);
}

static captured_span *decode(const wire_span *wire, const uint8_t *items)
{
    captured_span *span = take(sizeof *span);
    span->name = name_text(wire->name);
    memcpy(span->trace_id, wire->trace_id, sizeof span->trace_id);
    memcpy(span->span_id, wire->span_id, sizeof span->span_id);
    memcpy(span->parent_id, wire->parent_id, sizeof span->parent_id);
    memcpy(span->local_root_id, wire->local_root_id, sizeof span->local_root_id);
    span->start_ns = wire->start_ns;
    span->end_ns = wire->end_ns;
    span->threshold = wire->threshold;
    span->kind = wire->kind;
    span->status = wire->status;
    span->trace_flags = wire->trace_flags;
    span->parent_remote = wire->parent_remote != 0;
    span->dropped_attributes = wire->dropped_attributes;
    span->dropped_events = wire->dropped_events;
    span->dropped_links = wire->dropped_links;
    span->tracestate = span->status_message = "";
    decode_items(span, items, wire->items_bytes);
    check(span);
    return span;
}

static void keep_span(captured_span *span)
{
    if (span_count == span_room) {
        span_room = span_room != 0 ? 2 * span_room : 1024;
        spans = realloc(spans, span_room * sizeof *spans);
        if (spans == NULL)
            broken("out of memory");
    }
    spans[span_count++] = span;
}

// ---- the exporter ----

static const int *cancel; // atomic

static nsp_status create(void **state, const nsp_exporter_context *context)
{
    cancel = context->cancel;
    text_of = context->name_text;
    text_names = context->names;
    *state = NULL;
    if (owner != getpid()) {
        // In a forked child, the parent's sender and whatever mutexes it held do not matter.
        mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        log_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        if (owner != 0) {
            // Left in memory, not freed, because the parent's sender may have been changing it.
            memory = NULL;
            spans = NULL;
            span_count = span_room = 0;
            received = 0;
            line_count = 0;
            keep = true;
        }
        owner = getpid();
    }
    return NSP_OK;
}

static void destroy(void *state)
{
    (void)state; // the spans stay, so that they can be examined after shutdown
}

static void convert_times(uint8_t *items, size_t bytes, const nsp_span_view *view)
{
    nsp_item_cursor cursor = {items, items + bytes};
    nsp_item item;
    while (nsp_item_next(&cursor, &item)) {
        if (item.type != NSP_ITEM_EVENT || item.length != sizeof(nsp_item_event))
            continue;
        nsp_item_event event;
        memcpy(&event, item.payload, sizeof event);
        event.ticks = nsp_span_view_ns(view, event.ticks);
        memcpy(items + (item.payload - items), &event, sizeof event);
    }
}

static bool append(void *state, nsp_batch *batch, const nsp_span_view *view)
{
    (void)state;
    wire_span wire;
    size_t bytes = sizeof wire + view->items_bytes;
    if (batch->capacity - batch->length < bytes)
        return false;
    memset(&wire, 0, sizeof wire);
    wire.items_bytes = view->items_bytes;
    wire.name = view->name;
    wire.start_ns = view->start_ns;
    wire.end_ns = view->end_ns;
    wire.threshold = view->threshold;
    memcpy(wire.trace_id, view->trace_id, sizeof wire.trace_id);
    memcpy(wire.span_id, view->span_id, sizeof wire.span_id);
    memcpy(wire.parent_id, view->parent_id, sizeof wire.parent_id);
    memcpy(wire.local_root_id, view->local_root_id, sizeof wire.local_root_id);
    wire.kind = view->kind;
    wire.status = view->status;
    wire.trace_flags = view->trace_flags;
    wire.parent_remote = view->parent_remote;
    wire.dropped_attributes = view->dropped_attributes;
    wire.dropped_events = view->dropped_events;
    wire.dropped_links = view->dropped_links;
    memcpy(batch->data + batch->length, &wire, sizeof wire);
    memcpy(batch->data + batch->length + sizeof wire, view->items, view->items_bytes);
    convert_times(batch->data + batch->length + sizeof wire, view->items_bytes, view);
    batch->length += bytes;
    return true;
}

static nsp_send_result receive(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                               nsp_send_report *report)
{
    (void)state;
    (void)deadline_ns;
    memset(report, 0, sizeof *report);
    report->answered = true;
    report->bytes = batch->length - batch->head;
    nsp_send_result result = (nsp_send_result)__atomic_load_n(&answer, __ATOMIC_ACQUIRE);
    if (result != NSP_SEND_EXPORTED && result != NSP_SEND_UNKNOWN)
        return result;
    pthread_mutex_lock(&mutex);
    bool keeps = __atomic_load_n(&keep, __ATOMIC_RELAXED);
    uint32_t count = 0;
    for (size_t at = batch->head; at != batch->length; count++) {
        wire_span wire;
        if (batch->length - at < sizeof wire)
            broken("a batch ends within a span");
        memcpy(&wire, batch->data + at, sizeof wire);
        at += sizeof wire;
        chunk *newest = memory;
        size_t used = newest != NULL ? newest->used : 0;
        bool whole = batch->length - at >= wire.items_bytes;
        uint8_t *items = take(whole ? wire.items_bytes : 0);
        memcpy(items, batch->data + at, whole ? wire.items_bytes : 0);
        // The shutdown no longer waits, and the batch soon reads as zeros; what was copied before is whole.
        if (__atomic_load_n(cancel, __ATOMIC_ACQUIRE) != 0) {
            take_back(newest, used);
            pthread_mutex_unlock(&mutex);
            return NSP_SEND_RETRY;
        }
        if (!whole)
            broken("a span's items reach beyond the batch");
        captured_span *span = decode(&wire, items);
        if (keeps)
            keep_span(span);
        else
            take_back(newest, used); // decoded only to check it
        at += wire.items_bytes;
    }
    if (count != batch->spans)
        broken("a batch of %u spans has %u", batch->spans, count);
    received += count;
    pthread_mutex_unlock(&mutex);
    return result;
}

const nsp_exporter capture_exporter = {
    .size = sizeof(nsp_exporter),
    .name = "capture",
    .create = create,
    .destroy = destroy,
    .append = append,
    .send = receive,
};

// ---- set up ----

static void keep_line(void *context, nsp_log_level level, const char *line)
{
    (void)context;
    (void)level;
    pthread_mutex_lock(&log_mutex);
    if (line_count < LINES_KEPT)
        snprintf(lines[line_count], LINE_BYTES, "%s", line);
    line_count++;
    pthread_mutex_unlock(&log_mutex);
}

void capture_config(nsp_config *config)
{
    owner = getpid();
    nsp_config_init(config);
    config->service_name = "test";
    config->custom_exporter = &capture_exporter;
    config->log = keep_line;
    config->poll_min_ns = 1000000;
    config->schedule_delay_ns = 60000000000u;
}

void capture_start(const nsp_config *config)
{
    nsp_status status = nsp_init(config);
    if (status != NSP_OK)
        fail_msg("nsp_init: %s: %s", nsp_status_str(status), nsp_error_detail());
}

void capture_begin(double sample_rate)
{
    nsp_config config;
    capture_config(&config);
    config.sample_rate = sample_rate;
    capture_start(&config);
}

// Long enough for a sanitizer on a machine with ten times as much to do: what hangs is ended by ctest.
#define PATIENCE_NS UINT64_C(600000000000)

void capture_settle(void)
{
    assert_int_equal(nsp_flush(PATIENCE_NS), NSP_OK);
}

nsp_stats capture_balance(void)
{
    nsp_stats stats = NSP_STATS_INIT;
    assert_int_equal(nsp_stats_get(&stats), NSP_OK);
    uint64_t sum = stats.open + stats.dropped + stats.discarded + stats.in_rings + stats.in_batches +
                   stats.unconfirmed + stats.rejected + stats.exported + stats.spooled;
    if (stats.attempted != sum)
        fail_msg("attempted %" PRIu64 " != %" PRIu64 " = open %" PRIu64 " + dropped %" PRIu64
                 " + discarded %" PRIu64 " + in rings %" PRIu64 " + in batches %" PRIu64
                 " + unconfirmed %" PRIu64 " + rejected %" PRIu64 " + exported %" PRIu64
                 " + spooled %" PRIu64,
                 stats.attempted, sum, stats.open, stats.dropped, stats.discarded, stats.in_rings,
                 stats.in_batches, stats.unconfirmed, stats.rejected, stats.exported, stats.spooled);
    return stats;
}

void capture_end(void)
{
    assert_int_equal(nsp_shutdown(PATIENCE_NS), NSP_OK);
    assert_int_equal(capture_balance().open, 0);
    capture_forget();
}

int capture_sampled(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_begin(1.0);
    return 0;
}

int capture_reset(void **state)
{
    (void)state;
    nsp_thread_reset();
    capture_end();
    return 0;
}

int capture_teardown(void **state)
{
    (void)state;
    nsp_thread_reset();
    nsp_shutdown(1000000000u);
    capture_forget();
    return 0;
}

void capture_forget(void)
{
    pthread_mutex_lock(&mutex);
    forget();
    pthread_mutex_unlock(&mutex);
    pthread_mutex_lock(&log_mutex);
    line_count = 0;
    pthread_mutex_unlock(&log_mutex);
    __atomic_store_n(&answer, NSP_SEND_EXPORTED, __ATOMIC_RELEASE);
    __atomic_store_n(&keep, true, __ATOMIC_RELAXED);
}

void capture_answer(nsp_send_result result)
{
    __atomic_store_n(&answer, result, __ATOMIC_RELEASE);
}

void capture_keep(bool wanted)
{
    __atomic_store_n(&keep, wanted, __ATOMIC_RELAXED);
}

// ---- received spans ----

size_t capture_count(void)
{
    pthread_mutex_lock(&mutex);
    size_t count = span_count;
    pthread_mutex_unlock(&mutex);
    return count;
}

uint64_t capture_received(void)
{
    pthread_mutex_lock(&mutex);
    uint64_t count = received;
    pthread_mutex_unlock(&mutex);
    return count;
}

const captured_span *capture_at(size_t index)
{
    pthread_mutex_lock(&mutex);
    const captured_span *span = index < span_count ? spans[index] : NULL;
    pthread_mutex_unlock(&mutex);
    if (span == NULL)
        fail_msg("there is no span %zu of %zu", index, capture_count());
    return span;
}

const captured_span *capture_named(const char *name)
{
    for (size_t i = 0; i < capture_count(); i++)
        if (strcmp(capture_at(i)->name, name) == 0)
            return capture_at(i);
    fail_msg("no span named %s among %zu", name, capture_count());
    return NULL;
}

size_t capture_count_named(const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < capture_count(); i++)
        count += strcmp(capture_at(i)->name, name) == 0;
    return count;
}

static int by_id(const void *left, const void *right)
{
    return memcmp(left, right, NSP_SPAN_ID_SIZE);
}

size_t capture_distinct(void)
{
    size_t count = capture_count(), distinct = 0;
    uint8_t(*ids)[NSP_SPAN_ID_SIZE] = calloc(count + 1, sizeof *ids);
    if (ids == NULL)
        broken("out of memory");
    for (size_t i = 0; i < count; i++)
        memcpy(ids[i], capture_at(i)->span_id, sizeof ids[i]);
    qsort(ids, count, sizeof *ids, by_id);
    for (size_t i = 0; i < count; i++)
        distinct += i == 0 || memcmp(ids[i - 1], ids[i], sizeof ids[i]) != 0;
    free(ids);
    return distinct;
}

const captured_attribute *captured_attribute_of(const captured_span *span, const char *key)
{
    for (size_t i = span->attribute_count; i-- > 0;)
        if (strcmp(span->attributes[i].key, key) == 0)
            return &span->attributes[i];
    return NULL;
}

const char *captured_text(const captured_span *span, const char *key)
{
    const captured_attribute *attribute = captured_attribute_of(span, key);
    return attribute != NULL ? attribute->text : NULL;
}

bool captured_child_of(const captured_span *child, const captured_span *parent)
{
    return memcmp(child->trace_id, parent->trace_id, sizeof child->trace_id) == 0 &&
           memcmp(child->parent_id, parent->span_id, sizeof child->parent_id) == 0;
}

// ---- the log ----

size_t capture_lines(void)
{
    pthread_mutex_lock(&log_mutex);
    size_t count = line_count;
    pthread_mutex_unlock(&log_mutex);
    return count;
}

const char *capture_line(size_t index)
{
    return index < capture_lines() && index < LINES_KEPT ? lines[index] : "";
}

size_t capture_lines_with(const char *text)
{
    size_t count = capture_lines(), found = 0;
    for (size_t i = 0; i < count && i < LINES_KEPT; i++)
        found += strstr(lines[i], text) != NULL;
    return found;
}

void capture_await_line_with(const char *text)
{
    while (capture_lines_with(text) == 0)
        usleep(1000);
}
