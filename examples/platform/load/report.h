// SPDX-License-Identifier: Apache-2.0
//
// The sum of the workers' results.
#ifndef PLATFORM_REPORT_H
#define PLATFORM_REPORT_H

#include "platform/load/worker.h"

struct report {
    double seconds;
    bool judged; // mark unexpected answers
    uint64_t requests, unanswered, unexpected;
    size_t answer_count;
    struct answers answers[ANSWERS_MAX];
    struct histogram latency[SCENARIO_KINDS]; // us
};

void report_add(struct report *report, const struct worker *worker);
void report_print(const struct report *report);
bool report_write_json(const struct report *report, const char *path);

#endif
