// SPDX-License-Identifier: Apache-2.0
#include "every_span.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "expectation.h"

#define SECOND 1000000000ull

enum { NEST = 8 };

// Clock readings that are all different, in the order of the calls, a few ticks apart.
static nsp_ticks reading(void)
{
    static nsp_ticks last;
    nsp_ticks now = nsp_now();
    return last = now > last ? now : last + 7;
}

static noted begin(const noted *parent, const char *name)
{
    nsp_ticks start = reading();
    nsp_span *span = nsp_span_begin_at(nsp_intern(name, strlen(name)), start);
    return note_begun(span, name, NSP_KIND_INTERNAL, (place){parent, NULL, ""}, start);
}

static noted begin_with(const noted *parent, const char *name, nsp_span_options *options,
                        const char *tracestate)
{
    options->start = reading();
    nsp_span *span = nsp_span_begin_with(nsp_intern(name, strlen(name)), options);
    return note_begun(span, name, options->kind, (place){parent, options->parent, tracestate},
                      options->start);
}

static void end(noted one)
{
    nsp_ticks at = reading();
    note_end(one, at);
    nsp_span_end_at(one.span, at);
}

static void kinds(const noted *root)
{
    static const char *const names[] = {"kind internal", "kind server", "kind client", "kind producer",
                                        "kind consumer"};
    for (int kind = NSP_KIND_INTERNAL; kind <= NSP_KIND_CONSUMER; kind++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.kind = (nsp_kind)kind;
        end(begin_with(root, names[kind], &options, ""));
    }
}

static void statuses(const noted *root)
{
    noted one = begin(root, "status ok");
    set_status(one, NSP_SPAN_STATUS_OK, "not kept");
    end(one);
    one = begin(root, "status error");
    set_status(one, NSP_SPAN_STATUS_ERROR, "no cash: \"42\" \u20ac");
    end(one);
    one = begin(root, "status error without message");
    set_status(one, NSP_SPAN_STATUS_ERROR, NULL);
    end(one);
    one = begin(root, "status error, then ok");
    set_status(one, NSP_SPAN_STATUS_ERROR, "taken back");
    set_status(one, NSP_SPAN_STATUS_OK, NULL);
    end(one);
    one = begin(root, "status ok, then error");
    set_status(one, NSP_SPAN_STATUS_OK, NULL);
    set_status(one, NSP_SPAN_STATUS_ERROR, "too late");
    end(one);
}

static void attributes(const noted *root)
{
    noted one = begin(root, "attributes");
    set_str(one, "symbol", "AAPL");
    set_str(one, "empty", "");
    set_str(one, "long",
            "a text that is longer than what fits into a short field, and then some; with \t\n\\ and \"");
    set_bool(one, "yes", true);
    set_bool(one, "no", false);
    set_i64(one, "zero", 0);
    set_i64(one, "minus one", -1);
    set_i64(one, "least", INT64_MIN);
    set_i64(one, "most", INT64_MAX);
    set_f64(one, "price", 187.0625);
    set_f64(one, "tenth", 0.1);
    set_f64(one, "minus nothing", -0.0);
    set_f64(one, "tiny", 5e-324);
    set_f64(one, "huge", 1.7976931348623157e308);
    set_f64(one, "whole", 3.0);
    set_bytes(one, "bytes", "\x00\x01\xfe\xff", 4);
    set_bytes(one, "no bytes", "", 0);
    end(one);

    one = begin(root, "attributes that are not finite");
    set_f64(one, "nan", __builtin_nan(""));
    set_f64(one, "inf", __builtin_inf());
    set_f64(one, "minus inf", -__builtin_inf());
    end(one);

    one = begin(root, "attributes set twice");
    set_str(one, "first", "replaced");
    set_i64(one, "second", 2);
    set_bool(one, "first", true);
    end(one);

    one = begin(root, "\u540d\u524d \u20ac \U0001F600");
    set_str(one, "\u00fcn\u00efcode", "\u00e9\u20ac\U0001F600\u2028\x7f");
    set_text(one, "invalid", "a\xffz", 3, "a\uFFFDz");
    end(one);
}

static void arrays(const noted *root)
{
    static const char *const texts[] = {"AAPL", "", "\u20ac"};
    static const bool flags[] = {true, false, true};
    static const int64_t numbers[] = {INT64_MIN, 0, INT64_MAX};
    static const double prices[] = {0.1, -2.5, 1e300, 0.0};
    noted one = begin(root, "arrays");
    set_strs(one, "texts", texts, 3);
    set_bools(one, "flags", flags, 3);
    set_i64s(one, "numbers", numbers, 3);
    set_f64s(one, "prices", prices, 4);
    set_i64s(one, "one", numbers, 1);
    set_strs(one, "none", texts, 0);
    end(one);
}

static void events(const noted *root)
{
    noted one = begin(root, "events");
    add_event(one, "plain", reading(), NULL, 0);
    noted_attr described[] = {{"order", {0, NSP_TYPE_I64, 1, {.i64 = 7}}},
                              {"venue", nsp_attr_str(0, "XNAS \u20ac")},
                              {"partial", nsp_attr_bool(0, true)},
                              {"price", nsp_attr_f64(0, 1.5)},
                              {"too many", nsp_attr_i64(0, 1)}};
    add_event(one, "filled", reading(), described, LIMIT_OWN_ATTRIBUTES);
    add_event(one, "filled", reading(), described, LIMIT_OWN_ATTRIBUTES + 1);
    end(one);
}

#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-"

static void links(const noted *root)
{
    nsp_context here, remote = context_of(TRACEPARENT "01", "vendor=abc,other=x:y");
    nsp_context unsampled = context_of(TRACEPARENT "02", NULL);
    nsp_span_context(root->span, &here);
    noted_attr described[] = {{"why", nsp_attr_str(0, "retry")},
                              {"a", nsp_attr_i64(0, -1)},
                              {"b", nsp_attr_bool(0, false)},
                              {"c", nsp_attr_f64(0, 2)},
                              {"too many", nsp_attr_i64(0, 1)}};
    nsp_attr own = described[0].attr;
    own.key = NSP_KEY("why");
    nsp_link given[] = {{remote, NULL, 0}, {here, &own, 1}};
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.links = given;
    options.link_count = 2;
    noted one = begin_with(root, "links", &options, "");
    add_link(one, &remote, "vendor=abc,other=x:y", NULL, 0, true);
    add_link(one, &here, "ot=th:0", described, 1, true);
    add_link(one, &unsampled, "", NULL, 0, false);
    add_link(one, &remote, "vendor=abc,other=x:y", described, LIMIT_OWN_ATTRIBUTES + 1, false);
    end(one);
}

static void remote_parents(void)
{
    static const struct {
        const char *name, *flags, *tracestate;
    } callers[] = {
        {"remote parent", "03", ""},
        {"remote parent without randomness", "01", ""},
        {"remote parent with tracestate", "03", "vendor=abc,other=x:y"},
        {"remote parent with threshold", "01", "ot=th:c;rv:d29d6a7215ced0,vendor=abc"},
    };
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        char traceparent[NSP_TRACEPARENT_SIZE];
        snprintf(traceparent, sizeof traceparent, TRACEPARENT "%s", callers[i].flags);
        nsp_context caller = context_of(traceparent, callers[i].tracestate);
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.parent = &caller;
        options.kind = NSP_KIND_SERVER;
        noted one = begin_with(NULL, callers[i].name, &options, callers[i].tracestate);
        end(begin(&one, "child of a remote parent's child"));
        end(one);
    }
    // A span whose caller did not sample is not recorded, and must not arrive.
    nsp_context caller = context_of(TRACEPARENT "02", NULL);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.parent = &caller;
    nsp_span *left_out = nsp_span_begin_with(NSP_NAME("not sampled"), &options);
    nsp_span_set_str(left_out, NSP_KEY("key"), "value");
    nsp_span_end(left_out);
}

static void *end_elsewhere(void *one)
{
    set_str(*(noted *)one, "ended by", "another thread");
    end(*(noted *)one);
    return NULL;
}

static void detached(const noted *root)
{
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.kind = NSP_KIND_PRODUCER;
    options.start = reading();
    nsp_span *span = nsp_span_begin_detached(NSP_NAME("detached"), &options);
    noted one = note_begun(span, "detached", options.kind, (place){root, NULL, ""}, options.start);
    nsp_span_enter(span);
    end(begin(&one, "child of a detached span"));
    nsp_span_leave(span);
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_elsewhere, &one) == 0)
        pthread_join(thread, NULL);
    else
        end(one);
}

// Consecutive phases share a clock reading.
static void phases(const noted *root)
{
    static const char *const names[] = {"decode", "check", "match"};
    noted one = begin(root, "phases of an order");
    nsp_ticks at = reading();
    nsp_span *span = nsp_span_begin_at(NSP_NAME("decode"), at);
    noted phase = note_begun(span, names[0], NSP_KIND_INTERNAL, (place){&one, NULL, ""}, at);
    for (int i = 1; i < 3; i++) {
        at = reading();
        note_end(phase, at);
        span = nsp_span_next_at(phase.span, nsp_intern(names[i], strlen(names[i])), at);
        phase = note_begun(span, names[i], NSP_KIND_INTERNAL, (place){&one, NULL, ""}, at);
    }
    end(phase);
    end(one);
}

static void times(const noted *root)
{
    static const struct {
        const char *name;
        int64_t start, end; // ticks after a reading
    } cases[] = {
        {"no time at all", 0, 0},
        {"end before the start", 1000, 0},
        {"one tick", 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        nsp_ticks at = reading(), start = at + (uint64_t)cases[i].start, stop = at + (uint64_t)cases[i].end;
        nsp_span *span = nsp_span_begin_at(nsp_intern(cases[i].name, strlen(cases[i].name)), start);
        noted one = note_begun(span, cases[i].name, NSP_KIND_INTERNAL, (place){root, NULL, ""}, start);
        note_end(one, stop > start ? stop : start);
        nsp_span_end_at(span, stop);
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    nsp_ticks start = nsp_ticks_from_unix_ns(((uint64_t)now.tv_sec - 60) * SECOND + 123456789);
    nsp_span *span = nsp_span_begin_at(NSP_NAME("a minute ago"), start);
    end(note_begun(span, "a minute ago", NSP_KIND_INTERNAL, (place){root, NULL, ""}, start));
}

static void too_much(const noted *root)
{
    char key[16];
    noted one = begin(root, "too many attributes");
    for (int i = 0; i < LIMIT_ATTRIBUTES + 3; i++) {
        snprintf(key, sizeof key, "key %02d", i);
        set_i64(one, key, i);
    }
    end(one);
    one = begin(root, "too many events and links");
    for (int i = 0; i < LIMIT_EVENTS + 2; i++)
        add_event(one, "event", reading(), NULL, 0);
    nsp_context remote = context_of(TRACEPARENT "01", NULL);
    for (int i = 0; i < LIMIT_LINKS + 1; i++)
        add_link(one, &remote, "", NULL, 0, false);
    end(one);
    // The limit counts characters; the last character that is kept has three bytes.
    char text[LIMIT_TEXT + 8], kept[LIMIT_TEXT + 3];
    memset(text, 'x', sizeof text);
    memcpy(text + LIMIT_TEXT - 1, "\u20ac", 3);
    memcpy(kept, text, LIMIT_TEXT + 2);
    kept[LIMIT_TEXT + 2] = 0;
    one = begin(root, "too long a text");
    set_text(one, "text", text, sizeof text, kept);
    end(one);
}

static void nest(const noted *parent, int depth)
{
    char name[32];
    snprintf(name, sizeof name, "depth %d", depth);
    noted one = begin(parent, name);
    set_i64(one, "depth", depth);
    if (depth < NEST)
        nest(&one, depth + 1);
    end(one);
}

void emit_set(int64_t number)
{
    noted root = begin(NULL, "set");
    set_i64(root, "number", number);
    kinds(&root);
    statuses(&root);
    attributes(&root);
    arrays(&root);
    events(&root);
    links(&root);
    remote_parents();
    detached(&root);
    phases(&root);
    times(&root);
    too_much(&root);
    nest(&root, 1);
    nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
    options.new_root = true;
    end(begin_with(NULL, "new root within a trace", &options, ""));
    end(root);
}
