// SPDX-License-Identifier: Apache-2.0
//
// Declarations and uses of paths in all their forms, which test_path_macros.py compiles as C and as C++, with and
// without NSP_DISABLE. The functions at the end compile to the same instructions with PATHS as without, if NSP_DISABLE
// is defined.
#include <nanospan/nanospan.h>

// C++ has overloads and namespaces; the functions below are looked for by their names.
#ifdef __cplusplus
extern "C" {
#endif

#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "trade.symbol")                                                                          \
    I64(quantity, "trade.size")                                                                              \
    PHASE(decode, "decode")                                                                                  \
    PHASE(check_balance, "check_balance")                                                                    \
    F64(available, "balance.available")                                                                      \
    PHASE(submit, "submit_to_exchange")                                                                      \
    I64(fills, "match.fills")
NSP_PATH_DECLARE(order_path, "order", ORDER_PATH)

// What stands for "not set", a phase that begins with the path, and a phase with the name of a field.
#define OTHERS(PHASE, I64, F64, STR, BOOL)                                                                   \
    PHASE(same, "same", NSP_PATH_AT_START)                                                                   \
    I64(number, "number", -1)                                                                                \
    F64(same, "share", 0)                                                                                    \
    BOOL(fine, "fine", 0) BOOL(plain, "plain") PHASE(last, "last") STR(one, 1, "one") STR(most, 900, "most")
NSP_PATH_DECLARE(others, "others", OTHERS)

#define BARE(PHASE, I64, F64, STR, BOOL)
NSP_PATH_DECLARE(bare, "bare", BARE)
#define ONLY_PHASES(PHASE, I64, F64, STR, BOOL) PHASE(a, "a") PHASE(b, "b")
NSP_PATH_DECLARE(only_phases, "only phases", ONLY_PHASES)
#define ONLY_FIELDS(PHASE, I64, F64, STR, BOOL) BOOL(a, "a") I64(b, "b")
NSP_PATH_DECLARE(only_fields, "only fields", ONLY_FIELDS)

// The macros' own words are no words of the program.
static inline int path(int start)
{
    return start;
}

int check(int order);
int submit(int order);
void remember(order_path *kept);
int handle(int order, const char *text, size_t length);
int detached(int order, const nsp_context *parent, others **kept);

#ifdef PATHS
#define P(...) __VA_ARGS__
#else
#define P(...)
#endif

int handle(int order, const char *text, size_t length)
{
    P(order_path *it = order_path_begin();)
    P(it->quantity = order;)
    P(NSP_PATH_STR(it, symbol, text, length);)
    P(NSP_PATH_MARK_AT(it, decode, nsp_path_start(it));)
    P(NSP_PATH_MARK(it, check_balance);)
    int good = check(order + (int)length + text[0]);
    P(it->available = good * 1.5;)
    if (good > 3) {
        P(NSP_PATH_MARK(it, submit);)
        good += submit(order);
        P(it->fills = good;)
        P(nsp_span_set_i64(nsp_path_span(it), NSP_KEY("good"), good);)
    }
    P(order_path_end(it);)
    return good;
}

int detached(int order, const nsp_context *parent, others **kept)
{
    int good = path(check(order)) + (parent != NULL) + (kept != NULL);
    P(nsp_path_options options = NSP_PATH_OPTIONS_INIT;)
    P(options.detached = true;)
    P(options.parent = parent;)
    P(options.status = NSP_SPAN_STATUS_ERROR;)
    P(options.status_message = "late";)
    P(others *const it = others_begin_with(&options);)
    P(it->number = -good;)
    P(it->same = good / 2.0;)
    P(it->fine = good > 1;)
    P(it->plain = true;)
    P(NSP_PATH_MARK_AT(it, last, 5);)
    P(NSP_PATH_STR(it, one, "1", 1);)
    P(NSP_PATH_STR(it, most, NULL, 0);)
    P(others_end_at(it, nsp_path_start(it) + 7);)
    P(bare_end(bare_begin_at(3));)
    P(only_phases *two = only_phases_begin();)
    P(NSP_PATH_MARK(two, b);)
    P(only_phases_end_at(two, 0);)
    P(only_fields *declared = only_fields_begin();)
    P(declared->a = 1;)
    P(declared->b = 2;)
    P(only_fields_end(declared);)
    return submit(good);
}

#ifdef __cplusplus
}

namespace venue {
NSP_PATH_DECLARE(order_path, "venue", ORDER_PATH)
int in_a_namespace(int order);
int in_a_namespace(int order)
{
    order_path *it = order_path_begin();
    it->quantity = order;
    auto *same = it;
    NSP_PATH_MARK(same, submit);
    order_path_end(same);
    return order;
}
} // namespace venue
#endif
