// SPDX-License-Identifier: Apache-2.0
//
// A batch that is too large for its receiver arrives in halves, each span once, down to a single span that is
// too large by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "builtin.h"
#include "drain/sender.h"
#include "grpc/frame.h"
#include "otlp.pb-c.h"
#include "support/h2_server.h"
#include "support/http_server.h"
#include "support/otlp_sender.h"
#include "support/span_builder.h"

enum { SPANS_MAX = 512, ROOM = 1 << 20 };

// A receiver that takes requests of at most `limit` bytes.
typedef struct world {
    http_server *http;
    h2_server *h2;
    otlp_sender otlp;
    nsp_batch batch;
    size_t limit;
    http_reply refusal;
    const char *grpc_refusal; // its trailers
    unsigned busy;            // that many requests, starting with request `busy_from`, are answered with 503
    unsigned busy_from, seen;
    unsigned delay_ms;               // of each answer
    unsigned came[SPANS_MAX], taken; // how often each span was taken
} world;

static void take_span(world *w, const Nanospan__Otlp__Span *span)
{
    uint16_t number;
    memcpy(&number, span->span_id.data, sizeof number);
    assert_true(number < SPANS_MAX);
    w->came[number]++;
    w->taken++;
}

// A part is a complete request: resource, scope and spans.
static void take_protobuf(world *w, const uint8_t *bytes, size_t length)
{
    Nanospan__Otlp__Request *request = nanospan__otlp__request__unpack(NULL, length, bytes);
    assert_non_null(request);
    assert_int_equal(request->n_resource_spans, 1);
    assert_int_equal(request->resource_spans[0]->resource->n_attributes, 1);
    assert_int_equal(request->resource_spans[0]->n_scope_spans, 1);
    const Nanospan__Otlp__ScopeSpans *scope = request->resource_spans[0]->scope_spans[0];
    assert_string_equal(scope->scope->name, "nanospan");
    for (size_t i = 0; i < scope->n_spans; i++)
        take_span(w, scope->spans[i]);
    nanospan__otlp__request__free_unpacked(request, NULL);
}

// Spans are recognised by their ids alone; the beginning and the end show that the text is JSON.
static void take_json(world *w, const char *text, size_t length)
{
    static const char begin[] =
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\"",
                      id[] = "\"spanId\":\"", end[] = "}]}]}]}\n";
    assert_memory_equal(text, begin, sizeof begin - 1);
    assert_memory_equal(text + length - (sizeof end - 1), end, sizeof end - 1);
    assert_null(memmem(text, length, "},]", 3));
    const char *stop = text + length;
    for (const char *at = text; (at = memmem(at, (size_t)(stop - at), id, sizeof id - 1)); at++) {
        char digits[5] = {at[12], at[13], at[10], at[11], 0};
        unsigned number = (unsigned)strtoul(digits, NULL, 16);
        assert_true(number < SPANS_MAX);
        w->came[number]++;
        w->taken++;
    }
}

static void judge_http(void *context, const http_request *request, http_reply *reply)
{
    world *w = context;
    unsigned number = w->seen++;
    if (number >= w->busy_from && number < w->busy_from + w->busy)
        *reply = (http_reply){.status = 503};
    else if (request->body_length > w->limit)
        *reply = w->refusal;
    else if (strcmp(request->content_type, "application/json") == 0)
        take_json(w, (const char *)request->body, request->body_length);
    else
        take_protobuf(w, request->body, request->body_length);
    reply->delay_ms = w->delay_ms;
}

static void judge_grpc(void *context, const h2_request *request, h2_reply *reply)
{
    world *w = context;
    w->seen++;
    if (request->length > w->limit + NSP__GRPC_PREFIX_BYTES)
        *reply = (h2_reply){.trailers = w->grpc_refusal};
    else
        take_protobuf(w, request->body + NSP__GRPC_PREFIX_BYTES, request->length - NSP__GRPC_PREFIX_BYTES);
}

static world *begin(const char *protocol)
{
    world *w = calloc(1, sizeof *w);
    w->limit = ROOM;
    w->refusal = (http_reply){.status = 413};
    if (strcmp(protocol, "grpc") == 0) {
        w->h2 = h2_server_start(NULL);
        h2_server_judge(w->h2, judge_grpc, w);
    } else {
        w->http = http_server_start(NULL);
        http_server_judge(w->http, judge_http, w);
    }
    otlp_sender_prepare(&w->otlp, w->h2 ? h2_server_port(w->h2) : http_server_port(w->http));
    w->otlp.config.protocol = protocol;
    return w;
}

static void end(world *w)
{
    otlp_sender_destroy(&w->otlp);
    if (w->h2)
        h2_server_stop(w->h2);
    if (w->http)
        http_server_stop(w->http);
    free(w->batch.data);
    free(w);
}

static void add_span(world *w, unsigned number, size_t text)
{
    // Text that looks like the ends of spans and lists.
    static const char pattern[] = "\"},{\\\"spans\":[]}]";
    char *bytes = malloc(text + 1);
    for (size_t i = 0; i < text; i++)
        bytes[i] = pattern[i % (sizeof pattern - 1)];
    built_span span;
    built_span_init(&span);
    memset(span.span_id, 0xee, sizeof span.span_id);
    span.span_id[0] = (uint8_t)number;
    span.span_id[1] = (uint8_t)(number >> 8);
    span.view.name = nsp_intern("part", 4);
    built_span_str(&span, nsp_intern("text", 4), bytes, text);
    assert_true(nsp__exporter_otlp.append(w->otlp.exporter, &w->batch, &span.view));
    built_span_free(&span);
    free(bytes);
}

// Makes a batch of that many spans with `text` bytes each; the one numbered `huge` has 20000.
static void fill(world *w, unsigned spans, size_t text, unsigned huge)
{
    static uint64_t sequence;
    if (!w->otlp.exporter)
        assert_int_equal(otlp_sender_create(&w->otlp), NSP_OK);
    free(w->batch.data);
    w->batch = (nsp_batch){.data = malloc(ROOM), .capacity = ROOM, .first_ns = ++sequence, .spans = spans};
    nsp__exporter_otlp.open(w->otlp.exporter, &w->batch);
    for (unsigned i = 0; i < spans; i++)
        add_span(w, i, i == huge ? 20000 : text);
    nsp__exporter_otlp.close(w->otlp.exporter, &w->batch);
}

static nsp_send_result send_batch(world *w)
{
    memset(&w->otlp.report, 0, sizeof w->otlp.report);
    return nsp__exporter_otlp.send(w->otlp.exporter, &w->batch, now_ns() + PATIENCE_MS * MS, &w->otlp.report);
}

static void expect_each_once(const world *w, unsigned spans, unsigned missing)
{
    for (unsigned i = 0; i < spans; i++)
        assert_int_equal(w->came[i], i != missing);
}

static const char *const protocols[] = {"http/protobuf", "http/json", "grpc"};
enum { NONE = SPANS_MAX };

static void halves_arrive_each_span_once(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        world *w = begin(protocols[i]);
        w->grpc_refusal = "grpc-status: 8\ngrpc-message: grpc: received message larger than max (9 vs. 8)\n";
        w->limit = 6000;
        fill(w, 101, 100, NONE);
        assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
        assert_int_equal(w->otlp.report.rejected, 0);
        assert_string_equal(w->otlp.report.detail, "");
        assert_true(w->otlp.report.answered);
        expect_each_once(w, 101, NONE);
        // Logged once, with the size and with advice.
        char size[32];
        snprintf(size, sizeof size, "a batch of %zu bytes", w->batch.length - w->batch.head);
        assert_int_equal(w->otlp.lines, 1);
        assert_non_null(strstr(w->otlp.last_line, size));
        assert_non_null(strstr(w->otlp.last_line, "NSP_BATCH_BYTES"));
        // The size that was learnt spares the next batch the requests that would be refused.
        unsigned first = w->seen;
        memset(w->came, 0, sizeof w->came);
        fill(w, 101, 100, NONE);
        assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
        expect_each_once(w, 101, NONE);
        assert_in_range(w->seen - first, 2, first - 1);
        assert_int_equal(w->otlp.lines, 1);
        end(w);
    }
}

static void a_span_that_is_too_large_is_rejected_alone(void **state)
{
    (void)state;
    static const unsigned places[] = {0, 33, 63};
    for (int i = 0; i < 9; i++) {
        world *w = begin(protocols[i % 3]);
        w->grpc_refusal = "grpc-status: 8\n";
        w->limit = 15000;
        fill(w, 64, 50, places[i / 3]);
        assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
        assert_int_equal(w->otlp.report.rejected, 1);
        assert_true(w->otlp.report.detail[0]);
        expect_each_once(w, 64, places[i / 3]);
        end(w);
    }
}

// A receiver that refuses every size is not asked about each single span.
static void a_receiver_that_refuses_every_size_is_not_asked_for_long(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        world *w = begin(protocols[i]);
        w->grpc_refusal = "grpc-status: 8\n";
        w->limit = 0;
        fill(w, 256, 20, NONE);
        assert_int_equal(send_batch(w), NSP_SEND_REJECTED);
        assert_in_range(w->seen, 9, 16);
        end(w);
    }
}

static void other_refusals_are_final(void **state)
{
    (void)state;
    static const char *const final[] = {"grpc-status: 8\ngrpc-message: quota exceeded for this project\n",
                                        "grpc-status: 3\ngrpc-message: message size\n"};
    for (int i = 0; i < 2; i++) {
        world *w = begin("grpc");
        w->grpc_refusal = final[i];
        w->limit = 100;
        fill(w, 64, 20, NONE);
        assert_int_equal(send_batch(w), NSP_SEND_REJECTED);
        assert_int_equal(w->seen, 1);
        end(w);
    }
    world *w = begin("http/protobuf"); // the Collector's answer
    w->refusal = (http_reply){.status = 400, .body = "http: request body too large", .length = 28};
    w->limit = 3000;
    fill(w, 64, 50, NONE);
    assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
    expect_each_once(w, 64, NONE);
    end(w);
    w = begin("grpc"); // tonic's answer
    w->grpc_refusal = "grpc-status: 11\ngrpc-message: decoded message length too large\n";
    w->limit = 3000;
    fill(w, 64, 50, NONE);
    assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
    expect_each_once(w, 64, NONE);
    end(w);
}

// If a part has to wait, the parts that were answered before it are not sent again.
static void what_was_answered_is_not_sent_again(void **state)
{
    (void)state;
    world *w = begin("http/protobuf");
    w->limit = 6000;
    w->busy_from = 4;
    w->busy = 2;
    fill(w, 128, 100, NONE);
    assert_int_equal(send_batch(w), NSP_SEND_RETRY);
    uint64_t settled = w->otlp.report.part_exported;
    assert_int_equal(settled, w->taken);
    assert_in_range(settled, 1, 127);
    assert_int_equal(send_batch(w), NSP_SEND_RETRY);
    assert_int_equal(w->otlp.report.part_exported, 0);
    assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
    expect_each_once(w, 128, NONE);
    // A batch that is given up does not affect the next one.
    w->busy_from = w->seen + 2;
    w->busy = 1;
    fill(w, 128, 100, NONE);
    assert_int_equal(send_batch(w), NSP_SEND_RETRY);
    memset(w->came, 0, sizeof w->came);
    fill(w, 128, 100, NONE);
    assert_int_equal(send_batch(w), NSP_SEND_EXPORTED);
    expect_each_once(w, 128, NONE);
    end(w);
}

// All parts of a call have the call's deadline, and the next call continues where it ended.
static void the_deadline_is_that_of_all_parts(void **state)
{
    (void)state;
    world *w = begin("http/protobuf");
    w->limit = 4000;
    w->delay_ms = 100;
    fill(w, 256, 50, NONE);
    uint64_t exported = 0, begun = now_ns(), promptest = UINT64_MAX;
    nsp_send_result result = NSP_SEND_RETRY;
    unsigned calls = 0;
    for (; result != NSP_SEND_EXPORTED && calls < 50; calls++) {
        memset(&w->otlp.report, 0, sizeof w->otlp.report);
        uint64_t before = now_ns();
        result = nsp__exporter_otlp.send(w->otlp.exporter, &w->batch, before + 450 * MS, &w->otlp.report);
        uint64_t took = now_ns() - before;
        if (result != NSP_SEND_EXPORTED && took < promptest)
            promptest = took;
        exported += w->otlp.report.part_exported;
    }
    assert_int_equal(result, NSP_SEND_EXPORTED);
    assert_in_range(calls, 2, 49);
    assert_in_range(promptest, 0, 950 * MS); // of several calls, because a busy machine may hold up any
    assert_in_range(exported, 1, 255);
    assert_true(now_ns() - begun >= 450 * MS);
    for (int i = 0; i < 256; i++)
        assert_in_range(w->came[i], 1, calls); // a span whose answer came too late is sent again
    end(w);
}

// With the sender, the counters contain each span once, even while a part waits and if the rest is given up.
static void the_counters_include_parts(void **state)
{
    (void)state;
    for (int given_up = 0; given_up < 2; given_up++) {
        world *w = begin("http/protobuf");
        w->limit = 6000;
        w->busy_from = 5;
        w->busy = given_up ? 1000000 : 2;
        fill(w, 128, 100, NONE);
        nsp__counters stats = {0};
        nsp__batch_header header = {.state = NSP__BATCH_CLOSED, .spans = 128};
        nsp__batch_pool pool;
        assert_true(nsp__batch_pool_init(&pool, 1, &stats));
        pool.batches[0].exported = w->batch;
        pool.batches[0].header = &header;
        nsp__sender_options options = {.exporter = &nsp__exporter_otlp,
                                       .exporter_state = w->otlp.exporter,
                                       .closed_max = 1,
                                       .cancel = &w->otlp.cancel,
                                       .export_timeout_ns = PATIENCE_MS * MS,
                                       .backoff_min_ns = 20 * MS,
                                       .backoff_max_ns = 50 * MS};
        nsp__sender *sender;
        assert_int_equal(nsp__sender_start(&sender, &options), NSP_OK);
        nsp__sender_put_closed(sender, nsp__batch_pool_take(&pool));
        if (!given_up)
            assert_true(nsp__sender_wait(sender, &pool, 1, now_ns() + PATIENCE_MS * MS));
        else
            while (http_server_requests(w->http) < w->busy_from + 3) // the answers before those are counted
                nanosleep(&(struct timespec){.tv_nsec = 10 * MS}, NULL);
        assert_int_equal(nsp__sender_stop(sender, now_ns() + 200 * MS).all_sent, !given_up);
        nsp__batch_pool_destroy(&pool);
        assert_int_equal(stats.exported, w->taken);
        // Unconfirmed: if the stop came while a request was under way.
        assert_int_equal(stats.exported + stats.discarded + stats.unconfirmed, 128);
        if (given_up)
            assert_in_range(stats.exported, 1, 127);
        else
            expect_each_once(w, 128, NONE);
        end(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_arrive_each_span_once),
        cmocka_unit_test(a_span_that_is_too_large_is_rejected_alone),
        cmocka_unit_test(a_receiver_that_refuses_every_size_is_not_asked_for_long),
        cmocka_unit_test(other_refusals_are_final),
        cmocka_unit_test(what_was_answered_is_not_sent_again),
        cmocka_unit_test(the_deadline_is_that_of_all_parts),
        cmocka_unit_test(the_counters_include_parts),
    };
    return cmocka_run_group_tests_name("parts", tests, NULL, NULL);
}
