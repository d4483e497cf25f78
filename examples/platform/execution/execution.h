// SPDX-License-Identifier: Apache-2.0
//
// The parts of the execution service.
#ifndef PLATFORM_EXECUTION_H
#define PLATFORM_EXECUTION_H

#include "platform/execution/exchange_simulator.h"
#include "platform/service/database.h"
#include "platform/service/server.h"

struct execution {
    struct exchange exchange; // constant after the start
};

extern const struct database_plan execution_plan; // schema.c

// Reads the instruments of the exchange. False on failure.
bool load_instruments(struct database *database, struct exchange *out); // schema.c

request_handler place_order; // orders.c: POST /orders

#endif
