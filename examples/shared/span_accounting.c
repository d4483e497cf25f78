// SPDX-License-Identifier: Apache-2.0
#include "shared/span_accounting.h"

#include <inttypes.h>
#include <nanospan/nanospan.h>
#include <stddef.h>
#include <string.h>

struct line {
    const char *name;
    size_t offset; // in nsp_stats
    const char *meaning;
};

#define LINE(name, meaning)                                                                                  \
    {                                                                                                        \
#name, offsetof(nsp_stats, name), meaning                                                            \
    }

// The right side of the equation: the fates of the attempted spans.
static const struct line fates[] = {
    LINE(exported, "accepted by the receiver"),
    LINE(rejected, "refused by the receiver"),
    LINE(unconfirmed, "sent, but the answer was lost"),
    LINE(discarded, "no exporter, or given up at shutdown"),
    LINE(dropped, "for the causes below"),
    LINE(in_rings, "not collected yet"),
    LINE(in_batches, "not answered yet"),
    LINE(spooled, "kept on disk"),
    LINE(open, "begun, not ended"),
};

// Shown only if they are not zero.
static const struct line notes[] = {
    LINE(dropped_ring_full, "dropped: a ring was full"),
    LINE(dropped_too_deep, "dropped: nested too deep"),
    LINE(dropped_detached_full, "dropped: too many detached spans"),
    LINE(dropped_in_signal, "dropped: in a signal handler"),
    LINE(dropped_no_thread, "dropped: no slot for the thread"),
    LINE(dropped_invalid, "dropped: damaged record"),
    LINE(roots_unsampled, "traces that were not sampled"),
    LINE(roots_refused, "traces refused under pressure"),
    LINE(speculated, "spans of traces decided at their end"),
    LINE(taken_back, "of these: not kept"),
    LINE(kept, "of these: kept, and attempted"),
    LINE(kept_incomplete, "traces kept without some spans"),
    LINE(kept_limited, "traces not kept because of a limit"),
    LINE(snapshot, "spans exported by a snapshot of history"),
    LINE(snapshot_overtaken, "records overtaken while a snapshot read them"),
    LINE(leaked, "spans ended by thread reset or exit"),
    LINE(misused, "calls with a wrong span"),
    LINE(names_overflowed, "names that did not fit into the table"),
    LINE(paths_overflowed, "declarations of paths that did not fit into the table"),
    LINE(paths_shared, "detached paths that did not record and shared one struct"),
    LINE(values_cut, "values cut because their record was full"),
    LINE(batches_sent, "requests answered"),
    LINE(batches_failed, "attempts that failed"),
    LINE(bytes_sent, "bytes sent"),
    LINE(clock_error_ns, "bound of the clock's error, ns"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint64_t value_of(const nsp_stats *stats, const struct line *line)
{
    uint64_t value;
    memcpy(&value, (const char *)stats + line->offset, sizeof value);
    return value;
}

static uint64_t sum_of(const nsp_stats *stats)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < COUNT(fates); i++)
        sum += value_of(stats, &fates[i]);
    return sum;
}

bool span_accounting_print(FILE *out, const char *who)
{
    nsp_stats stats = NSP_STATS_INIT;
    if (nsp_stats_get(&stats) != NSP_OK) {
        fprintf(out, "spans of %s: tracing is off\n", who);
        return true;
    }
    uint64_t sum = sum_of(&stats);
    bool balanced = stats.attempted == sum;
    fprintf(out, "spans of %s\n", who);
    fprintf(out, "  %-24s %12" PRIu64 "\n", "attempted", stats.attempted);
    for (size_t i = 0; i < COUNT(fates); i++) {
        uint64_t value = value_of(&stats, &fates[i]);
        if (value || i == 0)
            fprintf(out, "    %-22s %12" PRIu64 "  %s\n", fates[i].name, value, fates[i].meaning);
    }
    fprintf(out, "  %-24s %12" PRIu64 "  %s\n", "sum", sum, balanced ? "OK" : "NOT BALANCED");
    for (size_t i = 0; i < COUNT(notes); i++) {
        uint64_t value = value_of(&stats, &notes[i]);
        if (value)
            fprintf(out, "  %-24s %12" PRIu64 "  %s\n", notes[i].name, value, notes[i].meaning);
    }
    return balanced;
}

void span_accounting_json(FILE *out)
{
    nsp_stats stats = NSP_STATS_INIT;
    if (nsp_stats_get(&stats) != NSP_OK) {
        fprintf(out, "null");
        return;
    }
    fprintf(out, "{\"balanced\": %s, \"attempted\": %" PRIu64,
            stats.attempted == sum_of(&stats) ? "true" : "false", stats.attempted);
    for (size_t i = 0; i < COUNT(fates); i++)
        fprintf(out, ", \"%s\": %" PRIu64, fates[i].name, value_of(&stats, &fates[i]));
    for (size_t i = 0; i < COUNT(notes); i++)
        fprintf(out, ", \"%s\": %" PRIu64, notes[i].name, value_of(&stats, &notes[i]));
    fprintf(out, "}");
}
