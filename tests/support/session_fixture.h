// SPDX-License-Identifier: Apache-2.0
//
// What tests of sessions share: a folder of their own, and a configuration of small sessions in it.
#ifndef NSP_TESTS_SESSION_FIXTURE_H
#define NSP_TESTS_SESSION_FIXTURE_H

#include "support/capture.h"
#include "support/session_dir.h"

extern char directory[SESSION_PATH_MAX]; // of the running test

// A cmocka setup and teardown. The teardown also stops what a failed test has left running.
int make_directory(void **state);
int remove_directory(void **state);

// capture_config with sessions in that folder, and so small that there is room for many.
void small_sessions(nsp_config *config);

#endif
