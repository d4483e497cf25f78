// SPDX-License-Identifier: Apache-2.0
//
// A span consists of two trace points: its begin, and its end with the attributes.
#ifndef NSP_BENCH_DPDK_TRACEPOINTS_H
#define NSP_BENCH_DPDK_TRACEPOINTS_H

#include <rte_trace_point.h>

// clang-format off
RTE_TRACE_POINT(bench_begin0, RTE_TRACE_POINT_ARGS(void),)
RTE_TRACE_POINT(bench_end0, RTE_TRACE_POINT_ARGS(void),)
RTE_TRACE_POINT(bench_begin3, RTE_TRACE_POINT_ARGS(void),)
RTE_TRACE_POINT(bench_end3,
    RTE_TRACE_POINT_ARGS(const char *symbol, double price, int64_t quantity),
    rte_trace_point_emit_string(symbol);
    rte_trace_point_emit_double(price);
    rte_trace_point_emit_i64(quantity);
)
// clang-format on

#endif
