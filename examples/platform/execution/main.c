// SPDX-License-Identifier: Apache-2.0
//
// The execution service: keeps accounts, computes order sizes, and has orders filled by a simulated exchange.
#include <stdio.h>

#include "platform/execution/execution.h"
#include "platform/service/service.h"

static bool start(void *context, struct database *database)
{
    struct execution *execution = context;
    if (load_instruments(database, &execution->exchange))
        return true;
    fprintf(stderr, "platform-execution: cannot read the instruments from the database '%s'\n",
            database_path(database));
    return false;
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {{"POST", "/orders", NULL, place_order}};
    static struct execution execution;
    const struct service service = {
        .program = "platform-execution",
        .name = "execution",
        .about = "The trading platform's execution service, with a simulated exchange: POST /orders.",
        .listen = "127.0.0.1:8002",
        .database = "execution.db",
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .plan = &execution_plan,
        .context = &execution,
        .start = start,
    };
    return service_main(&service, argc, argv);
}
