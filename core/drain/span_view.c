// SPDX-License-Identifier: Apache-2.0
#include "clock/clock.h"
#include <nanospan/exporter.h>

uint64_t nsp_span_view_ns(const nsp_span_view *view, nsp_ticks ticks)
{
    // An event from before a reset of the counter is nowhere on the map. It is kept between the span's start
    // and end.
    const nsp__clock *clock = view->clock->clock; // NULL: the segment is a single line, without a map
    if (NSP__UNLIKELY(clock != NULL && nsp__clock_before_reset(clock, ticks)))
        return view->start_ns;
    return nsp__clock_convert(view->clock, ticks);
}
