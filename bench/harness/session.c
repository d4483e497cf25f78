// SPDX-License-Identifier: Apache-2.0
#include "harness/session.h"

#include <stdio.h>
#include <time.h>

#include <nanospan/nanospan.h>

#include "harness/ticks.h"
#include "otlp/protobuf/protobuf.h"
#include "trace/thread_state.h"

// ---- the exporter ----

static nsp_status nowhere_create(void **state, const nsp_exporter_context *context)
{
    nsp__otlp_encoder *encoder = NULL;
    nsp_status status = nsp__otlp_encoder_create(&encoder, context);
    *state = encoder;
    return status;
}

static void nowhere_destroy(void *state)
{
    nsp__otlp_encoder_destroy(state);
}

static nsp_send_result nowhere_send(void *state, const nsp_batch *batch, uint64_t deadline_ns,
                                    nsp_send_report *report)
{
    (void)state, (void)deadline_ns;
    report->bytes = batch->length - batch->head;
    report->answered = true;
    return NSP_SEND_EXPORTED;
}

const nsp_exporter exporter_nowhere = {
    .size = sizeof(nsp_exporter),
    .name = "nowhere",
    .create = nowhere_create,
    .destroy = nowhere_destroy,
    .open = nsp__otlp_encoder_open,
    .append = nsp__otlp_encoder_append,
    .append_path = nsp__otlp_encoder_append_path,
    .close = nsp__otlp_encoder_close,
    .send = nowhere_send,
};

// ---- the session ----

static bool invoker; // no thread drains the ring

void session_configure(const bench_setup *setup, nsp_config *out)
{
    static char cpus[16]; // nsp_init copies it
    snprintf(cpus, sizeof cpus, "%d", setup->collector_cpu);
    nsp_config_init(out);
    out->enabled = true;
    out->sample_rate = 1.0;
    out->custom_exporter = &exporter_nowhere;
    out->collector = setup->invoker ? NSP_COLLECTOR_INVOKER : NSP_COLLECTOR_THREAD;
    out->collector_cpus = setup->collector_cpu >= 0 ? cpus : NULL;
    out->log_level = NSP_LOG_WARN;
}

bool session_start_with(const nsp_config *config, bench_result *out)
{
    invoker = config->collector == NSP_COLLECTOR_INVOKER;
    nsp_status status = nsp_init(config);
    if (status == NSP_OK)
        status = nsp_thread_attach(NULL);
    if (status != NSP_OK)
        result_fail(out, "cannot start a session: %s: %.80s", nsp_status_str(status), nsp_error_detail());
    return status == NSP_OK;
}

bool session_start(const bench_setup *setup, nsp_collector_mode mode, const nsp_exporter *exporter,
                   bench_result *out)
{
    nsp_config config;
    session_configure(setup, &config);
    config.collector = mode;
    if (exporter != NULL)
        config.custom_exporter = exporter;
    return session_start_with(&config, out);
}

void session_end(bench_result *out)
{
    nsp_status status = nsp_shutdown(UINT64_C(10) * 1000 * 1000 * 1000);
    if (status != NSP_OK)
        result_fail(out, "the shutdown failed: %s", nsp_status_str(status));
    nsp_stats stats = NSP_STATS_INIT;
    nsp_stats_get(&stats);
    out->stats = stats;
    uint64_t settled = stats.open + stats.dropped + stats.discarded + stats.in_rings + stats.in_batches +
                       stats.unconfirmed + stats.rejected + stats.exported + stats.spooled;
    if (stats.attempted != settled)
        result_fail(out, "the span counters do not balance: %llu attempted, %llu accounted for",
                    (unsigned long long)stats.attempted, (unsigned long long)settled);
}

uint64_t session_published(void)
{
    return nsp__ring_tail(&nsp__producer_self()->ring);
}

uint64_t session_ring_bytes(void)
{
    return nsp__ring_capacity(&nsp__producer_self()->ring);
}

uint64_t session_losses(void)
{
    const nsp__slot_counters *counters = &nsp__producer_self()->slot->counters;
    return counters->dropped_ring_full + counters->dropped_too_deep + counters->dropped_detached_full +
           counters->dropped_in_signal + counters->roots_refused + counters->leaked + counters->misused;
}

bool session_drained_to(uint64_t bytes)
{
    enum { AWAKE = 500, MOST = 20000 }; // looks: 10 ms without sleeping, then 10 s with sleeps
    const nsp__producer *producer = nsp__producer_self();
    for (int i = 0; i < AWAKE + MOST; i++) {
        if (invoker)
            nsp_do_work(SIZE_MAX);
        // Each look reads one cache line of the collector.
        uint64_t consumed = __atomic_load_n(&producer->slot->consumed, __ATOMIC_ACQUIRE);
        if (nsp__ring_tail(&producer->ring) - consumed <= bytes)
            return true;
        struct timespec pause = {.tv_nsec = 500 * 1000};
        // A trading thread does not sleep, so this one does not either while it need not.
        if (i < AWAKE)
            ticks_spin(20000);
        else
            nanosleep(&pause, NULL);
    }
    return false;
}

bool session_drained(void)
{
    return session_drained_to(0);
}
