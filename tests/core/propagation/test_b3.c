// SPDX-License-Identifier: Apache-2.0
//
// B3 in one field and in several: what is read, what is written, and that arbitrary bytes do no harm.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "propagation/propagators.h"
#include "support/headers.h"
#include <nanospan/nanospan.h>

#define TRACE "5c1e8a90b7d34f26a1c09d7e63f2b845"
#define HALF "a1c09d7e63f2b845"
#define SPAN "3f8d20c6e91b7a54"
#define ABOVE "91d4b3e07c5a2f68"
#define IDS TRACE "-" SPAN

enum {
    SAMPLED = NSP_TRACE_FLAG_SAMPLED,
    DEFERRED = NSP_TRACE_FLAG_DEFERRED,
    DEBUG = NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_DEBUG,
    DECIDED = NSP_TRACE_FLAG_DECIDED
};

static headers request, sent;

static nsp_status extract(nsp_incoming *incoming, const char *lines)
{
    headers_read(&request, lines);
    nsp_carrier carrier = headers_carrier(&request);
    memset(incoming, 0xa5, sizeof *incoming);
    return nsp_extract(incoming, &carrier);
}

static nsp_status inject(const nsp_context *context)
{
    headers_clear(&sent);
    nsp_carrier carrier = headers_carrier(&sent);
    return nsp_inject(context, NULL, &carrier);
}

static int begin(void **state)
{
    (void)state;
    nsp__propagators_choose("b3");
    return 0;
}

static int end(void **state)
{
    (void)state;
    headers_clear(&request);
    headers_clear(&sent);
    return 0;
}

static const nsp_context nothing;

// Checks that the context's traceparent has these ids and this one flag.
static void assert_ids(const nsp_context *context, const char *trace, int flags)
{
    char text[NSP_TRACEPARENT_SIZE], expected[NSP_TRACEPARENT_SIZE] = "00-";
    nsp_context_format(context, text);
    strcat(strcat(expected, trace), "-" SPAN "-0");
    strcat(expected, flags & SAMPLED ? "1" : "0");
    assert_string_equal(text, expected);
    assert_int_equal(context->flags, flags);
    assert_true(context->remote);
    assert_int_equal(context->tracestate_length, 0);
    assert_true(context->threshold == NSP_CONTEXT_UNKNOWN && context->randomness == NSP_CONTEXT_UNKNOWN);
}

static void good_fields_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *lines, *trace; // NULL: no ids
        int flags;
    } good[] = {
        {"b3: " IDS, TRACE, DEFERRED},
        {"b3: " IDS "-0", TRACE, 0},
        {"b3: " IDS "-1", TRACE, SAMPLED},
        {"b3: " IDS "-d", TRACE, DEBUG},
        {"b3: " IDS "-1-" ABOVE, TRACE, SAMPLED},
        {"b3: " IDS "-" ABOVE, TRACE, DEFERRED},
        {"B3: \t " IDS "-1 \t", TRACE, SAMPLED},
        {"b3: " HALF "-" SPAN "-1", "0000000000000000" HALF, SAMPLED},
        {"b3: 0", NULL, DECIDED},
        {"b3:  1 ", NULL, DECIDED | SAMPLED},
        {"b3: d", NULL, DECIDED | DEBUG},
        {"b3: " IDS "-1\nb3: 0", TRACE, SAMPLED}, // the first of several fields

        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN, TRACE, DEFERRED},
        {"x-b3-traceid: " TRACE "\nx-b3-spanid: " SPAN "\nx-b3-sampled: 1", TRACE, SAMPLED},
        {"X-B3-SpanId: " SPAN "\nX-B3-Sampled: 0\nX-B3-TraceId: " TRACE, TRACE, 0},
        {"X-B3-TraceId: " HALF "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 1", "0000000000000000" HALF, SAMPLED},
        {"X-B3-TraceId:  " TRACE " \nX-B3-SpanId: " SPAN "\t\nX-B3-ParentSpanId: " ABOVE
         "\nX-B3-Sampled:  1 ",
         TRACE, SAMPLED},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: true", TRACE, SAMPLED},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: False", TRACE, 0},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Flags: 1", TRACE, DEBUG},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 0\nX-B3-Flags: 1", TRACE, DEBUG},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 1\nX-B3-Flags: 0", TRACE, SAMPLED},
        {"X-B3-TraceId: " TRACE "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: perhaps", TRACE, DEFERRED},
        {"X-B3-Sampled: 0", NULL, DECIDED},
        {"X-B3-Sampled: 1", NULL, DECIDED | SAMPLED},
        {"X-B3-Flags: 1", NULL, DECIDED | DEBUG},

        // A good single field takes precedence over several.
        {"b3: " IDS "-1\nX-B3-TraceId: " HALF "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 0", TRACE, SAMPLED},
        {"b3: " IDS "-2\nX-B3-TraceId: " HALF "\nX-B3-SpanId: " SPAN "\nX-B3-Sampled: 0",
         "0000000000000000" HALF, 0},
        {"b3: \nX-B3-Sampled: 0", NULL, DECIDED},
    };
    // Which of the two is configured only matters for what is sent.
    for (int multi = 0; multi < 2; multi++)
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
            nsp_incoming incoming;
            nsp__propagators_choose(multi ? "b3multi" : "b3");
            assert_int_equal(extract(&incoming, good[i].lines), NSP_OK);
            assert_int_equal(incoming.baggage.length, 0);
            if (good[i].trace != NULL) {
                assert_ids(&incoming.context, good[i].trace, good[i].flags);
                continue;
            }
            nsp_context expected = nothing;
            expected.flags = (uint8_t)good[i].flags;
            assert_memory_equal(&incoming.context, &expected, sizeof expected);
            assert_false(nsp_context_valid(&incoming.context));
        }
}

static void bad_fields_count_as_absent(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "b3: ",
        "b3: 2",
        "b3: D",
        "b3: true",
        "b3: -",
        "b3: -1",
        "b3: " TRACE,
        "b3: " TRACE "-",
        "b3: " IDS "-",
        "b3: " IDS "-2",
        "b3: " IDS "-D",
        "b3: " IDS "-true",
        "b3: " IDS "--" ABOVE,
        "b3: " IDS "-1-",
        "b3: " IDS "-1-" ABOVE "-",
        "b3: " IDS "-" ABOVE "-1",
        "b3: " IDS "-1-" ABOVE "0",
        "b3: " IDS "-1-0000000000000000",
        "b3: " IDS "-1 -" ABOVE,
        "b3: " SPAN "0-" SPAN "-1",
        "b3: 0" TRACE "-" SPAN "-1",
        "b3: " TRACE "-" TRACE "-1",
        "b3: 5C1E8a90b7d34f26a1c09d7e63f2b845-" SPAN "-1",
        "b3: 00000000000000000000000000000000-" SPAN "-1",
        "b3: 0000000000000000-" SPAN "-1",
        "b3: " TRACE "-0000000000000000-1",
        "b3: " TRACE "-3f8d20c6e91b7a5g-1",
        "X-B3-TraceId: " TRACE,
        "X-B3-SpanId: " SPAN "\nX-B3-Sampled: 1",
        "X-B3-TraceId: \nX-B3-SpanId: " SPAN,
        "X-B3-TraceId: " TRACE "\nX-B3-SpanId: \nX-B3-Sampled: 1",
        "X-B3-TraceId: " TRACE "\nX-B3-SpanId: 0000000000000000\nX-B3-Sampled: 1",
        "X-B3-TraceId: " TRACE "0\nX-B3-SpanId: " SPAN,
        "X-B3-TraceId: " TRACE "\nX-B3-SpanId: 3F8D20C6E91B7A54",
        "X-B3-Sampled: maybe",
        "X-B3-Flags: 2",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nsp_incoming incoming;
        assert_int_equal(extract(&incoming, bad[i]), NSP_ERR_INVALID);
        assert_memory_equal(&incoming.context, &nothing, sizeof nothing);
    }
    nsp_incoming incoming;
    assert_int_equal(extract(&incoming, ""), NSP_ERR_NOT_FOUND);
    assert_int_equal(extract(&incoming, "X-B3-ParentSpanId: " ABOVE), NSP_ERR_NOT_FOUND);
    assert_int_equal(extract(&incoming, "traceparent: 00-" IDS "-01"), NSP_ERR_NOT_FOUND); // not configured
}

static void what_came_is_written_as_it_came(void **state)
{
    (void)state;
    static const struct {
        const char *in, *single, *trace, *span, *sampled, *flags;
    } cases[] = {
        {IDS, IDS, TRACE, SPAN, NULL, NULL},
        {IDS "-0", IDS "-0", TRACE, SPAN, "0", NULL},
        {IDS "-1-" ABOVE, IDS "-1", TRACE, SPAN, "1", NULL},
        {IDS "-d", IDS "-d", TRACE, SPAN, NULL, "1"},
        {HALF "-" SPAN "-1", "0000000000000000" HALF "-" SPAN "-1", "0000000000000000" HALF, SPAN, "1", NULL},
        {"0", "0", NULL, NULL, "0", NULL},
        {"1", "1", NULL, NULL, "1", NULL},
        {"d", "d", NULL, NULL, NULL, "1"},
        {"x", NULL, NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128] = "b3: ";
        nsp_incoming incoming;
        extract(&incoming, strcat(line, cases[i].in));
        struct {
            const char *name, *expected;
        } fields[] = {{"b3", cases[i].single},
                      {"x-b3-traceid", cases[i].trace},
                      {"x-b3-spanid", cases[i].span},
                      {"x-b3-sampled", cases[i].sampled},
                      {"x-b3-flags", cases[i].flags}};
        for (int format = 0; format < 3; format++) {
            nsp__propagators_choose(format == 0 ? "b3" : format == 1 ? "b3multi" : "b3,b3multi,tracecontext");
            assert_int_equal(inject(&incoming.context), NSP_OK);
            size_t count = 0;
            for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
                const char *value = headers_value(&sent, fields[f].name);
                bool expected = fields[f].expected != NULL && (format == 2 || (f == 0) == (format == 0));
                assert_int_equal(value != NULL, expected);
                if (expected)
                    assert_string_equal(value, fields[f].expected);
                count += expected;
            }
            // A traceparent shows none of it.
            bool traceparent = format == 2 && nsp_context_valid(&incoming.context);
            assert_int_equal(sent.count, count + traceparent);
            if (traceparent) {
                assert_int_equal(headers_value(&sent, "traceparent")[53], '0');
                assert_int_equal(headers_value(&sent, "traceparent")[54],
                                 incoming.context.flags & SAMPLED ? '1' : '0');
            }
        }
        nsp__propagators_choose("b3");
    }
    assert_int_equal(inject(&nothing), NSP_OK);
    assert_int_equal(sent.count, 0);
}

static void flags_of_this_process_are_not_packed(void **state)
{
    (void)state;
    nsp_incoming incoming;
    nsp_context other;
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    assert_int_equal(extract(&incoming, "b3: " IDS "-d"), NSP_OK);
    nsp_context_pack(&incoming.context, packed);
    assert_int_equal(packed[25], SAMPLED);
    assert_int_equal(nsp_context_unpack(&other, packed, sizeof packed), NSP_OK);
    assert_int_equal(other.flags, SAMPLED);
    packed[25] = 0xff;
    assert_int_equal(nsp_context_unpack(&other, packed, sizeof packed), NSP_OK);
    assert_int_equal(other.flags, NSP_TRACE_FLAG_SAMPLED | NSP_TRACE_FLAG_RANDOM);
}

// ---- any bytes ----

// Whatever the fields contain, the context is well formed, and what is injected reads back as the same.
static void check_property(void)
{
    nsp_incoming incoming, again;
    nsp_carrier carrier = headers_carrier(&request);
    memset(&incoming, 0xa5, sizeof incoming);
    nsp_status status = nsp_extract(&incoming, &carrier);
    const nsp_context *context = &incoming.context;
    bool decided = (context->flags & DECIDED) != 0;
    assert_int_equal(status == NSP_OK, nsp_context_valid(context) || decided);
    assert_false(nsp_context_valid(context) && decided);
    assert_int_equal(context->remote, nsp_context_valid(context));
    assert_int_equal(context->flags & NSP_TRACE_FLAG_RANDOM, 0);
    assert_true((context->flags & DEBUG) != NSP_TRACE_FLAG_DEBUG);
    assert_true((context->flags & DEFERRED) == 0 || context->flags == DEFERRED);
    if (status != NSP_OK)
        assert_memory_equal(context, &nothing, sizeof nothing);
    for (int multi = 0; multi < 2; multi++) {
        nsp__propagators_choose(multi ? "b3multi" : "b3");
        assert_int_equal(inject(context), NSP_OK);
        assert_int_equal(sent.count != 0, status == NSP_OK);
        carrier = headers_carrier(&sent);
        assert_int_equal(nsp_extract(&again, &carrier), status == NSP_OK ? NSP_OK : NSP_ERR_NOT_FOUND);
        assert_memory_equal(&again.context, context, sizeof *context);
    }
}

static void hostile_fields_do_no_harm(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
    } seeds[] = {{"b3", IDS "-1-" ABOVE}, {"b3", IDS "-d"},    {"b3", "0"},          {"X-B3-TraceId", TRACE},
                 {"x-b3-spanid", SPAN},   {"X-B3-Flags", "1"}, {"X-B3-Sampled", "0"}};
    uint64_t random = 0x5eed;
    const char *wanted = getenv("NSP_FUZZ_RUNS");
    long runs = wanted != NULL ? atol(wanted) : 100000, accepted = 0;
    for (long run = 0; run < runs; run++) {
        headers_clear(&request);
        for (size_t fields = 1 + nsp__random_next(&random) % 4; fields != 0; fields--) {
            size_t seed = nsp__random_next(&random) % (sizeof seeds / sizeof seeds[0]);
            char value[256];
            size_t length = strlen(seeds[seed].value);
            memcpy(value, seeds[seed].value, length);
            for (size_t changes = nsp__random_next(&random) % 3; changes != 0; changes--) {
                uint64_t draw = nsp__random_next(&random);
                size_t at = draw % (length + 1);
                char c = draw & 256 ? "0d-1 \t\n\0a,"[draw >> 16 & 7] : (char)(draw >> 32);
                if (draw & 512) {
                    memmove(value + at + 1, value + at, length - at);
                    value[at] = c;
                    length++;
                } else if (length > at) {
                    value[at] = c;
                } else {
                    length /= 2;
                }
            }
            headers_addn(&request, seeds[seed].name, value, length);
        }
        nsp_carrier carrier = headers_carrier(&request);
        nsp_incoming incoming;
        accepted += nsp_extract(&incoming, &carrier) == NSP_OK;
        check_property();
    }
    assert_true(accepted > runs / 10 && accepted < runs * 9 / 10);
    // A huge field.
    char *huge = malloc(1 << 22);
    assert_non_null(huge);
    memset(huge, '0', 1 << 22);
    headers_clear(&request);
    headers_addn(&request, "b3", huge, 1 << 22);
    headers_addn(&request, "X-B3-TraceId", huge, 1 << 22);
    check_property();
    memset(huge, '-', 1 << 22);
    headers_clear(&request);
    headers_addn(&request, "b3", huge, 1 << 22);
    check_property();
    free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(good_fields_are_read, begin, end),
        cmocka_unit_test_setup_teardown(bad_fields_count_as_absent, begin, end),
        cmocka_unit_test_setup_teardown(what_came_is_written_as_it_came, begin, end),
        cmocka_unit_test_setup_teardown(flags_of_this_process_are_not_packed, begin, end),
        cmocka_unit_test_setup_teardown(hostile_fields_do_no_harm, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
