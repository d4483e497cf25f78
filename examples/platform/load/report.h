// SPDX-License-Identifier: Apache-2.0
//
// What the workers found, added up.
#ifndef PLATFORM_REPORT_H
#define PLATFORM_REPORT_H

#include "platform/load/worker.h"

struct report {
    double seconds;
    bool judged; // answers that are not due are pointed out
    uint64_t requests, unanswered, unexpected;
    size_t answer_count;
    struct answers answers[ANSWERS_MAX];
    struct histogram latency[SCENARIO_KINDS]; // us
};

void report_add(struct report *report, const struct worker *worker);
void report_print(const struct report *report);
bool report_write_json(const struct report *report, const char *path);

#endif
