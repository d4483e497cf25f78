// SPDX-License-Identifier: Apache-2.0
//
// A span consists of two events: its begin, and its end with the attributes. lttng-ust includes this file
// several times.
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER nanospan_bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "./tracepoints.h"

#if !defined(NSP_BENCH_TRACEPOINTS_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define NSP_BENCH_TRACEPOINTS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

// clang-format off
LTTNG_UST_TRACEPOINT_EVENT(nanospan_bench, begin0, LTTNG_UST_TP_ARGS(), LTTNG_UST_TP_FIELDS())
LTTNG_UST_TRACEPOINT_EVENT(nanospan_bench, end0, LTTNG_UST_TP_ARGS(), LTTNG_UST_TP_FIELDS())
LTTNG_UST_TRACEPOINT_EVENT(nanospan_bench, begin3, LTTNG_UST_TP_ARGS(), LTTNG_UST_TP_FIELDS())
LTTNG_UST_TRACEPOINT_EVENT(nanospan_bench, end3,
    LTTNG_UST_TP_ARGS(const char *, symbol, double, price, int64_t, quantity),
    LTTNG_UST_TP_FIELDS(
        lttng_ust_field_string(symbol, symbol)
        lttng_ust_field_float(double, price, price)
        lttng_ust_field_integer(int64_t, quantity, quantity)))
// clang-format on

#endif

#include <lttng/tracepoint-event.h>
