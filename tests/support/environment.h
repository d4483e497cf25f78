// SPDX-License-Identifier: Apache-2.0
//
// A configuration that is read from a known environment.
#ifndef NSP_TESTS_ENVIRONMENT_H
#define NSP_TESTS_ENVIRONMENT_H

#include <nanospan/nanospan.h>

// Makes these two variables, each "NAME=value" or NULL, the whole environment, and reads it.
nsp_config with(const char *first, const char *second);

#endif
