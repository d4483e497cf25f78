// SPDX-License-Identifier: Apache-2.0
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/life.h"

bool engine_init(struct engine *engine, size_t max_orders, uint32_t account_count, const char *drop_copy)
{
    *engine = (struct engine){.drop_copy.fd = -1};
    engine->stream.fd = -1;
    // An order trades at most once with each resting order; each trade needs one record and one answer.
    if (!drop_copy_open(&engine->drop_copy, drop_copy, max_orders + 2))
        return false;
    bool good = order_pool_init(&engine->pool, max_orders) && accounts_init(&engine->accounts, account_count);
    for (unsigned i = 0; i < INSTRUMENTS; i++) {
        engine->books[i] = book_new(instruments[i].middle - BOOK_LEVELS / 2);
        good = good && engine->books[i] != NULL;
    }
    engine->fills = malloc(max_orders * sizeof *engine->fills);
    good = good && engine->fills != NULL &&
           stream_alloc(&engine->stream, 64 * 1024, 2 * engine_answer_max(engine));
    if (!good) {
        fprintf(stderr, "engine: out of memory\n");
        engine_free(engine);
        return false;
    }
    memset(engine->fills, 0, max_orders * sizeof *engine->fills);
    return true;
}

void engine_free(struct engine *engine)
{
    faults_stop(&engine->faults);
    stopwatch_free(&engine->stopwatch);
    stream_free(&engine->stream);
    free(engine->fills);
    for (unsigned i = 0; i < INSTRUMENTS; i++)
        free(engine->books[i]);
    accounts_free(&engine->accounts);
    order_pool_free(&engine->pool);
    drop_copy_close(&engine->drop_copy);
}

size_t engine_answer_max(const struct engine *engine)
{
    return engine->pool.capacity * sizeof(struct message_fill) + sizeof(struct message_report);
}

static void withdraw(struct engine *engine, struct order *order, nsp_ticks now)
{
    book_remove(engine->books[order->instrument], order);
    account_release(account_find(&engine->accounts, order->account), order->side, order->instrument,
                    order->price, order->leaves);
    drop_copy_add(&engine->drop_copy, (struct drop_record){
                                          .order_id = order->id,
                                          .account = order->account,
                                          .price = order->price,
                                          .quantity = order->leaves,
                                          .instrument = order->instrument,
                                          .side = order->side,
                                          .event = DROP_CANCELLED,
                                      });
    life_end(order, "withdrawn", now);
    order_give(&engine->pool, order);
    count(&engine->counters.withdrawn, 1);
}

void engine_withdraw_all(struct engine *engine)
{
    nsp_ticks now = nsp_now();
    for (unsigned i = 0; i < INSTRUMENTS; i++) {
        static const enum side sides[] = {SIDE_BUY, SIDE_SELL};
        for (unsigned k = 0; k < 2; k++) {
            struct order *order;
            while ((order = book_best(engine->books[i], sides[k])) != NULL)
                withdraw(engine, order, now);
        }
    }
    if (!drop_copy_write(&engine->drop_copy))
        engine->failed = true;
    __atomic_store_n(&engine->counters.resting, 0, __ATOMIC_RELAXED);
}
