// SPDX-License-Identifier: Apache-2.0
//
// The difference of two counts, divided by the number of operations, is what one operation executes:
// everything before and after cancels out. Each operation has its own session, in invoker mode without any
// call that drains, so nothing depends on time or on another thread.
#include "hot_path/instructions.h"

#include <stdio.h>
#include <string.h>

#include "hot_path/operations.h"
#include "harness/select.h"
#include "harness/session.h"
#include "order_path/count.h"
#include "order_path/pair.h"

__attribute__((noinline)) void counted_run(void (*run)(size_t), size_t count)
{
    run(count);
    // Prevents a tail call: the counter waits for this function to return.
    __asm__ __volatile__("" : : : "memory");
}

static bool count_one(const bench_setup *setup, const bench_operation *operation, size_t count)
{
    bench_result out = {.name = operation->name};
    bool session = operation->state != DISABLED;
    operation_other_cpu = setup->collector_cpu;
    if (session && !session_start(setup, NSP_COLLECTOR_INVOKER, NULL, &out)) {
        fprintf(stderr, "nanospan-bench: %s: %s\n", operation->name, out.problem);
        return false;
    }
    if (!operation_prepare(operation))
        result_fail(&out, "the operation cannot be prepared");
    for (size_t times = 1; times <= 2 && out.problem[0] == '\0'; times++) {
        if (operation->burst_most != 0 && 2 * count > operation->burst_most)
            count = operation->burst_most / 2;
        operation_before(operation, times * count);
        counted_run(operation->run, times * count);
        operation_after(operation);
        printf("%s %u %zu\n", operation->name, operation->spans, times * count);
    }
    operation_finish(operation);
    if (session)
        session_end(&out);
    if (operation->state != FULL && (out.stats.dropped != 0 || out.stats.roots_refused != 0))
        result_fail(&out, "spans were lost; use a smaller --count");
    if (out.problem[0] != '\0')
        fprintf(stderr, "nanospan-bench: %s: %s\n", operation->name, out.problem);
    return out.problem[0] == '\0';
}

bool instructions_run(const bench_setup *setup, const char *list, size_t count)
{
    bool fine = true, any = false;
    for (size_t i = 0; i < operation_count && fine; i++) {
        if (strcmp(list, "all") != 0 && !selected(list, operations[i].name))
            continue;
        any = true;
        fine = count_one(setup, &operations[i], count);
    }
    for (size_t i = 0; i < ORDER_CONDITIONS && fine; i++) {
        char name[32];
        snprintf(name, sizeof name, "order_%s", order_conditions[i].name);
        if (!order_countable(i) || (strcmp(list, "all") != 0 && !selected(list, name)))
            continue;
        any = true;
        fine = order_count(i, setup);
    }
    if (!any)
        fprintf(stderr, "nanospan-bench: no operation matches '%s'\n", list);
    return fine && any;
}
