// SPDX-License-Identifier: Apache-2.0
//
// nanospan: spans for programs that count nanoseconds. The one header an application includes.
//
//     nsp_init(NULL);
//     nsp_span *span = nsp_span_begin(NSP_NAME("place_order"));
//     nsp_span_set_str(span, NSP_KEY("symbol"), "BTCUSDT");
//     nsp_span_end(span);
//     nsp_shutdown(1000000000);
//
// With NSP_DISABLE defined before the inclusion, everything compiles to nothing and no library is needed.
#ifndef NANOSPAN_NANOSPAN_H
#define NANOSPAN_NANOSPAN_H

#include <nanospan/base.h>
#include <nanospan/clock.h>
#include <nanospan/config.h>
#include <nanospan/context.h>
#include <nanospan/drainer.h>
#include <nanospan/inspect.h>
#include <nanospan/latency.h>
#include <nanospan/lifecycle.h>
#include <nanospan/log.h>
#include <nanospan/name.h>
#include <nanospan/outlier.h>
#include <nanospan/path.h>
#include <nanospan/propagation.h>
#include <nanospan/recover.h>
#include <nanospan/sampler.h>
#include <nanospan/span.h>
#include <nanospan/stats.h>
#include <nanospan/thread.h>
#include <nanospan/tune.h>
#include <nanospan/version.h>

#ifdef NSP_DISABLE
#include <nanospan/abi/disabled.h>
#endif

#endif
