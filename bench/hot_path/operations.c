// SPDX-License-Identifier: Apache-2.0
//
// The operations, written like application code. None is inlined into the harness.
#include "hot_path/operations.h"

#include <string.h>

#include <nanospan/nanospan.h>
#include <nanospan/outlier.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "harness/ticks.h"
#include "hot_path/special.h"

#define OPERATION static __attribute__((noinline)) void

OPERATION run_span0(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span0"));
        nsp_span_end(span);
    }
}

OPERATION run_span3(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span3"));
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);
        nsp_span_end(span);
    }
}

OPERATION run_span8(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("span8"));
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);
        nsp_span_set_bool(span, NSP_KEY("buy"), true);
        nsp_span_set_i64(span, NSP_KEY("order"), (int64_t)i);
        nsp_span_set_i64(span, NSP_KEY("account"), 42);
        nsp_span_set_f64(span, NSP_KEY("limit"), 102.5);
        nsp_span_set_str(span, NSP_KEY("venue"), "XETR");
        nsp_span_end(span);
    }
}

// Strings of lengths that the compiler does not know: one short, one of two words, one that takes the slow
// path.
static const char *volatile texts[3] = {"BTCUSDT", "limit-order-gtc",
                                        "account 0042, desk 7, strategy mean-reversion"};

OPERATION run_strings(size_t count)
{
    const char *symbol = texts[0], *type = texts[1], *note = texts[2];
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("strings"));
        nsp_span_set_str(span, NSP_KEY("symbol"), symbol);
        nsp_span_set_str(span, NSP_KEY("type"), type);
        nsp_span_set_str(span, NSP_KEY("note"), note);
        nsp_span_end(span);
    }
}

OPERATION run_event(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("event"));
        nsp_attr level = nsp_attr_i64(NSP_KEY("level"), (int64_t)i);
        nsp_span_add_event_with(span, NSP_NAME("matched"), 0, &level, 1);
        nsp_span_end(span);
    }
}

// A context from another process.
static nsp_context foreign_context(bool sampled)
{
    nsp_context context;
    nsp_context_parse(&context,
                      sampled ? "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03"
                              : "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-02",
                      NULL);
    return context;
}

OPERATION run_link(size_t count)
{
    nsp_context context = foreign_context(true);
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("link"));
        nsp_span_add_link(span, &context);
        nsp_span_end(span);
    }
}

OPERATION run_event_link(size_t count)
{
    nsp_context context = foreign_context(true);
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin(NSP_NAME("event_link"));
        nsp_attr level = nsp_attr_i64(NSP_KEY("level"), (int64_t)i);
        nsp_span_add_event_with(span, NSP_NAME("matched"), 0, &level, 1);
        nsp_span_add_link(span, &context);
        nsp_span_end(span);
    }
}

static void with_parent(size_t count, const nsp_context *parent)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span_options options = NSP_SPAN_OPTIONS_INIT;
        options.kind = NSP_KIND_SERVER;
        options.parent = parent;
        nsp_span *span = nsp_span_begin_with(NSP_NAME("remote"), &options);
        nsp_span_set_i64(span, NSP_KEY("order"), (int64_t)i);
        nsp_span_end(span);
    }
}

OPERATION run_remote_sampled(size_t count)
{
    nsp_context context = foreign_context(true);
    with_parent(count, &context);
}

OPERATION run_remote_unsampled(size_t count)
{
    nsp_context context = foreign_context(false);
    with_parent(count, &context);
}

OPERATION run_detached(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin_detached(NSP_NAME("detached"), NULL);
        nsp_span_set_i64(span, NSP_KEY("order"), (int64_t)i);
        nsp_span_end(span);
    }
}

OPERATION run_nested(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("outer"));
        nsp_span *span = nsp_span_begin(NSP_NAME("inner"));
        nsp_span_set_i64(span, NSP_KEY("order"), (int64_t)i);
        nsp_span_end(span);
        nsp_span_end(root);
    }
}

OPERATION run_warm(size_t count)
{
    for (size_t i = 0; i < count; i++)
        nsp_thread_warm();
}

// One phase of a trace that stays open: its end shares a clock reading with the beginning of the next phase.
static nsp_span *whole, *phase_now;

static bool prepare_next(void)
{
    whole = nsp_span_begin(NSP_NAME("whole"));
    phase_now = nsp_span_begin(NSP_NAME("phase"));
    return nsp_span_recording(phase_now);
}

OPERATION run_next(size_t count)
{
    nsp_span *phase = phase_now;
    for (size_t i = 0; i < count; i++) {
        nsp_span_set_i64(phase, NSP_KEY("order"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("phase"));
    }
    phase_now = phase;
}

static void finish_next(void)
{
    nsp_span_end(phase_now);
    nsp_span_end(whole);
}

OPERATION run_supplied_ticks(size_t count)
{
    nsp_ticks now = nsp_now();
    for (size_t i = 0; i < count; i++) {
        nsp_span *span = nsp_span_begin_at(NSP_NAME("supplied"), now);
        nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
        nsp_span_set_f64(span, NSP_KEY("price"), 101.25);
        nsp_span_set_i64(span, NSP_KEY("quantity"), (int64_t)i);
        nsp_span_end_at(span, ++now);
    }
}

// A root and five phases with an attribute each: six readings, which adjacent spans share.
OPERATION run_trace6_at(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_ticks now = nsp_now();
        nsp_span *root = nsp_span_begin_at(NSP_NAME("order"), now);
        nsp_span_set_i64(root, NSP_KEY("order"), (int64_t)i);
        nsp_span *phase = nsp_span_begin_at(NSP_NAME("decode"), now);
        nsp_span_set_i64(phase, NSP_KEY("a"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("check_balance"));
        nsp_span_set_i64(phase, NSP_KEY("b"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("calculate_size"));
        nsp_span_set_i64(phase, NSP_KEY("c"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("match"));
        nsp_span_set_i64(phase, NSP_KEY("d"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("report"));
        nsp_span_set_i64(phase, NSP_KEY("e"), (int64_t)i);
        now = nsp_now();
        nsp_span_end_at(phase, now);
        nsp_span_end_at(root, now);
    }
}

// The same without nsp_span_begin_at and nsp_span_end_at: eight readings.
OPERATION run_trace6(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("order"));
        nsp_span_set_i64(root, NSP_KEY("order"), (int64_t)i);
        nsp_span *phase = nsp_span_begin(NSP_NAME("decode"));
        nsp_span_set_i64(phase, NSP_KEY("a"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("check_balance"));
        nsp_span_set_i64(phase, NSP_KEY("b"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("calculate_size"));
        nsp_span_set_i64(phase, NSP_KEY("c"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("match"));
        nsp_span_set_i64(phase, NSP_KEY("d"), (int64_t)i);
        phase = nsp_span_next(phase, NSP_NAME("report"));
        nsp_span_set_i64(phase, NSP_KEY("e"), (int64_t)i);
        nsp_span_end(phase);
        nsp_span_end(root);
    }
}

// The same with begin and end only: twelve readings. The unsampled tree uses this code too.
#define PHASE(name, key)                                                                                     \
    do {                                                                                                     \
        nsp_span *phase = nsp_span_begin(NSP_NAME(name));                                                    \
        nsp_span_set_i64(phase, NSP_KEY(key), (int64_t)i);                                                   \
        nsp_span_end(phase);                                                                                 \
    } while (0)

OPERATION run_tree6(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        nsp_span *root = nsp_span_begin(NSP_NAME("order"));
        nsp_span_set_i64(root, NSP_KEY("order"), (int64_t)i);
        PHASE("decode", "a");
        PHASE("check_balance", "b");
        PHASE("calculate_size", "c");
        PHASE("match", "d");
        PHASE("report", "e");
        nsp_span_end(root);
    }
}

// ---- declared paths ----

// The same spans and attributes once more, as a path: six readings.
#define PATH6(PHASE, I64, F64, STR, BOOL)                                                                    \
    I64(order, "order")                                                                                      \
    PHASE(decode, "decode", NSP_PATH_AT_START)                                                               \
    I64(a, "a")                                                                                              \
    PHASE(check_balance, "check_balance")                                                                    \
    I64(b, "b")                                                                                              \
    PHASE(calculate_size, "calculate_size")                                                                  \
    I64(c, "c")                                                                                              \
    PHASE(match, "match")                                                                                    \
    I64(d, "d")                                                                                              \
    PHASE(report, "report")                                                                                  \
    I64(e, "e")
NSP_PATH_DECLARE(path6, "order", PATH6)

static inline void go_through(path6 *path, size_t i)
{
    path->order = (int64_t)i;
    path->a = (int64_t)i;
    NSP_PATH_MARK(path, check_balance);
    path->b = (int64_t)i;
    NSP_PATH_MARK(path, calculate_size);
    path->c = (int64_t)i;
    NSP_PATH_MARK(path, match);
    path->d = (int64_t)i;
    NSP_PATH_MARK(path, report);
    path->e = (int64_t)i;
    path6_end(path);
}

OPERATION run_path6(size_t count)
{
    for (size_t i = 0; i < count; i++)
        go_through(path6_begin(), i);
}

OPERATION run_path_detached(size_t count)
{
    nsp_path_options options = NSP_PATH_OPTIONS_INIT;
    options.detached = true;
    for (size_t i = 0; i < count; i++)
        go_through(path6_begin_with(&options), i);
}

// The attributes of span3.
#define DECLARED3(PHASE, I64, F64, STR, BOOL)                                                                \
    STR(symbol, 8, "symbol") F64(price, "price") I64(quantity, "quantity")
NSP_PATH_DECLARE(declared3, "declared3", DECLARED3)

OPERATION run_declared3(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        declared3 *span = declared3_begin();
        NSP_PATH_STR(span, symbol, "BTCUSDT", 7);
        span->price = 101.25;
        span->quantity = (int64_t)i;
        declared3_end(span);
    }
}

// ---- roots that an outlier rule looks at where they end; the head samples none ----

static bool prepare_rule(nsp_outlier_rule rule)
{
    rule.size = sizeof rule;
    return nsp_sampler_set_rate(0) == NSP_OK && nsp_outlier_set_rule("*", &rule) == NSP_OK;
}

static bool prepare_taken_back(void)
{
    return prepare_rule((nsp_outlier_rule){.slower_ns = NSP_OUTLIER_SLOWER_MAX});
}

static bool prepare_history(void)
{
    return prepare_rule((nsp_outlier_rule){.slower_ns = NSP_OUTLIER_SLOWER_MAX, .history_ns = 10000000});
}

static bool prepare_kept(void)
{
    return prepare_rule((nsp_outlier_rule){.slower_ns = 1});
}

static bool prepare_measured(void)
{
    return prepare_rule((nsp_outlier_rule){.measure = true});
}

#define PLAIN NULL, NULL, NULL, NULL, 0 // needs only a session

const bench_operation operations[] = {
    {"span0", "a span without attributes", SAMPLED, 1, run_span0, PLAIN},
    {"span3", "with 3 attributes: string, double, integer", SAMPLED, 1, run_span3, PLAIN},
    {"span8", "with 8 attributes", SAMPLED, 1, run_span8, PLAIN},
    {"strings", "with 3 strings of 7, 15 and 44 bytes, lengths unknown", SAMPLED, 1, run_strings, PLAIN},
    {"event", "with an event that has an attribute", SAMPLED, 1, run_event, PLAIN},
    {"link", "with a link", SAMPLED, 1, run_link, PLAIN},
    {"event_link", "with such an event and a link", SAMPLED, 1, run_event_link, PLAIN},
    {"nested", "a child in a root; per span", SAMPLED, 2, run_nested, PLAIN},
    {"next", "nsp_span_next, an attribute; one clock read", SAMPLED, 1, run_next, prepare_next, finish_next,
     NULL, NULL, 0},
    {"supplied_ticks", "with 3 attributes, no clock read", SAMPLED, 1, run_supplied_ticks, PLAIN},
    {"remote_sampled", "with a remote parent that is sampled, an attribute", SAMPLED, 1, run_remote_sampled,
     PLAIN},
    {"detached", "detached, an attribute", SAMPLED, 1, run_detached, PLAIN},
    {"detached_begin", "begun here, an attribute; another thread ends it", SAMPLED, 1, run_handover_begin,
     handover_start, handover_stop, NULL, handover_collect, HANDOVER_MOST},
    {"detached_end", "the end of one that another thread began", SAMPLED, 1, run_handover_end, handover_start,
     handover_stop, handover_supply, handover_settle, HANDOVER_MOST},
    {"trace6_at", "root and 5 phases, 6 clock reads (begin_at, next, end_at); per span", SAMPLED, 6,
     run_trace6_at, PLAIN},
    {"trace6", "the same, 8 clock reads (begin, next, end)", SAMPLED, 6, run_trace6, PLAIN},
    {"tree6", "the same, 12 clock reads (begin, end)", SAMPLED, 6, run_tree6, PLAIN},
    {"path6", "the same as a declared path, 6 clock reads", SAMPLED, 6, run_path6, PLAIN},
    {"path_detached", "the same, detached", SAMPLED, 6, run_path_detached, PLAIN},
    {"declared3", "a declared span with 3 fields: string, double, integer", SAMPLED, 1, run_declared3, PLAIN},
    {"full_root", "a root refused because the ring is above the watermark; 3 setters", FULL, 1, run_span3,
     full_ring_refuse, NULL, NULL, NULL, 0},
    {"full_child", "a child with 3 attributes, lost at its end because the ring is full", FULL, 1,
     run_full_child, full_ring_fill, full_ring_finish, NULL, NULL, 0},
    {"unsampled3", "an unsampled root, 3 setters called", UNSAMPLED, 1, run_span3, PLAIN},
    {"unsampled6", "an unsampled tree of 6, a setter each; per span", UNSAMPLED, 6, run_tree6, PLAIN},
    {"unsampled_path6", "the same as a declared path", UNSAMPLED, 6, run_path6, PLAIN},
    {"remote_unsampled", "with a remote parent that is not sampled, a setter", SAMPLED, 1,
     run_remote_unsampled, PLAIN},
    {"speculative0", "a root that is taken back, without attributes", UNSAMPLED, 1, run_span0,
     prepare_taken_back, NULL, NULL, NULL, 0},
    {"speculative3", "the same with 3 attributes", UNSAMPLED, 1, run_span3, prepare_taken_back, NULL, NULL,
     NULL, 0},
    {"speculative6", "a tree of 6 that is taken back, an attribute each; per span", UNSAMPLED, 6, run_tree6,
     prepare_taken_back, NULL, NULL, NULL, 0},
    {"speculative0_history", "a root that is taken back and becomes history", UNSAMPLED, 1, run_span0,
     prepare_history, NULL, NULL, NULL, 0},
    {"speculative3_history", "the same with 3 attributes", UNSAMPLED, 1, run_span3, prepare_history, NULL,
     NULL, NULL, 0},
    {"kept0", "a root that is kept, without attributes", SAMPLED, 1, run_span0, prepare_kept, NULL, NULL,
     NULL, 0},
    {"measured3", "a root of which only the duration is taken, 3 setters called", UNSAMPLED, 1, run_span3,
     prepare_measured, NULL, NULL, NULL, 0},
    {"disabled", "tracing disabled, 3 setters called", DISABLED, 1, run_span3, PLAIN},
    {"warm", "nsp_thread_warm, which a waiting thread calls; no span", SAMPLED, 1, run_warm, PLAIN},
};
const size_t operation_count = sizeof operations / sizeof operations[0];

int operation_other_cpu = -1;

const bench_operation *operation_find(const char *name)
{
    for (size_t i = 0; i < operation_count; i++)
        if (strcmp(operations[i].name, name) == 0)
            return &operations[i];
    return NULL;
}

nsp_collector_mode operation_collector(const bench_operation *operation)
{
    return operation->state == FULL ? NSP_COLLECTOR_INVOKER : NSP_COLLECTOR_THREAD;
}

bool operation_prepare(const bench_operation *operation)
{
    enum { WARM = 16 };
    bool ready = operation->state == DISABLED ||
                 nsp_sampler_set_rate(operation->state == UNSAMPLED ? 0.0 : 1.0) == NSP_OK;
    if (ready && operation->prepare != NULL)
        ready = operation->prepare();
    if (ready)
        operation_time(operation, WARM); // interns the names, and lets the thread read the sampling policy
    return ready;
}

void operation_finish(const bench_operation *operation)
{
    if (operation->finish != NULL)
        operation->finish();
}

bool operation_begin(const bench_operation *operation, const bench_setup *setup, bench_result *out)
{
    operation_other_cpu = setup->collector_cpu;
    bool session = operation->state != DISABLED;
    if (session && !session_start(setup, operation_collector(operation), NULL, out))
        return false;
    if (operation_prepare(operation))
        return true;
    result_fail(out, "the operation cannot be prepared");
    if (session)
        session_end(out);
    return false;
}

void operation_end(const bench_operation *operation, bench_result *out)
{
    operation_finish(operation);
    if (operation->state == DISABLED)
        return;
    session_end(out);
    if (operation->state != FULL && out->stats.dropped + out->stats.roots_refused != 0)
        result_fail(out, "%llu spans were lost",
                    (unsigned long long)(out->stats.dropped + out->stats.roots_refused));
}

void operation_before(const bench_operation *operation, size_t most)
{
    if (operation->before != NULL)
        operation->before(most);
}

void operation_after(const bench_operation *operation)
{
    if (operation->after != NULL)
        operation->after();
}

double operation_time(const bench_operation *operation, size_t count)
{
    operation_before(operation, count);
    double ns = noise_time(operation->run, count);
    operation_after(operation);
    return ns;
}

uint64_t operation_losses(const bench_operation *operation, size_t count)
{
    return operation->state == FULL ? count * operation->spans : 0;
}
