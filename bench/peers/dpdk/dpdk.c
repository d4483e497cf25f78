// SPDX-License-Identifier: Apache-2.0
//
// DPDK's rte_trace as a peer: two trace points per span, in its overwriting mode, in which nobody reads the
// buffer of 1 MiB before the end. The interface is ../peer.h.
#define _GNU_SOURCE
#include "tracepoints.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_trace.h>

#include "peers/loops.h"

// Bytes in the buffer: each event has a header of 8, and a string takes 32 whatever its length.
enum { BUFFER_BYTES = 1 << 20, BYTES_SPAN0 = 8 + 8, BYTES_SPAN3 = 8 + 8 + 32 + 8 + 8 };

static uint64_t spans, saved_bytes;
static size_t span_bytes = BYTES_SPAN0; // of the operation that ran last, which fills the buffer
static bool recording;

static inline void span0(void)
{
    bench_begin0();
    bench_end0();
}

static inline void span3(int64_t quantity)
{
    bench_begin3();
    bench_end3("BTCUSDT", 101.25, quantity);
}

static void note(int operation, size_t count)
{
    spans += count;
    span_bytes = operation == PEER_SPAN0 ? BYTES_SPAN0 : BYTES_SPAN3;
}

void peer_run(int operation, size_t count)
{
    note(operation, count);
    peer_run_loop(operation, count, span0, span3);
}

void peer_sample(int operation, uint32_t *ticks, size_t count)
{
    note(operation, count);
    peer_sample_loop(operation, ticks, count, span0, span3);
}

const char *peer_start(const char *endpoint, int mode)
{
    (void)endpoint; // it writes a trace and has no OTLP
    char core[32];
    char *arguments[] = {
        "bench",    "--no-huge", "--no-pci",       "--no-shconf",   "--no-telemetry",       "--log-level=1",
        "--lcores", core,        "--trace-mode=o", "--trace-dir=.", "--trace=nanospan\\..*"};
    recording = mode == PEER_SAMPLED;
    // It pins the calling thread, which the harness pins again.
    snprintf(core, sizeof core, "0@%d", sched_getcpu());
    int count = (int)(sizeof arguments / sizeof *arguments) - !recording;
    if (rte_eal_init(count, arguments) < 0)
        return rte_strerror(rte_errno);
    // The buffer is filled once here, because its pages would otherwise be touched for the first time while
    // spans are measured.
    peer_run(PEER_SPAN0, BUFFER_BYTES / BYTES_SPAN0);
    spans = 0;
    return NULL;
}

// The largest file of the trace, which is this thread's buffer; the others are the metadata and small.
static int look(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    if (kind == FTW_F && strncmp(path + place->base, "channel", 7) == 0 &&
        (uint64_t)status->st_size > saved_bytes)
        saved_bytes = (uint64_t)status->st_size;
    return 0;
}

void peer_stop(void)
{
    if (!recording)
        return;
    rte_trace_save();
    nftw(".", look, 8, FTW_PHYS);
}

// It does not count what it overwrites. What rte_trace_save writes is the newest spans that fit the buffer; in
// DPDK 22.11, only those since the buffer was last full.
void peer_count(peer_counts *out)
{
    uint64_t kept = saved_bytes / span_bytes;
    *out = (peer_counts){.exported = kept < spans ? kept : spans, .dropped = -1};
}
