// SPDX-License-Identifier: Apache-2.0
#include "trace/ruled_class.h"

#include "clock/clock.h"
#include "trace/sampler.h"

static const uint64_t never = UINT64_MAX;

static uint64_t ticks_of(double ns, uint64_t rate)
{
    double ticks = ns * (double)(UINT64_C(1) << NSP__CLOCK_RATE_BITS) / (double)rate;
    return ticks < 0x1p62 ? (uint64_t)ticks : UINT64_C(1) << 62;
}

// The map from ticks to nanoseconds bends a little. The ends of spans compare with a bound that no bend reaches, and
// whatever lies beyond is converted by the map (outlier_decision.c).
static uint64_t certainly_faster(uint64_t ticks)
{
    uint64_t margin = ticks / 512 + 2;
    return ticks > margin ? ticks - margin : 0;
}

void nsp__ruled_class_draw(nsp__producer *producer, uint32_t name_class)
{
    nsp__ruled_class *class = &producer->ruled_classes[name_class];
    uint64_t skip =
        class->threshold == 0 ? 0 : nsp__random_skip(&producer->random, producer->inverse_logs[name_class]);
    class->left = skip > INT64_MAX ? INT64_MAX : (int64_t)skip;
}

void nsp__ruled_class_set(nsp__producer *producer, uint32_t name_class, const nsp__outlier_class *from)
{
    nsp__ruled_class *class = &producer->ruled_classes[name_class];
    struct nsp__clock_segment segment;
    nsp__clock_segment_at(&producer->control->clock, nsp_now(), &segment);
    const uint64_t rate = segment.rate != 0 ? segment.rate : UINT64_C(1) << NSP__CLOCK_RATE_BITS;
    *class = (nsp__ruled_class){
        .threshold = producer->thresholds[name_class],
        .slower = UINT64_C(1) << 63, // more than any duration, but less than one below 0
        .bound = UINT64_C(1) << 63,
        .slowest = &never,
        .history_ns = from->history_ns,
        .second = ticks_of(1e9, rate),
        .rule = from->rule,
        .identity = from->identity,
        .generation = producer->hot.generation,
        .conditions = from->conditions,
        .slower_ns = from->slower_ns,
        .speculates = (from->conditions & NSP__OUTLIER_KEEPS) != 0 && producer->speculative.slot != NULL,
    };
    if ((from->conditions & NSP__OUTLIER_SLOWER) != 0)
        class->slower = class->bound = certainly_faster(ticks_of((double)from->slower_ns, rate));
    if (class->history_ns != 0 && class->speculates)
        class->slower = 0;
    if ((from->conditions & NSP__OUTLIER_SLOWEST) != 0)
        class->slowest = &producer->control->outlier_bounds.slowest_ticks[from->rule % NSP__CLASSES];
    if (from->limit > 0)
        class->interval = ticks_of(1e9 / from->limit, rate);
    producer->thresholds[name_class] = NSP__THRESHOLD_RULED;
    producer->outliers = true;
    nsp__ruled_class_draw(producer, name_class);
}
