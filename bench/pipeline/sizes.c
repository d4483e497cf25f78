// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a span in the ring, on the wire, and compressed, and the cost of compression to the sender.
// Uses batches that the library makes, stored by an exporter, and the library's own gzip.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <nanospan/nanospan.h>

#include "harness/noise.h"
#include "harness/session.h"
#include "hot_path/operations.h"
#include "http/gzip.h"
#include "otlp/protobuf/protobuf.h"
#include "pipeline/bursts.h"

enum { SPANS = 4000, BATCH_MOST = 1 << 20 };

static struct {
    uint8_t bytes[BATCH_MOST];
    size_t length, spans;
    nsp__gzip *gzip;
    size_t packed;
} kept;

static nsp_status kept_create(void **state, const nsp_exporter_context *context)
{
    nsp__otlp_encoder *encoder = NULL;
    nsp_status status = nsp__otlp_encoder_create(&encoder, context);
    *state = encoder;
    return status;
}

static void kept_destroy(void *state)
{
    nsp__otlp_encoder_destroy(state);
}

static nsp_send_result kept_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                 nsp_send_report *report)
{
    (void)state, (void)deadline_ns;
    size_t length = batch->length - batch->head;
    if (length <= sizeof kept.bytes && batch->spans > kept.spans) {
        memcpy(kept.bytes, batch->data + batch->head, length);
        kept.length = length;
        kept.spans = batch->spans;
    }
    report->bytes = length;
    report->answered = true;
    return NSP_SEND_EXPORTED;
}

static const nsp_exporter exporter_kept = {
    .size = sizeof(nsp_exporter),
    .name = "kept",
    .create = kept_create,
    .destroy = kept_destroy,
    .open = nsp__otlp_encoder_open,
    .append = nsp__otlp_encoder_append,
    .append_path = nsp__otlp_encoder_append_path,
    .close = nsp__otlp_encoder_close,
    .send = kept_send,
};

// Compresses the batch once, whatever the count is; noise_time divides by the count.
static void run_compress(size_t count)
{
    (void)count;
    if (nsp__gzip_compress(kept.gzip, kept.bytes, kept.length, &kept.packed) == NULL)
        kept.packed = 0;
}

static void measure_gzip(const bench_setup *setup, bench_result *out)
{
    static burst_rounds rounds;
    double per_span = 1 / (double)kept.spans;
    unsigned wanted = setup->rounds > 41 ? 41 : setup->rounds;
    rounds.count = rounds.measured = 0;
    run_compress(1);
    for (unsigned i = 0; i < wanted && setup->rounds != 0; i++) {
        noise_pause();
        bench_noise noise = noise_look();
        double ns = noise_time(run_compress, 1) * per_span;
        rounds.measured++;
        bursts_add_one(&rounds, ns, noise_mean(noise, noise_look()));
        progress(out, i + 1, wanted);
    }
    estimate ns = bursts_cost(&rounds, out).ns;
    double bytes = (double)kept.length * per_span * 1000; // of 1000 spans: bytes per ns are thousands of MB/s
    result_add_estimate(out, "span_ns", ns);
    result_add_estimate(out, "per_s_megabytes",
                        (estimate){bytes / ns.value, bytes / ns.high, bytes / ns.low});
    result_add(out, "compression", (double)kept.length / (double)kept.packed);
    result_add(out, "gzip_bytes", (double)kept.packed * per_span);
    rounds_by_core(out, (round_names){"core_alone_span_ns", "core_alone_percent", "core_shared_span_ns"},
                   rounds.ns, rounds.additions, rounds.count);
}

static const struct {
    const char *name, *what, *operation;
} subjects[] = {
    {"size_0", "bytes of a span without attributes; gzip", "span0"},
    {"size_3", "with 3 attributes", "span3"},
    {"size_8", "with 8 attributes", "span8"},
    {"size_trace6", "in a trace of six with an attribute each", "trace6_at"},
};

static void measure(size_t index, const bench_setup *setup, bench_result *out)
{
    const bench_operation *operation = operation_find(subjects[index].operation);
    kept.length = kept.spans = 0;
    if (!session_start(setup, NSP_COLLECTOR_INVOKER, &exporter_kept, out))
        return;
    operation->run(SPANS / operation->spans / 8);
    nsp_do_work(SIZE_MAX);
    uint64_t from = session_published();
    size_t count = SPANS / operation->spans;
    operation->run(count);
    double ring_bytes = (double)(session_published() - from) / (double)(count * operation->spans);
    nsp_flush(UINT64_C(5) * 1000 * 1000 * 1000);
    session_end(out);
    kept.gzip = nsp__gzip_create(BATCH_MOST);
    if (kept.spans < count || kept.gzip == NULL) {
        result_fail(out, "the exporter got no batch of %zu spans", count);
    } else {
        result_add(out, "ring_bytes", ring_bytes);
        result_add(out, "wire_bytes", (double)kept.length / (double)kept.spans);
        measure_gzip(setup, out);
    }
    nsp__gzip_destroy(kept.gzip);
}

BENCH_DESCRIBE(subjects, sizeof subjects / sizeof subjects[0])

const bench_group group_sizes = {
    .name = "sizes",
    .method =
        "bytes of a span in the ring, in a batch of the OTLP encoder, and compressed as by the exporter "
        "(gzip, level 1); span_ns: time to compress, on one core",
    .describe = describe,
    .measure = measure,
};
