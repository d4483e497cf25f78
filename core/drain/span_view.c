// SPDX-License-Identifier: Apache-2.0
#include "store/clock.h"
#include <nanospan/exporter.h>

uint64_t nsp_span_view_ns(const nsp_span_view *view, nsp_ticks ticks)
{
    return nsp__clock_convert(view->clock, ticks);
}
