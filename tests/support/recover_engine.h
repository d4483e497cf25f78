// SPDX-License-Identifier: Apache-2.0
//
// Engines that tests of recovery let die, and options with which their sessions are recovered.
#ifndef NSP_TESTS_RECOVER_ENGINE_H
#define NSP_TESTS_RECOVER_ENGINE_H

#include <nanospan/recover.h>

#include "support/session_fixture.h"

// In the engine: starts it, with a session in `directory`.
void start_engine(nsp_collector_mode mode);

// In the engine: a finished span "phase", with the attributes "number" and "text".
void run_phase(int64_t number);

// For engine_dies. One finishes a hundred phases. The other one finishes ten of them within the open span "root",
// in which a span "open" follows, and has an open detached span "life": thirteen spans. All stay in the ring.
void engine_of_hundred(void *unused);
void engine_with_open_spans(void *unused);

// Options for requests of ten spans to recovered_exporter, with this configuration, which is initialized.
nsp_recovery_options in_tens(nsp_config *config);

#endif
