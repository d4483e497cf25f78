// SPDX-License-Identifier: Apache-2.0
//
// All environment variables, in one table, and how they fill in an nsp_config.
#ifndef NSP_CONFIG_ENVIRONMENT_H
#define NSP_CONFIG_ENVIRONMENT_H

#include "config/variable.h"

// The table. Variables of the same member are next to each other, the one with the highest precedence first.
extern const nsp__variable nsp__variables[];
extern const size_t nsp__variable_count;

// A variable's default, in its own notation; "": none. It is that of the table, except that nothing but another
// process can drain an engine without exporters.
const char *nsp__environment_default(const nsp__variable *variable);

// Fills in the whole struct: first the defaults, then the environment. Bad values are skipped silently. The
// texts belong to the environment or are static.
void nsp__environment_read(nsp_config *config);

// Who has set the member at this offset, a double, to this value: the code of the application, if the environment sets
// another one.
nsp_sampler_source nsp__environment_source(size_t offset, double value);
// The same of a text, which may be NULL.
nsp_sampler_source nsp__environment_text_source(size_t offset, const char *text);

// A variable's text without the white space around it. NULL if it is not set or empty, and in a program that
// runs with more rights than its caller.
const char *nsp__environment_text(const char *name);

typedef enum nsp__verdict {
    NSP__FINE,
    NSP__PARTLY, // some entries of a list are left out, the others are used
    NSP__BAD     // not used
} nsp__verdict;

// Judges whether the variable's text can be used. If not, `problem` is the end of a sentence that says why,
// what is accepted, and what is used instead. If some entries are left out, it says which. Otherwise it is
// "". `used` is the result of nsp__environment_read. Variables that are unset or that nothing reads are fine.
nsp__verdict nsp__environment_judge(const nsp__variable *variable, const nsp_config *used, char *problem,
                                    size_t size);

// Checks the environment again and logs a line for each value that cannot be used, or only in part. Then does
// the same for each list in the application's configuration (NULL: none) that did not come from the
// environment. If there are no exporters, one line names what was set for them.
void nsp__environment_report(const nsp_config *given);

#endif
