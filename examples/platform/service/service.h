// SPDX-License-Identifier: Apache-2.0
//
// A service as a process: options, tracing, database, server, signals, shutdown. All three services use it.
#ifndef PLATFORM_SERVICE_H
#define PLATFORM_SERVICE_H

#include <argp.h>

#include "platform/service/database.h"
#include "platform/service/server.h"

struct service {
    const char *program;             // "platform-backend"
    const char *name;                // in traces, unless SERVICE_NAME sets another
    const char *about;               // for --help
    const char *listen;              // HOST:PORT, unless --listen sets another
    const char *database;            // file, unless --database sets another
    const struct argp *more_options; // of this service, or NULL; their input is `context`
    const struct route *routes;
    size_t route_count;
    const struct database_plan *plan;
    void *context; // passed to the handlers
    bool (*start)(void *context,
                  struct database *database); // before the first request; on failure prints why; may be NULL
    void (*stop)(void *context);              // after the last request; may be NULL
    bool (*ready)(void *context, json_t *checks); // see server.h; may be NULL
};

// Runs the service until SIGINT or SIGTERM. Returns the exit code: 0 for success, 1 if it could not start or
// its span counters do not balance, 2 for wrong usage.
int service_main(const struct service *service, int argc, char **argv);

#endif
