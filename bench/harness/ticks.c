// SPDX-License-Identifier: Apache-2.0
#include "harness/ticks.h"

#include "common/time.h"

// Readings of both clocks at the same moment: the narrowest of several bracketed readings.
static void reading(uint64_t *ticks, uint64_t *ns)
{
    uint64_t narrowest = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = ticks_fenced();
        uint64_t now = nsp__clock_ns(CLOCK_MONOTONIC_RAW);
        uint64_t width = ticks_fenced() - before;
        if (width < narrowest) {
            narrowest = width;
            *ticks = before + width / 2;
            *ns = now;
        }
    }
}

double ticks_ns(void)
{
    static double ns_per_tick;
    if (ns_per_tick != 0)
        return ns_per_tick;
    uint64_t ticks_from = 0, ticks_to = 0, ns_from = 0, ns_to = 0;
    reading(&ticks_from, &ns_from);
    struct timespec pause = {.tv_nsec = 50 * 1000 * 1000};
    nanosleep(&pause, NULL);
    reading(&ticks_to, &ns_to);
    ns_per_tick = (double)(ns_to - ns_from) / (double)(ticks_to - ticks_from);
    return ns_per_tick;
}

void ticks_spin(double ns)
{
    uint64_t until = ticks_fenced() + (uint64_t)(ns / ticks_ns());
    while (ticks_fenced() < until)
        relax();
}

void ticks_each(void (*run)(size_t), uint32_t *ticks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t from = ticks_fenced();
        run(1);
        uint64_t took = ticks_fenced() - from;
        ticks[i] = took < UINT32_MAX ? (uint32_t)took : UINT32_MAX;
    }
}
