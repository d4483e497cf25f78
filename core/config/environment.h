// SPDX-License-Identifier: Apache-2.0
//
// All environment variables, in one table, and what they make of an nsp_config.
#ifndef NSP_CONFIG_ENVIRONMENT_H
#define NSP_CONFIG_ENVIRONMENT_H

#include "config/variable.h"

// The table. Variables of the same member are neighbours, the strongest first.
extern const nsp__variable nsp__variables[];
extern const size_t nsp__variable_count;

// Fills in the whole struct: the defaults, then the environment; bad values are passed over in silence. The
// texts belong to the environment or are static.
void nsp__environment_read(nsp_config *config);

// A variable's text without the white space around it; NULL where it is not set or empty, and for a program
// that runs with more rights than its caller.
const char *nsp__environment_text(const char *name);

typedef enum nsp__verdict {
    NSP__FINE,
    NSP__PARTLY, // some entries of a list are left out, the others are used
    NSP__BAD     // passed over
} nsp__verdict;

// Can the variable's text be used? If not, a sentence's end says why, what is accepted, and what is used
// instead; where entries are left out it says which; else it is "". `used` is what nsp__environment_read
// made. Unset variables are fine, and those that nothing reads.
nsp__verdict nsp__environment_judge(const nsp__variable *variable, const nsp_config *used, char *problem,
                                    size_t size);

// Looks through the environment again and logs a line for each value that cannot be used, or not wholly; and
// then for each list of the application's configuration (NULL: none) that did not come from there.
void nsp__environment_report(const nsp_config *given);

#endif
