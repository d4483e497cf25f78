// SPDX-License-Identifier: Apache-2.0
#include "order_path/count.h"

#include <stdio.h>

#include "hot_path/instructions.h"
#include "order_path/pair.h"

enum { ORDERS = 250 }; // with every order recorded, they take about half of the ring

static order_engine *engine;
static const order_message *messages;

static void work_off(size_t count)
{
    engine->path->work_off(&engine->engine, messages, count);
}

bool order_countable(size_t index)
{
    return order_conditions[index].rate == 0 || order_conditions[index].rate == 1;
}

bool order_count(size_t index, const bench_setup *setup)
{
    static order_pair pair;
    const order_condition *condition = &order_conditions[index];
    bench_result out = {.name = condition->name};
    // No other thread drains the ring, so nothing depends on time.
    bench_setup invoker = *setup;
    invoker.invoker = true;
    if (pair_open(&pair, condition, &invoker, &out)) {
        uint64_t losses = pair_losses(&pair);
        messages = pair_next(&pair, ORDERS, &out);
        for (size_t subject = 0; messages != NULL && subject <= 1; subject++) {
            engine = subject ? &pair.subject : &pair.base;
            // No order is the slowest so far: whether one is, depends on time, and a new maximum takes instructions.
            engine->engine.tick_to_trade.max = UINT64_MAX;
            counted_run(work_off, ORDERS);
            printf("order_%s 1 %zu\n", condition->name, subject * ORDERS);
        }
        if (pair_losses(&pair) != losses)
            result_fail(&out, "spans were lost; count fewer orders");
        pair_close(&pair, condition, &out);
    }
    if (out.problem[0] != '\0')
        fprintf(stderr, "nanospan-bench: order_%s: %s\n", condition->name, out.problem);
    return out.problem[0] == '\0';
}
