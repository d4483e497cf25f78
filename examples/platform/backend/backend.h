// SPDX-License-Identifier: Apache-2.0
//
// The parts of the backend API.
#ifndef PLATFORM_BACKEND_H
#define PLATFORM_BACKEND_H

#include "platform/service/client.h"
#include "platform/service/database.h"
#include "platform/service/server.h"

struct backend {
    const char *ai_engine_url, *execution_url;
    unsigned timeout_ms; // for a call to one of them
    struct client *ai_engine, *execution;
};

extern const struct database_plan backend_plan; // schema.c

request_handler get_signals;   // signals.c: GET /api/signals
request_handler execute_trade; // trades.c: POST /api/trades/execute

#endif
