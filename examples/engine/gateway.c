// SPDX-License-Identifier: Apache-2.0
#include "engine/gateway.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "shared/address.h"
#include "shared/clock.h"
#include "engine/process.h"

static bool stopped(const struct gateway *gateway)
{
    return __atomic_load_n(&gateway->stop, __ATOMIC_RELAXED) || gateway->engine->failed;
}

static void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    int error = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (error)
        fprintf(stderr, "engine: cannot pin the trading thread to processor %d: %s\n", cpu, strerror(error));
}

// Processes what has been read, as long as there is room for the answers. Returns false on bytes that are not
// a message.
static bool work_off(struct gateway *gateway, nsp_ticks received)
{
    struct engine *engine = gateway->engine;
    struct stream *stream = &engine->stream;
    nsp_ticks turn = received;
    bool broken = false;
    while (!engine->failed && stream_room(stream) >= engine_answer_max(engine)) {
        size_t length;
        const uint8_t *message = stream_next(stream, &length, &broken);
        if (message == NULL)
            return !broken;
        struct message_header header;
        memcpy(&header, message, sizeof header);
        if (header.type != MESSAGE_NEW_ORDER && header.type != MESSAGE_CANCEL)
            return false;
        turn = process_message(engine, message, length, received, turn);
    }
    return true;
}

// Serves one feed until it disconnects or the engine stops.
static void serve(struct gateway *gateway)
{
    struct engine *engine = gateway->engine;
    struct stream *stream = &engine->stream;
    enum stream_event event = STREAM_IDLE;
    while (!stopped(gateway) && event != STREAM_CLOSED) {
        event = stream_receive(stream);
        if (event == STREAM_DATA || stream->in_begin < stream->in_end) {
            nsp_ticks received = clock_now();
            if (!engine->first_order)
                engine->first_order = received;
            if (!work_off(gateway, received)) {
                fprintf(stderr, "engine: the feed sent an invalid message; closing its connection\n");
                count(&engine->counters.broken, 1);
                event = STREAM_CLOSED;
            }
            engine->last_order = clock_now();
        } else if (gateway->give_way) {
            sched_yield();
        }
        if (stream_pending(stream) && !stream_flush(stream))
            event = STREAM_CLOSED;
    }
    stream_close(stream);
    engine_withdraw_all(engine);
}

void *gateway_run(void *argument)
{
    struct gateway *gateway = argument;
    struct engine *engine = gateway->engine;
    pthread_setname_np(pthread_self(), "trading");
    if (gateway->cpu >= 0)
        pin(gateway->cpu);
    nsp_thread_options options = NSP_THREAD_OPTIONS_INIT;
    options.name = "trading";
    nsp_thread_attach(&options); // before the first order, which would otherwise pay for it
    nsp_flush(1000000000); // the collector has looked: with NSP_SWITCHES it knows this thread from now on
    while (!stopped(gateway)) {
        int fd = accept(gateway->listener, NULL, NULL);
        if (fd < 0) {
            nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
            continue;
        }
        address_no_delay(fd);
        stream_open(&engine->stream, fd);
        count(&engine->counters.connections, 1);
        serve(gateway);
        if (gateway->once)
            break;
    }
    __atomic_store_n(&gateway->done, true, __ATOMIC_RELEASE);
    return NULL;
}
