// SPDX-License-Identifier: Apache-2.0
//
// A service as a process: options, tracing, database, server, signals, the end. Each of the three is one of these.
#ifndef PLATFORM_SERVICE_H
#define PLATFORM_SERVICE_H

#include <argp.h>

#include "platform/service/database.h"
#include "platform/service/server.h"

struct service {
    const char *program;             // "platform-backend"
    const char *name;                // in traces, unless SERVICE_NAME says otherwise
    const char *about;               // for --help
    const char *listen;              // HOST:PORT, unless --listen says otherwise
    const char *database;            // file, unless --database says otherwise
    const struct argp *more_options; // of this service, or NULL; they get `context` as their input
    const struct route *routes;
    size_t route_count;
    const struct database_plan *plan;
    void *context; // handed to the handlers
    bool (*start)(void *context,
                  struct database *database);     // before the first request; false: says why; may be NULL
    void (*stop)(void *context);                  // after the last; may be NULL
    bool (*ready)(void *context, json_t *checks); // see server.h; may be NULL
};

// Runs it until SIGINT or SIGTERM. Returns the exit code: 0, 1 where it could not start or its tracing books do not
// balance, 2 for wrong usage.
int service_main(const struct service *service, int argc, char **argv);

#endif
