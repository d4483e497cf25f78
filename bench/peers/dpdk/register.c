// SPDX-License-Identifier: Apache-2.0
//
// Registers the trace points. This header must come before the trace points themselves.
#include <rte_trace_point_register.h>

#include "tracepoints.h"

RTE_TRACE_POINT_REGISTER(bench_begin0, nanospan.bench.begin0)
RTE_TRACE_POINT_REGISTER(bench_end0, nanospan.bench.end0)
RTE_TRACE_POINT_REGISTER(bench_begin3, nanospan.bench.begin3)
RTE_TRACE_POINT_REGISTER(bench_end3, nanospan.bench.end3)
