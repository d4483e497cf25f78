// SPDX-License-Identifier: Apache-2.0
//
// All environment variables, in one table, and what they make of an nsp_config.
#ifndef NSP_LIFECYCLE_ENVIRONMENT_H
#define NSP_LIFECYCLE_ENVIRONMENT_H

#include "lifecycle/variable.h"

// The table. Variables of the same member are neighbours, the strongest first.
extern const nsp__variable nsp__variables[];
extern const size_t nsp__variable_count;

// Fills in the whole struct: the defaults, then the environment; bad values are passed over in silence. The texts belong
// to the environment or are static.
void nsp__environment_read(nsp_config *config);

// Looks through the environment again and logs a line for each value that cannot be used.
void nsp__environment_report(void);

#endif
