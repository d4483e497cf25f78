// SPDX-License-Identifier: Apache-2.0
#include "support/recover_engine.h"

#include <signal.h>

#include "support/child.h"
#include "support/recovered.h"

void start_engine(nsp_collector_mode mode)
{
    nsp_config config;
    capture_config(&config);
    config.shm_dir = directory;
    config.collector = mode;
    config.service_name = "the engine";
    config.resource_attributes = "team=blue";
    CHILD_CHECK(nsp_init(&config) == NSP_OK);
}

void run_phase(int64_t number)
{
    nsp_span *phase = nsp_span_begin(NSP_NAME("phase"));
    nsp_span_set_i64(phase, NSP_KEY("number"), number);
    nsp_span_set_str(phase, NSP_KEY("text"), "a text of more than sixteen bytes");
    nsp_span_end(phase);
}

void engine_of_hundred(void *unused)
{
    (void)unused;
    start_engine(NSP_COLLECTOR_INVOKER);
    for (int i = 0; i < 100; i++)
        run_phase(i);
    raise(SIGKILL);
}

void engine_with_open_spans(void *unused)
{
    (void)unused;
    start_engine(NSP_COLLECTOR_INVOKER); // all records stay in the ring
    nsp_span *life = nsp_span_begin_detached(NSP_NAME("life"), NULL);
    nsp_span_set_i64(life, NSP_KEY("number"), 77);
    nsp_span *root = nsp_span_begin(NSP_NAME("root"));
    for (int i = 0; i < 10; i++)
        run_phase(i);
    nsp_span *open = nsp_span_begin(NSP_NAME("open"));
    nsp_span_set_str(open, NSP_KEY("text"), "so far");
    nsp_span_set_bool(open, NSP_KEY("flag"), true);
    (void)root;
    raise(SIGKILL);
}

nsp_recovery_options in_tens(nsp_config *config)
{
    nsp_config_init(config);
    config->batch_spans = 10;
    config->log_level = NSP_LOG_NONE;
    nsp_recovery_options options = NSP_RECOVERY_OPTIONS_INIT;
    options.config = config;
    options.exporter = &recovered_exporter;
    options.timeout_ns = 60000000000;
    return options;
}
