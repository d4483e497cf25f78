// SPDX-License-Identifier: Apache-2.0
// Sanitizers: address, because it has one thread
//
// Contexts in headers and in packed bytes. check_property() holds for any bytes; here it runs on mutated
// headers. tests/fuzz/fuzz_context.c and fuzz_propagation.c contain more such properties.
#include "context/context.h"

#include "base/random.h"
#include "context/threshold.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// cmocka's checks would be too slow here.
#define must(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

// Is the text a tracestate that may be sent? Written from the grammar, independently of the parser.
static bool sendable_state(const char *text, size_t length)
{
    static const char key_characters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@";
    size_t members = 0, i = 0;
    if (length == 0)
        return true;
    if (length > NSP_TRACESTATE_MAX)
        return false;
    for (;;) {
        size_t key = i;
        while (i < length && text[i] != '\0' && strchr(key_characters, text[i]) != NULL)
            i++;
        if (i == key || i - key > 256 || strchr("_-*/@", text[key]) != NULL || i == length || text[i] != '=')
            return false;
        size_t value = ++i;
        while (i < length && text[i] >= ' ' && text[i] <= '~' && text[i] != ',' && text[i] != '=')
            i++;
        if (i == value || i - value > 256 || text[i - 1] == ' ' || ++members > 32)
            return false;
        if (i == length)
            return true;
        if (text[i++] != ',')
            return false;
    }
}

static bool sendable_parent(const char *text)
{
    static const char zeros[] = "00000000000000000000000000000000";
    if (strlen(text) != 55 || strncmp(text, "00-", 3) != 0 || text[35] != '-' || text[52] != '-' ||
        text[53] != '0' || strchr("0123", text[54]) == NULL)
        return false;
    return strspn(text + 3, "0123456789abcdef") == 32 && strspn(text + 36, "0123456789abcdef") == 16 &&
           strncmp(text + 3, zeros, 32) != 0 && strncmp(text + 36, zeros, 16) != 0;
}

// What must be true of every context that parse or unpack accepts.
static void check_context(const nsp_context *context)
{
    char parent[NSP_TRACEPARENT_SIZE], text[NSP_TRACESTATE_MAX + 1];
    must(nsp_context_valid(context) && context->remote && context->local_root == 0);
    must(context->threshold == NSP_CONTEXT_UNKNOWN || context->threshold < NSP__THRESHOLD_NEVER);
    must(context->randomness == NSP_CONTEXT_UNKNOWN || context->randomness < NSP__THRESHOLD_NEVER);
    must(sendable_state(context->tracestate, context->tracestate_length));

    nsp_context_format(context, parent);
    size_t length = nsp_context_format_state(context, text, sizeof text);
    must(sendable_parent(parent) && strlen(text) == length);
    nsp_context again;
    must(nsp_context_parse(&again, parent, text) == NSP_OK);
    must(memcmp(&again, context, sizeof again) == 0);

    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    nsp_context_pack(context, packed);
    must(nsp_context_packed_size(context) == (length == 0 ? 26u : 28u + length));
    must(nsp_context_unpack(&again, packed, nsp_context_packed_size(context)) == NSP_OK);
    must(memcmp(&again, context, sizeof again) == 0);
    must(nsp_context_unpack(&again, packed, sizeof packed) == NSP_OK);
    must(memcmp(&again, context, sizeof again) == 0);

    // With another threshold or randomness the text contains the new one, and nothing else is lost except for
    // lack of space.
    uint64_t draw = (uint64_t)context->trace_id[15] << 8 | context->span_id[7];
    nsp_context changed = *context;
    changed.threshold = draw & 1 ? nsp__threshold_from_rate(1.0 / (double)(draw + 1)) : draw << 40;
    changed.randomness = draw & 2 ? NSP_CONTEXT_UNKNOWN : nsp__random_next(&draw) >> 8;
    length = nsp_context_format_state(&changed, text, sizeof text);
    must(sendable_state(text, length));
    must(nsp_context_parse(&again, parent, text) == NSP_OK);
    must(again.threshold == changed.threshold && again.randomness == changed.randomness);
    for (size_t size = 0; size <= 64; size += 9) {
        char *narrow = malloc(size + 1); // one more, since no memory at all may be NULL
        must(narrow != NULL);
        narrow[0] = 'x';
        length = nsp_context_format_state(&changed, narrow, size);
        must(size == 0 ? length == 0 && narrow[0] == 'x' : length < size && narrow[length] == '\0');
        must(sendable_state(narrow, length));
        free(narrow);
    }
}

static bool is_invalid(const nsp_context *context)
{
    static const nsp_context zero;
    return memcmp(context, &zero, sizeof zero) == 0;
}

// The bytes are read as a traceparent and a tracestate with a line feed in between, and as packed bytes. Each
// is in a block of exactly its size, so that the address sanitizer notices a read beyond it. Returns whether
// a context was found.
static bool check_property(const uint8_t *bytes, size_t size)
{
    const uint8_t *feed = size > 0 ? memchr(bytes, '\n', size) : NULL;
    size_t parent_length = feed != NULL ? (size_t)(feed - bytes) : size;
    size_t state_length = feed != NULL ? size - parent_length - 1 : 0;
    char *parent = calloc(1, parent_length + 1), *text = calloc(1, state_length + 1);
    uint8_t *packed = calloc(1, size > 0 ? size : 1);
    must(parent != NULL && text != NULL && packed != NULL);
    if (size > 0) {
        memcpy(parent + 1, bytes, parent_length);
        memcpy(text + 1, bytes + size - state_length, state_length);
        memcpy(packed, bytes, size);
    }

    nsp_context context, other;
    memset(&context, 0xa5, sizeof context);
    bool parsed = nsp_context_parsen(&context, parent + 1, parent_length, text + 1, state_length) == NSP_OK;
    if (parsed)
        check_context(&context);
    else
        must(is_invalid(&context));
    // A good traceparent with a bad tracestate, and the zero-terminated form of both.
    if (parsed && memchr(parent + 1, 0, parent_length) == NULL && memchr(text + 1, 0, state_length) == NULL) {
        memmove(parent, parent + 1, parent_length);
        memmove(text, text + 1, state_length);
        parent[parent_length] = text[state_length] = '\0';
        must(nsp_context_parse(&other, parent, text) == NSP_OK);
        must(memcmp(&other, &context, sizeof other) == 0);
    }
    bool unpacked = nsp_context_unpack(&context, packed, size) == NSP_OK;
    if (unpacked)
        check_context(&context);
    else
        must(is_invalid(&context));

    // A struct with any content: its ids need not give valid output, but its text must not be trusted.
    memset(&context, 0, sizeof context);
    memcpy(&context, bytes, size < sizeof context ? size : sizeof context);
    context.remote = false; // a bool may hold no other value
    char line[NSP_TRACESTATE_MAX + 1];
    must(sendable_state(line, nsp_context_format_state(&context, line, sizeof line)));
    free(parent);
    free(text);
    free(packed);
    return parsed || unpacked;
}

static nsp_context parsed_state(const char *tracestate)
{
    nsp_context context;
    assert_int_equal(nsp_context_parse(&context, PARENT, tracestate), NSP_OK);
    return context;
}

static void assert_state(const nsp_context *context, const char *expected)
{
    char text[NSP_TRACESTATE_MAX + 1];
    size_t length = nsp_context_format_state(context, text, sizeof text);
    assert_string_equal(text, expected);
    assert_int_equal(length, strlen(expected));
}

static void traceparent_is_read_and_written(void **state)
{
    (void)state;
    nsp_context context;
    const uint8_t trace_id[] = {0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd,
                                0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c};
    const uint8_t span_id[] = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31};
    assert_int_equal(nsp_context_parse(&context, PARENT, NULL), NSP_OK);
    assert_memory_equal(context.trace_id, trace_id, 16);
    assert_memory_equal(context.span_id, span_id, 8);
    assert_int_equal(context.flags, NSP_TRACE_FLAG_SAMPLED);
    assert_true(context.remote);
    assert_true(context.threshold == NSP_CONTEXT_UNKNOWN && context.randomness == NSP_CONTEXT_UNKNOWN);
    assert_int_equal(context.tracestate_length, 0);
    char text[NSP_TRACEPARENT_SIZE];
    nsp_context_format(&context, text);
    assert_string_equal(text, PARENT);
    assert_state(&context, "");
}

static void good_traceparents(void **state)
{
    (void)state;
    const char *const good[][2] = {
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "00"},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02", "02"},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03", "03"},
        {"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff", "03"}, // unknown flags are sent as zero
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "01"}, // a future version, sent on as 00
        {"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future brings", "01"},
        {"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-", "01"},
        {"fe-00000000000000000000000000000001-0000000000000001-01", "01"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        nsp_context context;
        char text[NSP_TRACEPARENT_SIZE];
        assert_int_equal(nsp_context_parse(&context, good[i][0], NULL), NSP_OK);
        nsp_context_format(&context, text);
        assert_memory_equal(text, "00-", 3);
        assert_memory_equal(text + 3, good[i][0] + 3, 50);
        assert_string_equal(text + 53, good[i][1]);
    }
}

static void bad_traceparents(void **state)
{
    (void)state;
    const char *const bad[] = {
        "",
        "00",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-011",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.what",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331_01",
    };
    nsp_context context;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(nsp_context_parse(&context, bad[i], "a=1"), NSP_ERR_INVALID);
        assert_true(is_invalid(&context));
    }
    assert_int_equal(nsp_context_parse(&context, NULL, "a=1"), NSP_ERR_INVALID);
    assert_int_equal(nsp_context_parsen(&context, NULL, 0, NULL, 0), NSP_ERR_INVALID);
    // Every other byte at every position of a good one: upper case, the neighbours of the digits in ASCII and
    // bytes above 127 are all rejected.
    for (size_t at = 0; at < 55; at++) {
        for (int c = 0; c < 256; c++) {
            char text[] = PARENT;
            bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
            bool dash = at == 2 || at == 35 || at == 52;
            text[at] = (char)c;
            bool good = dash ? c == '-' : hex;
            assert_int_equal(nsp_context_parsen(&context, text, 55, NULL, 0),
                             good ? NSP_OK : NSP_ERR_INVALID);
        }
    }
}

static void the_invalid_context_formats_as_nothing(void **state)
{
    (void)state;
    nsp_context context;
    memset(&context, 0xff, sizeof context);
    nsp__context_invalid(&context);
    assert_true(is_invalid(&context));
    assert_false(nsp_context_valid(&context));
    assert_false(nsp_context_valid(NULL));
    char text[NSP_TRACEPARENT_SIZE] = "x";
    nsp_context_format(&context, text);
    assert_string_equal(text, "");
    assert_state(&context, "");
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE];
    nsp_context_pack(&context, packed);
    assert_int_equal(nsp_context_packed_size(&context), NSP_CONTEXT_PACKED_MIN);
    assert_int_equal(nsp_context_unpack(&context, packed, sizeof packed), NSP_ERR_INVALID);
}

static void good_tracestates_are_normalised(void **state)
{
    (void)state;
    const char *const good[][2] = {
        {"", ""},
        {"a=1", "a=1"},
        {"a=1,b=2", "a=1,b=2"},
        {" a=1 ,\tb=2\t, ,,c=3 ", "a=1,b=2,c=3"},
        {"a= 1 2 ,b=2", "a= 1 2,b=2"}, // a value begins with its spaces, and ends before them
        {"0a_-*/@=!~", "0a_-*/@=!~"},
        {"a=1,a=2", "a=1,a=2"},
        {" , ", ""},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        nsp_context context = parsed_state(good[i][0]);
        assert_state(&context, good[i][1]);
    }
}

static void bad_tracestates_are_dropped_whole(void **state)
{
    (void)state;
    const char *const bad[] = {
        "a",       "=1",    "a=",        "a= ",       "A=1",        "a=1,B=2", "a =1",
        "_a=1",    "a=1=2", "a@b=Ff==x", "a=\x1f",    "a=\x7f",     "a=\x80",  "a=1\t2",
        "a=1;b=2", "a\n=1", "@=1",       "ot=th:8,a", "a=1,\v,b=2",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        nsp_context context = parsed_state(bad[i]);
        assert_int_equal(context.tracestate_length, 0);
        assert_true(context.threshold == NSP_CONTEXT_UNKNOWN);
        assert_int_equal(context.flags, 1);
    }
}

// Appends a member of so many bytes.
static void append_member(char *text, const char *key, size_t bytes)
{
    if (text[0] != '\0')
        strcat(text, ",");
    strcat(text, key);
    strcat(text, "=");
    size_t length = strlen(text), value = bytes - strlen(key) - 1;
    memset(text + length, 'v', value);
    text[length + value] = '\0';
}

static void keys_values_and_members_at_their_limits(void **state)
{
    (void)state;
    char text[2000], key[300];
    nsp_context context;
    for (size_t extra = 0; extra <= 1; extra++) {
        memset(key, 'k', sizeof key);
        key[256 + extra] = '\0';
        text[0] = '\0';
        append_member(text, key, strlen(key) + 1 + 255);
        context = parsed_state(text);
        assert_int_equal(context.tracestate_length, extra == 0 ? 512 : 0);

        text[0] = '\0';
        append_member(text, "k", 2 + 256 + extra);
        context = parsed_state(text);
        assert_int_equal(context.tracestate_length, extra == 0 ? 258 : 0);

        text[0] = '\0';
        for (size_t i = 0; i < 32 + extra; i++)
            append_member(text, "k", 3);
        strcat(text, ",, ");
        context = parsed_state(text);
        assert_int_equal(context.tracestate_length, extra == 0 ? 32 * 4 - 1 : 0);
    }
}

static void long_members_are_dropped_first(void **state)
{
    (void)state;
    char text[4000] = "", expected[4000] = "";
    append_member(text, "a", 128);
    append_member(text, "b", 129);
    append_member(text, "c", 200);
    append_member(text, "d", 128);
    append_member(text, "e", 10);
    // 599 bytes: c is removed because it is the rightmost long member, and that is enough.
    append_member(expected, "a", 128);
    append_member(expected, "b", 129);
    append_member(expected, "d", 128);
    append_member(expected, "e", 10);
    nsp_context context = parsed_state(text);
    assert_state(&context, expected);

    // In a smaller buffer b is removed, then e, then d.
    char out[NSP_TRACESTATE_MAX];
    expected[0] = '\0';
    append_member(expected, "a", 128);
    append_member(expected, "d", 128);
    append_member(expected, "e", 10);
    assert_int_equal(nsp_context_format_state(&context, out, strlen(expected) + 1), strlen(expected));
    assert_string_equal(out, expected);
    nsp_context_format_state(&context, out, strlen(expected));
    expected[strlen(expected) - 11] = '\0';
    assert_string_equal(out, expected);
    assert_int_equal(nsp_context_format_state(&context, out, 129), 128);
    assert_int_equal(nsp_context_format_state(&context, out, 128), 0);
    assert_string_equal(out, "");
    assert_int_equal(nsp_context_format_state(&context, out, 0), 0);

    // `ot` stays, however long it is and wherever it is.
    text[0] = '\0';
    for (int i = 0; i < 5; i++)
        append_member(text, "m", 120);
    strcat(text, ",ot=th:8;x:");
    size_t length = strlen(text);
    memset(text + length, 'y', 200);
    text[length + 200] = '\0';
    context = parsed_state(text);
    assert_int_equal(context.tracestate_length, 2 * 121 + 210);
    assert_memory_equal(context.tracestate + 2 * 121, "ot=th:8;x:y", 11);
}

static void ot_is_read(void **state)
{
    (void)state;
    const uint64_t none = NSP_CONTEXT_UNKNOWN;
    const struct {
        const char *text;
        uint64_t threshold, randomness;
        const char *sent; // NULL: unchanged
    } cases[] = {
        {"ot=th:0", 0, none, NULL},
        {"ot=th:c", UINT64_C(0xc0000000000000), none, NULL},
        {"ot=th:fd70a", UINT64_C(0xfd70a000000000), none, NULL},
        {"ot=th:ffffffffffffff", UINT64_C(0xffffffffffffff), none, NULL},
        {"a=1,ot=rv:0123456789abcd,b=2", none, UINT64_C(0x0123456789abcd), NULL},
        {"ot=p:8;rv:00000000000000;x:y;th:8", UINT64_C(0x80000000000000), 0, NULL},
        {"ot=th:c00", UINT64_C(0xc0000000000000), none, NULL},
        {"ot=th:", none, none, ""},
        {"ot=th", none, none, ""},
        {"ot=th:C", none, none, ""},
        {"ot=th:0x8", none, none, ""},
        {"ot=th:123456789abcdef", none, none, ""},
        {"ot=th: 8", none, none, ""},
        {"ot=th:8 ;x:y", none, none, "ot=x:y"},
        {"ot=rv:0123456789abc", none, none, ""},
        {"ot=rv:0123456789abcde", none, none, ""},
        {"ot=rv:0123456789abcD", none, none, ""},
        {"ot=;;th:8;", UINT64_C(0x80000000000000), none, "ot=th:8"},
        {"ot=th:z;th:8;th:4", UINT64_C(0x80000000000000), none, "ot=th:8"},
        {"ot=xth:8", none, none, NULL},
        {"xot=th:8", none, none, NULL},
        {"ot=th:8;foo", UINT64_C(0x80000000000000), none, "ot=th:8"},
        {"a=1,ot=th:8;Foo:1;9:2;x:a b;k:~;y:A.b_-9;z:", UINT64_C(0x80000000000000), none,
         "ot=th:8;y:A.b_-9;z:,a=1"},
        {"a=1,ot=foo,b=2", none, none, "a=1,b=2"},
        {"ot=th:8;th:8", UINT64_C(0x80000000000000), none, "ot=th:8"},
        {"ot=th:8,ot=th:4", UINT64_C(0x80000000000000), none, "ot=th:8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        nsp_context context = parsed_state(cases[i].text);
        assert_true(context.threshold == cases[i].threshold);
        assert_true(context.randomness == cases[i].randomness);
        // What is well formed is sent unchanged.
        assert_state(&context, cases[i].sent != NULL ? cases[i].sent : cases[i].text);
    }
}

// Our sub-keys always have a place in the value's 256 characters; those of others share the rest.
static void long_sub_keys_do_not_displace_ours(void **state)
{
    (void)state;
    char text[400], expected[400];
    for (int length = 230; length <= 254; length++) { // of the long value; 2 more for its key
        sprintf(text, "a=1,ot=y:2;x:%0*d;z:3", length - 8, 0);
        if (length <= 256 - 8 - 2) {
            nsp_context context = parsed_state(text);
            context.threshold = UINT64_C(0x80000000000000);
            // "th:8;y:2;" and ";z:3" take 13.
            if (2 + length - 8 + 9 <= 256 - 4)
                sprintf(expected, "ot=th:8;y:2;x:%0*d;z:3,a=1", length - 8, 0);
            else if (2 + length - 8 + 9 <= 256)
                sprintf(expected, "ot=th:8;y:2;x:%0*d,a=1", length - 8, 0);
            else
                sprintf(expected, "ot=th:8;y:2;z:3,a=1");
            assert_state(&context, expected);
        }
        // As much as a value may hold, which is more than fits beside a randomness.
        sprintf(text, "ot=x:%0*d", length, 0);
        nsp_context context = parsed_state(text);
        assert_int_equal(context.tracestate_length, strlen(text));
        assert_state(&context, text);
        context.randomness = 1;
        if (2 + length + 18 <= 256)
            sprintf(expected, "ot=rv:00000000000001;x:%0*d", length, 0);
        else
            sprintf(expected, "ot=rv:00000000000001");
        assert_state(&context, expected);
    }
    // A value of 256 characters beside malformed ones, which are removed.
    sprintf(text, "ot=x:%0250d;foo", 0);
    nsp_context context = parsed_state(text);
    sprintf(expected, "ot=x:%0250d", 0);
    assert_state(&context, expected);
}

static void ot_is_written_anew_when_changed(void **state)
{
    (void)state;
    nsp_context context = parsed_state(NULL);
    context.threshold = nsp__threshold_from_rate(0.01);
    assert_state(&context, "ot=th:fd70a");
    context.randomness = 0x123;
    assert_state(&context, "ot=th:fd70a;rv:00000000000123");
    context.threshold = NSP__THRESHOLD_NEVER;
    assert_state(&context, "ot=rv:00000000000123");

    context = parsed_state("a=1,ot=x:1;th:8;y:2;rv:000000000000ff,b=2");
    context.threshold = 0;
    assert_state(&context, "ot=th:0;rv:000000000000ff;x:1;y:2,a=1,b=2");
    context.threshold = NSP_CONTEXT_UNKNOWN;
    assert_state(&context, "ot=rv:000000000000ff;x:1;y:2,a=1,b=2");
    context.randomness = NSP_CONTEXT_UNKNOWN;
    assert_state(&context, "ot=x:1;y:2,a=1,b=2");

    context = parsed_state("a=1,ot=th:8,b=2,ot=th:4");
    context.threshold = NSP_CONTEXT_UNKNOWN;
    assert_state(&context, "a=1,b=2");
    context = parsed_state("a=1,ot=th:what");
    context.threshold = UINT64_C(0x80000000000000);
    assert_state(&context, "ot=th:8,a=1");

    // `ot` is the 33rd member, so the last of the others is removed. A short buffer keeps `ot` and drops the
    // others.
    char text[200] = "", expected[200] = "ot=th:0";
    for (int i = 0; i < 32; i++) {
        append_member(text, "k", 3);
        if (i < 31)
            append_member(expected, "k", 3);
    }
    context = parsed_state(text);
    context.threshold = 0;
    assert_state(&context, expected);
    char out[16];
    assert_int_equal(nsp_context_format_state(&context, out, 14), 11);
    assert_string_equal(out, "ot=th:0,k=v");
}

// The list that nanospan itself sends takes a shorter way; what is not exactly that list must not.
static void a_threshold_alone_is_sent_unless_changed(void **state)
{
    (void)state;
    const uint64_t half = UINT64_C(0x80000000000000);
    char out[16];
    nsp_context context = parsed_state("ot=th:800");
    assert_int_equal(nsp_context_format_state(&context, out, 10), 9);
    assert_string_equal(out, "ot=th:800");
    assert_int_equal(nsp_context_format_state(&context, out, 9), 0);
    assert_string_equal(out, "");
    context.randomness = 1;
    assert_state(&context, "ot=th:8;rv:00000000000001");
    context.randomness = NSP_CONTEXT_UNKNOWN;
    context.threshold = 0;
    assert_state(&context, "ot=th:0");
    context.threshold = NSP_CONTEXT_UNKNOWN;
    assert_state(&context, "");
    context.threshold = half;
    context.tracestate[7] = 'G';
    assert_state(&context, "ot=th:8");
    for (size_t i = 0; i < 8; i++) { // only the beginning of such a list
        context = parsed_state("ot=th:80");
        context.tracestate_length = (uint16_t)i;
        assert_state(&context, "ot=th:8");
    }
}

static void text_that_is_no_tracestate_is_not_sent(void **state)
{
    (void)state;
    nsp_context context = parsed_state("a=1");
    context.tracestate[1] = '\n';
    assert_state(&context, "");
    context.threshold = 0;
    assert_state(&context, "ot=th:0");
    context.tracestate_length = UINT16_MAX;
    assert_state(&context, "ot=th:0");
}

static void packed_bytes(void **state)
{
    (void)state;
    nsp_context context = parsed_state("a=1"), again;
    uint8_t packed[NSP_CONTEXT_PACKED_SIZE], rest[NSP_CONTEXT_PACKED_SIZE] = {0};
    memset(packed, 0xff, sizeof packed);
    nsp_context_pack(&context, packed);
    assert_int_equal(packed[0], 0);
    assert_memory_equal(packed + 1, context.trace_id, 16);
    assert_memory_equal(packed + 17, context.span_id, 8);
    assert_int_equal(packed[25], 1);
    assert_memory_equal(packed + 26, "\x03\0a=1", 5);
    assert_memory_equal(packed + 31, rest, sizeof packed - 31);
    assert_int_equal(nsp_context_packed_size(&context), 31);

    // Changes after the parsing are packed too.
    context.threshold = 0;
    assert_int_equal(nsp_context_packed_size(&context), 28 + 11);
    nsp_context_pack(&context, packed);
    assert_int_equal(nsp_context_unpack(&again, packed, 39), NSP_OK);
    assert_true(again.threshold == 0 && again.remote);
    assert_int_equal(again.tracestate_length, 11);

    // Cut short, the tracestate is dropped whole, and then everything.
    for (size_t length = 0; length < 39; length++) {
        assert_int_equal(nsp_context_unpack(&again, packed, length), length < 26 ? NSP_ERR_INVALID : NSP_OK);
        assert_int_equal(again.tracestate_length, 0);
    }
    packed[27] = 0xff;
    assert_int_equal(nsp_context_unpack(&again, packed, sizeof packed), NSP_OK);
    assert_int_equal(again.tracestate_length, 0);
    packed[25] = 0xff;
    assert_int_equal(nsp_context_unpack(&again, packed, sizeof packed), NSP_OK);
    assert_int_equal(again.flags, 3);
    packed[0] = 1;
    assert_int_equal(nsp_context_unpack(&again, packed, sizeof packed), NSP_ERR_INVALID);
    assert_int_equal(nsp_context_unpack(&again, NULL, 0), NSP_ERR_INVALID);
    assert_true(is_invalid(&again));
}

// Inserts, deletes, repeats and overwrites; the inserted text often has a meaning in the grammar.
static size_t mutate(uint64_t *random, char *text, size_t length, size_t room)
{
    static const char *const words[] = {
        "ot=",
        "th:",
        "rv:",
        "0123456789abcd",
        ";",
        ",",
        "=",
        " ",
        "\t",
        "\n",
        "-",
        "a=1",
        ",b=2",
        "ot=th:8,",
        "f",
        "0",
        "ffffffffffffff",
        "00000000000000000000000000000000",
        "\x7f",
        "\x80",
        "x:y;",
        "@",
        "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk",
    };
    for (uint64_t steps = nsp__random_next(random) % 5; steps > 0; steps--) {
        size_t at = nsp__random_next(random) % (length + 1);
        const char *word = words[nsp__random_next(random) % (sizeof words / sizeof words[0])];
        size_t count = strlen(word);
        switch (nsp__random_next(random) % 5) {
        case 0:
            if (at < length)
                text[at] = (char)nsp__random_next(random);
            break;
        case 1: // delete
            count = nsp__random_next(random) % 8;
            count = count < length - at ? count : length - at;
            memmove(text + at, text + at + count, length - at - count);
            length -= count;
            break;
        case 2: // overwrite
            if (at + count <= length)
                memcpy(text + at, word, count);
            break;
        case 3: // repeat a part of the text
            count = nsp__random_next(random) % 200;
            count = count < length - at ? count : length - at;
            if (length + count > room)
                break;
            memmove(text + at + count, text + at, length - at);
            length += count;
            break;
        default: // insert
            if (length + count > room)
                break;
            memmove(text + at + count, text + at, length - at);
            memcpy(text + at, word, count);
            length += count;
        }
    }
    return length;
}

static void any_bytes_have_the_property(void **state)
{
    (void)state;
    static const char packed[] = "\0TTTTTTTTTTTTTTTTSSSSSSSS\x01\x1d\0ot=th:8;rv:0123456789abcd,a=b";
    static const struct {
        const char *text;
        size_t length;
    } seeds[] = {
#define SEED(literal) {literal, sizeof literal - 1}
        SEED(PARENT "\n"),
        SEED(PARENT "\na=1,b=2,ot=th:8;rv:0123456789abcd;x:y,c=3"),
        SEED(PARENT "\not=th:fd70a"),
        SEED(PARENT "\n a=1 ,\tb=2 , ,"),
        SEED(PARENT "\nkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk@sys="
                    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv"
                    "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv,b=2"),
        SEED(PARENT
             "\na=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1,a=1"),
        SEED("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-more\nz=9"),
        SEED(packed),
    };
    const char *wanted = getenv("NSP_FUZZ_RUNS");
    long runs = wanted != NULL ? atol(wanted) : 2000000, good = 0;
    uint64_t random = 20260801;
    for (long i = 0; i < runs; i++) {
        char text[1500];
        size_t which = nsp__random_next(&random) % (sizeof seeds / sizeof seeds[0]);
        memcpy(text, seeds[which].text, seeds[which].length);
        // Most mutations leave the traceparent alone, because few changed ones are accepted.
        size_t keep = nsp__random_next(&random) % 4 == 0 ? 0 : which == 7 ? 26 : 55;
        size_t length = keep + mutate(&random, text + keep, seeds[which].length - keep, sizeof text - keep);
        good += check_property((const uint8_t *)text, length);
    }
    // If few were accepted, the mutations would be too coarse to test what comes after the first checks.
    assert_true(good > runs / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(traceparent_is_read_and_written),
        cmocka_unit_test(good_traceparents),
        cmocka_unit_test(bad_traceparents),
        cmocka_unit_test(the_invalid_context_formats_as_nothing),
        cmocka_unit_test(good_tracestates_are_normalised),
        cmocka_unit_test(bad_tracestates_are_dropped_whole),
        cmocka_unit_test(keys_values_and_members_at_their_limits),
        cmocka_unit_test(long_members_are_dropped_first),
        cmocka_unit_test(ot_is_read),
        cmocka_unit_test(ot_is_written_anew_when_changed),
        cmocka_unit_test(a_threshold_alone_is_sent_unless_changed),
        cmocka_unit_test(long_sub_keys_do_not_displace_ours),
        cmocka_unit_test(text_that_is_no_tracestate_is_not_sent),
        cmocka_unit_test(packed_bytes),
        cmocka_unit_test(any_bytes_have_the_property),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
