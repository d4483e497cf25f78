// SPDX-License-Identifier: Apache-2.0
//
// For tests of traces that an outlier rule concerns. Spans are captured (capture.h), and their times are supplied, so
// that nothing depends on how fast the machine is.
#ifndef NSP_TESTS_RULED_TRACE_H
#define NSP_TESTS_RULED_TRACE_H

#include <nanospan/outlier.h>

#include "support/capture.h"
#include "trace/outlier_rules.h"

enum { SLOW_NS = 1000000 }; // the bound of NSP__OUTLIER_SLOWER below

// ---- set up ----

extern nsp_ticks ruled_now; // when the session began

// So many nanoseconds after ruled_now, or before it.
nsp_ticks ruled_after(int64_t ns);

// A test with a session whose head samples none, and one that begins its own with ruled_begin_with.
#define RULED_TEST(name) cmocka_unit_test_setup_teardown(name, ruled_begin, ruled_end)
#define RULED_OWN(name) cmocka_unit_test_setup_teardown(name, NULL, ruled_end)

void ruled_configure(nsp_config *config, double rate);
// Begins a session, attaches the thread and draws the class of roots.
void ruled_begin_with(const nsp_config *config);
int ruled_begin(void **state);
// Ends the session in the middle of a test, without what ruled_end checks.
void ruled_finish(void);
// Checks that nothing is open and that nothing has stayed in the buffer. Ends the session, if the test has one.
int ruled_end(void **state);
// The same, but history may be in the buffer.
int ruled_end_with_history(void **state);

// A rule for all names: of NSP__OUTLIER_SLOWER and the like, and so many kept a second.
void ruled_rule(uint32_t conditions);
void ruled_rule_with(uint32_t conditions, double limit);

// ---- traces ----

nsp_span *ruled_root(nsp_ticks start);

// A root that takes so long, with two children, of which one has a child; all with attributes.
void ruled_trace_of_four(uint64_t ns);

// A trace of its own on top of what is open; parent: NULL, or of another process.
nsp_span *ruled_apart(nsp_name name, const nsp_context *parent);
// Fills in a remote parent, and returns it.
const nsp_context *ruled_parent(nsp_context *context, bool sampled);

// ---- what became of them ----

// These must balance.
nsp_stats ruled_stats(void);
void ruled_assert_counts(uint64_t speculated, uint64_t taken_back, uint64_t kept, uint64_t attempted);
// The 56 bits of its trace id by which the head decides.
uint64_t ruled_randomness(const captured_span *span);
// A root that was kept, although the head left it out.
void ruled_assert_kept(const captured_span *root, const char *why);

#endif
