// SPDX-License-Identifier: Apache-2.0
//
// The parts of the AI engine.
#ifndef PLATFORM_AI_ENGINE_H
#define PLATFORM_AI_ENGINE_H

#include "platform/service/database.h"
#include "platform/service/server.h"

extern const struct database_plan ai_engine_plan; // schema.c

request_handler get_signal; // signal.c: GET /signals/{symbol}

#endif
