// SPDX-License-Identifier: Apache-2.0
//
// The operations whose instructions cpp.sh counts: the same in C (operations.c) and in C++ (operations.cpp).
#ifndef NSP_GATES_CPP_OPERATIONS_H
#define NSP_GATES_CPP_OPERATIONS_H

#include <stddef.h>
#include <stdint.h>

// NAME FUNCTION STATE: what the session is like meanwhile. Sampled: rate 1; unsampled: rate 0; off: there is no session.
#define OPERATIONS(X)                                                                                        \
    X(span0, span0, SAMPLED)                                                                                 \
    X(span3, span3, SAMPLED)                                                                                 \
    X(texts, texts, SAMPLED)                                                                                 \
    X(child, child, SAMPLED)                                                                                 \
    X(next, next, SAMPLED)                                                                                   \
    X(supplied, supplied, SAMPLED)                                                                           \
    X(event, event, SAMPLED)                                                                                 \
    X(array, array, SAMPLED)                                                                                 \
    X(detached, detached, SAMPLED)                                                                           \
    X(root, root, SAMPLED)                                                                                   \
    X(inject, inject, SAMPLED)                                                                               \
    X(path, path, SAMPLED)                                                                                   \
    X(unsampled0, span0, UNSAMPLED)                                                                          \
    X(unsampled3, span3, UNSAMPLED)                                                                          \
    X(unsampled_child, child, UNSAMPLED)                                                                     \
    X(unsampled_path, path, UNSAMPLED)                                                                       \
    X(disabled3, span3, OFF)                                                                                 \
    X(disabled_path, path, OFF)

#ifdef __cplusplus
extern "C" {
#endif

#define FUNCTIONS(X)                                                                                         \
    X(span0)                                                                                                 \
    X(span3) X(texts) X(child) X(next) X(supplied) X(event) X(array) X(detached) X(root) X(inject) X(path)
#define DECLARE(function) void run_##function(int64_t number, const char *text, size_t length);
FUNCTIONS(DECLARE)
#undef DECLARE

// What a setter of header fields does here.
extern size_t fields_bytes;

// The path of both.
#define ORDER_PATH(PHASE, I64, F64, STR, BOOL)                                                               \
    STR(symbol, 16, "symbol")                                                                                \
    I64(quantity, "quantity")                                                                                \
    PHASE(check, "check", NSP_PATH_AT_START)                                                                 \
    F64(price, "price")                                                                                      \
    PHASE(submit, "submit")

#ifdef __cplusplus
}
#endif
#endif
