// SPDX-License-Identifier: Apache-2.0
//
// What is sampled of an engine's traces, and who has set it: in words, and in JSON.
#ifndef NANOSPAN_SUPPORT_SAMPLING_H
#define NANOSPAN_SUPPORT_SAMPLING_H

#include "text.h"
#include <nanospan/inspect.h>

// "environment", "code", "tune", "default"; "unknown" if the session does not say it.
const char *sampling_source(nsp_sampler_source source);

// "follow" or "decide".
const char *sampling_parents(nsp_parent_policy policy);

enum { SAMPLING_SHARE = 32 };

// A rate as a share of `whole`, 1 or 100: four digits, or as many as it takes to tell it from the whole, since "100%" says
// that nothing is left out. Returns `out`.
const char *sampling_share(char out[SAMPLING_SHARE], double rate, double whole);

// Adds the limit: "500/s", or "none".
void sampling_limit(text *out, double limit);

// Adds an outlier rule as NSP_OUTLIERS has it: "order*: slower=50us, errors".
void sampling_outlier(text *out, const nsp_session_outlier *outlier);

// Adds who has changed it last, and when: "by process 4711 (nanospan tune), 5 s ago". Nothing if the session does not
// say it.
void sampling_changed(text *out, const nsp_session *session);

// Adds members of a JSON object, with commas between them.
void sampling_json(text *out, const nsp_session *session);

#endif
