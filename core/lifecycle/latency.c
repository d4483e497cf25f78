// SPDX-License-Identifier: Apache-2.0
//
// nsp_latency_get.
#include <nanospan/latency.h>

#include <string.h>

#include "base/call.h"
#include "base/log.h"
#include "drain/latencies.h"
#include "lifecycle/state.h"
#include "trace/trace_state.h"

static bool add_slot(nsp__slot *slot, const char *name, nsp_latency *out, uint64_t *ticks)
{
    const nsp__latencies *latencies = nsp__slot_latencies(slot);
    for (uint32_t i = 0; i < NSP__LATENCY_PLACES; i++) {
        const nsp__latency_place *place = &latencies->places[i];
        const nsp_name there = __atomic_load_n(&place->name, __ATOMIC_RELAXED);
        if (there != 0 && strcmp(nsp_name_text(there, NULL), name) == 0) {
            nsp__latencies_add(out, ticks, place);
            return true;
        }
    }
    return false;
}

static bool add_all(const nsp__control *control, const char *name, nsp_latency *out)
{
    const uint32_t count = __atomic_load_n(&control->slot_count, __ATOMIC_ACQUIRE); // S4
    uint64_t ticks = 0;
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        nsp__slot *slot = nsp__slot_at(i);
        found = (slot != NULL && add_slot(slot, name, out, &ticks)) || found;
    }
    nsp__latencies_total(out, ticks, control->outlier_bounds.tick_rate);
    return found;
}

nsp_status nsp_latency_get(const char *name, nsp_latency *out)
{
    if (name == NULL || out == NULL || out->size < sizeof *out)
        return nsp__fail(NSP_ERR_INVALID,
                         "nsp_latency_get: no name, or nsp_latency.size is not set; use NSP_LATENCY_INIT");
    NSP__COLD_CALL;
    nsp_status status = nsp__life_amid_fork();
    if (status != NSP_OK)
        return status;
    const size_t size = out->size;
    memset(out, 0, size);
    out->size = size;
    if (!nsp__life_lock())
        return nsp__life_called_from_within();
    const bool running = nsp__life.current == NSP__LIFE_RUNNING || nsp__life.current == NSP__LIFE_STOPPING;
    const bool found = running && add_all(nsp__life.runtime->session.control, name, out);
    nsp__life_unlock();
    if (!running)
        return nsp__fail(NSP_ERR_NOT_INITIALISED, "tracing is not running; call nsp_init first");
    return found ? NSP_OK : nsp__fail(NSP_ERR_NOT_FOUND, "no local root of the name %s was measured", name);
}
