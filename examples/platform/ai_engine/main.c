// SPDX-License-Identifier: Apache-2.0
//
// The AI engine: recommends whether to buy or sell a symbol, with a confidence.
#include "platform/ai_engine/ai_engine.h"
#include "platform/service/service.h"

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"GET", "/signals/{symbol}", NULL, get_signal}};
    const struct service service = {
        .program = "platform-ai-engine",
        .name = "ai-engine",
        .about = "The trading platform's AI engine: GET /signals/{symbol}.",
        .listen = "127.0.0.1:8001",
        .database = "ai-engine.db",
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .plan = &ai_engine_plan,
    };
    return service_main(&service, argc, argv);
}
