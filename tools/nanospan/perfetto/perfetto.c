// SPDX-License-Identifier: Apache-2.0
//
// The packets, in the order of time. Readers sort packets by time and keep the order of those with the same time, so on
// each track they must already nest in the order of the file: lanes_place has given all begins and ends such an order.
#include "perfetto.h"

#include "flows.h"
#include "proto.h"
#include "schema.h"
#include "support/output_file.h"
#include "support/units.h"
#include "tracks.h"
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEQUENCE = 1, FLUSH_AT = 1 << 16, PROGRESS_POINTS = 1 << 16 };

// A begin, an end, or an event in between.
typedef struct track_point {
    uint64_t time;
    uint64_t order;  // of the begins and ends; that of its span's begin for an event
    uint32_t number; // 0, or 1 + the event's number within its span
    uint32_t what;   // row, or index of an event
    uint8_t type;    // EVENT_BEGIN ...
} track_point;

typedef struct writing {
    collected *from;
    tracks tracks;
    flows flows;
    track_point *points;
    size_t point_count;
    output_file file;
    text out;
} writing;

static int by_time(const void *a, const void *b)
{
    const track_point *left = a, *right = b;
    if (left->time != right->time)
        return left->time < right->time ? -1 : 1;
    if (left->order != right->order)
        return left->order < right->order ? -1 : 1;
    return left->number < right->number ? -1 : left->number > right->number;
}

static void find_points(writing *w)
{
    const collected *c = w->from;
    w->points = need_memory((2 * c->span_count + c->instant_count + 1) * sizeof *w->points);
    for (uint32_t i = 0; i < c->store->row_count; i++) {
        const placed_span *span = &c->spans[i];
        if (span->group == LANES_NONE)
            continue;
        w->points[w->point_count++] = (track_point){span->start, span->begins, 0, i, EVENT_BEGIN};
        w->points[w->point_count++] = (track_point){span->end, span->ends, 0, i, EVENT_END};
    }
    for (uint32_t i = 0; i < c->instant_count; i++) {
        const span_instant *instant = &c->instants[i];
        w->points[w->point_count++] =
            (track_point){instant->time, c->spans[instant->row].begins, instant->number, i, EVENT_INSTANT};
    }
    qsort(w->points, w->point_count, sizeof *w->points, by_time);
}

// A failure is reported at the end; until then, nothing more needs to be made.
static bool put_out(writing *w)
{
    output_file_write(&w->file, (slice){w->out.data, w->out.length});
    w->out.length = 0;
    return w->file.error == 0;
}

static bool put_much(writing *w)
{
    return w->out.length < FLUSH_AT || put_out(w);
}

static size_t begin_packet(text *out, uint64_t flags)
{
    const size_t packet = proto_open(out, TRACE_PACKET);
    proto_number(out, PACKET_SEQUENCE_ID, SEQUENCE);
    proto_number(out, PACKET_SEQUENCE_FLAGS, flags);
    return packet;
}

// Times are Unix nanoseconds. The file says that they are of the clock REALTIME and that this is its only clock, so they
// are not converted: queries give them as they are, and the time line can show dates. Without it, they would count as
// times since the machine was started.
static void put_clock(writing *w)
{
    text *out = &w->out;
    size_t packet = begin_packet(out, SEQUENCE_STATE_CLEARED);
    const size_t defaults = proto_open(out, PACKET_DEFAULTS);
    proto_number(out, DEFAULTS_CLOCK_ID, BUILTIN_CLOCK_REALTIME);
    proto_close(out, defaults);
    proto_close(out, packet);
    packet = begin_packet(out, SEQUENCE_NEEDS_STATE);
    const size_t snapshot = proto_open(out, PACKET_CLOCK_SNAPSHOT), clock = proto_open(out, SNAPSHOT_CLOCKS);
    proto_number(out, CLOCK_ID, BUILTIN_CLOCK_REALTIME);
    proto_number(out, CLOCK_TIMESTAMP, w->point_count ? w->points[0].time : 0);
    proto_close(out, clock);
    proto_number(out, SNAPSHOT_PRIMARY_CLOCK, BUILTIN_CLOCK_REALTIME);
    proto_close(out, snapshot);
    proto_close(out, packet);
}

static void put_interned(writing *w, uint32_t field, uint64_t iid, slice value)
{
    const size_t packet = begin_packet(&w->out, SEQUENCE_NEEDS_STATE);
    const size_t data = proto_open(&w->out, PACKET_INTERNED_DATA), entry = proto_open(&w->out, field);
    proto_number(&w->out, INTERNED_IID, iid);
    proto_string(&w->out, INTERNED_TEXT, value);
    proto_close(&w->out, entry);
    proto_close(&w->out, data);
    proto_close(&w->out, packet);
}

static bool put_names(writing *w, const interning *names, uint32_t field)
{
    bool sound = true;
    for (uint32_t i = 0; sound && i < names->count; i++) {
        put_interned(w, field, i + UINT64_C(1), interning_at(names, i));
        sound = put_much(w);
    }
    return sound;
}

static bool put_descriptors(writing *w)
{
    bool sound = true;
    for (uint32_t i = 0; sound && i < w->from->process_count; i++) {
        tracks_describe_process(&w->tracks, i, &w->out);
        sound = put_much(w);
    }
    for (uint32_t i = 0; sound && i < w->tracks.lanes.count; i++) {
        tracks_describe_lane(&w->tracks, i, &w->out);
        sound = put_much(w);
    }
    return sound;
}

static void put_flows(writing *w, uint32_t row)
{
    for (size_t i = flows_of(&w->flows, row); i < w->flows.end_count && w->flows.ends[i].row == row; i++)
        proto_fixed64(&w->out, EVENT_FLOW_IDS, tracks_flow_id(&w->tracks, w->flows.ends[i].number));
}

static void put_point(writing *w, const track_point *m)
{
    const collected *c = w->from;
    text *out = &w->out;
    const uint32_t row = m->type == EVENT_INSTANT ? c->instants[m->what].row : m->what;
    const size_t packet = begin_packet(out, SEQUENCE_NEEDS_STATE);
    proto_number(out, PACKET_TIMESTAMP, m->time);
    const size_t event = proto_open(out, PACKET_TRACK_EVENT);
    proto_number(out, EVENT_TYPE, m->type);
    proto_number(out, EVENT_TRACK_UUID, tracks_uuid_of_lane(&w->tracks, c->spans[row].lane));
    if (m->type == EVENT_BEGIN) {
        text_slice(out, spool_read(&c->bodies, c->encoded[row]));
        put_flows(w, row);
    } else if (m->type == EVENT_INSTANT) {
        text_slice(out, spool_read(&c->bodies, c->instants[m->what].body));
    }
    proto_close(out, event);
    proto_close(out, packet);
}

static bool put_points(writing *w, bool show_progress)
{
    bool sound = true;
    for (size_t i = 0; sound && i < w->point_count; i++) {
        put_point(w, &w->points[i]);
        sound = put_much(w);
        if (show_progress && i % PROGRESS_POINTS == 0)
            fprintf(stderr, "\r\033[Kwriting: %zu %%", i * 100 / w->point_count);
    }
    if (show_progress)
        fputs("\r\033[K", stderr);
    return sound;
}

// The id of a trace is text of an annotation, and what its spans have in common.
static bool put_traces(writing *w, const trace *const *chosen, size_t count)
{
    bool sound = true;
    for (size_t i = 0; sound && i < count; i++) {
        char digits[33];
        const uint64_t iid = (uint64_t)(chosen[i] - w->from->store->traces) + 1;
        snprintf(digits, sizeof digits, "%016" PRIx64 "%016" PRIx64, chosen[i]->id[0], chosen[i]->id[1]);
        put_interned(w, INTERNED_STRINGS, iid, (slice){digits, 32});
        put_interned(w, INTERNED_CORRELATIONS, iid, (slice){digits, 32});
        sound = put_much(w);
    }
    return sound;
}

static void add_count(text *out, uint64_t count, const char *one, const char *many)
{
    char number[UNITS_SIZE];
    units_count(number, count);
    text_format(out, "%s %s", number, count == 1 ? one : many);
}

static void say_what(const writing *w, const char *path, uint64_t length, size_t traces)
{
    char size[UNITS_SIZE];
    text line = {0};
    units_bytes(size, (double)length);
    add_count(&line, traces, "trace", "traces");
    text_put(&line, ", ");
    add_count(&line, w->from->span_count, "span", "spans");
    text_put(&line, " of ");
    add_count(&line, w->from->process_count, "process", "processes");
    text_put(&line, " on ");
    add_count(&line, w->tracks.lanes.count, "track", "tracks");
    text_put(&line, ", ");
    add_count(&line, w->from->instant_count, "event", "events");
    text_put(&line, ", ");
    add_count(&line, w->flows.count, "flow", "flows");
    complain("%s: %.*s; %s; https://ui.perfetto.dev opens it",
             strcmp(path, "-") == 0 ? "standard output" : path, (int)line.length, line.data, size);
    text_free(&line);
}

static void put_all(writing *w, const perfetto_input *in, bool show_progress)
{
    put_clock(w);
    if (put_names(w, &w->from->names.events, INTERNED_EVENT_NAMES) &&
        put_names(w, &w->from->names.annotations, INTERNED_ANNOTATION_NAMES) &&
        put_traces(w, in->traces, in->trace_count) && put_descriptors(w) && put_points(w, show_progress))
        put_out(w);
}

static bool is_terminal(const char *path)
{
    if (strcmp(path, "-") != 0 || !isatty(STDOUT_FILENO))
        return false;
    complain("what --perfetto writes is no text for a terminal; name a file, or send standard output to one");
    return true;
}

bool perfetto_write(const perfetto_input *in, const char *path)
{
    collected c;
    writing w = {.from = &c};
    if (is_terminal(path) || !output_file_open(&w.file, path))
        return false;
    bool sound = collect(&c, in);
    if (!sound) {
        output_file_drop(&w.file);
    } else {
        tracks_lay(&w.tracks, &c);
        flows_find(&w.flows, &c);
        find_points(&w);
        put_all(&w, in, in->file_count && in->files[0].show_progress);
        const uint64_t length = w.file.length;
        sound = output_file_finish(&w.file);
        if (sound)
            say_what(&w, path, length, in->trace_count);
        free(w.points);
        flows_free(&w.flows);
        tracks_free(&w.tracks);
    }
    text_free(&w.out);
    collected_free(&c);
    return sound;
}
