// SPDX-License-Identifier: Apache-2.0
#include "support/session_fixture.h"

char directory[SESSION_PATH_MAX];

int make_directory(void **state)
{
    (void)state;
    session_dir_make(directory);
    return 0;
}

int remove_directory(void **state)
{
    capture_teardown(state);
    session_dir_remove(directory);
    return 0;
}

void small_sessions(nsp_config *config)
{
    capture_config(config);
    config->shm_dir = directory;
    config->ring_bytes = 64 * 1024;
    config->record_bytes = 512;
    config->open_spans = 4;
    config->detached_spans = 16;
    config->batches = 2;
    config->batch_bytes = 64 * 1024;
}
