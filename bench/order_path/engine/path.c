// SPDX-License-Identifier: Apache-2.0
//
// Compiled twice, traced and untraced, with ORDER_TABLE as the name of the table.
#include "order_path/engine/path.h"

#include "engine/life.h"
#include "engine/process.h"
#include "shared/clock.h"

// The gateway's loop over received messages, without its sockets: answers count as sent immediately.
static void work_off(struct engine *engine, const order_message *messages, size_t count)
{
    nsp_ticks received = clock_now(), turn = received;
    for (size_t i = 0; i < count; i++) {
        engine->stream.out_begin = engine->stream.out_end;
        turn = process_message(engine, messages[i].bytes, messages[i].length, received, turn);
    }
}

const order_path ORDER_TABLE = {
    .init = engine_init,
    .free = engine_free,
    .withdraw_all = engine_withdraw_all,
    .sample_lives = life_sample_all,
    .work_off = work_off,
};
