// SPDX-License-Identifier: Apache-2.0
//
// For tests of a sampler that is changed from outside: the engine is this process, with an exporter that
// keeps its spans (capture.h), and whoever tunes it works on its files.
#ifndef NSP_TESTS_TUNED_ENGINE_H
#define NSP_TESTS_TUNED_ENGINE_H

#include <nanospan/nanospan.h>
#include <nanospan/tune.h>

#include "shm/session.h"

extern char tuned_directory[sizeof((nsp__session *)NULL)->directory]; // of the engine's session

// Starts the engine with such a collector, or with a configuration that began with capture_config.
void tuned_begin(nsp_collector_mode mode);
void tuned_begin_with(const nsp_config *config);
// Ends it. What it has recorded must be accounted for then.
void tuned_end(void);

// A handle of the engine's session; fails the test if there is none.
nsp_tune *tuned_open(void);

// One change each.
nsp_status tuned_set_rate(nsp_tune *tune, double rate);
nsp_status tuned_set_rule(nsp_tune *tune, const char *pattern, double rate);
nsp_status tuned_remove_rule(nsp_tune *tune, const char *pattern);
nsp_status tuned_set_parent_policy(nsp_tune *tune, nsp_parent_policy policy);

// The change that tuned_set_rule makes.
nsp_tune_change tuned_rule(const char *pattern, double rate);

// Begins and ends a root of this name. True if it is recorded.
bool tuned_recorded(const char *name);

// Waits until whoever drains has logged a line with this text, and returns it.
const char *tuned_logged(const char *text);

// Lets whoever drains in this process pass until this thread was told of the policy in force.
void tuned_pass(void);

#ifdef NSP_TESTPOINTS
// Another process makes these changes and is killed at this testpoint, to which it must come.
void tuned_kill_writer(const char *point, const nsp_tune_change *changes, size_t count);

// Between any two stores of a writer that changes a rule: the testpoint, and whether what it changes is in force then.
typedef struct tuned_death {
    const char *point;
    bool changed;
} tuned_death;
enum { TUNED_DEATHS = 7 };
extern const tuned_death tuned_deaths[TUNED_DEATHS];
#endif

#endif
