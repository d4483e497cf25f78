// SPDX-License-Identifier: Apache-2.0
//
// The backend API, which clients call. It asks the AI engine for signals and the execution service to place
// orders.
#include <stdio.h>

#include "shared/arguments.h"
#include "platform/backend/backend.h"
#include "platform/service/service.h"

enum { AI_ENGINE = 512, EXECUTION, TIMEOUT_MS };

static const struct argp_option known[] = {
    {"ai-engine", AI_ENGINE, "URL", 0, "URL of the AI engine (http://127.0.0.1:8001)", 1},
    {"execution", EXECUTION, "URL", 0, "URL of the execution service (http://127.0.0.1:8002)", 1},
    {"timeout-ms", TIMEOUT_MS, "N", 0, "Wait up to N milliseconds for an answer from either (2000)", 1},
    {0},
};

static error_t take_option(int key, char *text, struct argp_state *state)
{
    struct backend *backend = state->input;
    switch (key) {
    case AI_ENGINE: backend->ai_engine_url = text; return 0;
    case EXECUTION: backend->execution_url = text; return 0;
    case TIMEOUT_MS:
        backend->timeout_ms = (unsigned)argument_count("platform-backend", "--timeout-ms", text, 1, 600000);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool start(void *context, struct database *database)
{
    struct backend *backend = context;
    (void)database;
    backend->ai_engine = client_new("ai-engine", backend->ai_engine_url, backend->timeout_ms);
    backend->execution = client_new("execution", backend->execution_url, backend->timeout_ms);
    if (backend->ai_engine == NULL || backend->execution == NULL)
        fprintf(stderr, "platform-backend: out of memory\n");
    return backend->ai_engine != NULL && backend->execution != NULL;
}

static void stop(void *context)
{
    struct backend *backend = context;
    client_free(backend->ai_engine);
    client_free(backend->execution);
}

static bool ready(void *context, json_t *checks)
{
    struct backend *backend = context;
    bool ai_engine = client_healthy(backend->ai_engine), execution = client_healthy(backend->execution);
    json_object_set_new(checks, "ai-engine", json_boolean(ai_engine));
    json_object_set_new(checks, "execution", json_boolean(execution));
    return ai_engine && execution;
}

int main(int argc, char **argv)
{
    static const struct argp more_options = {known, take_option, NULL, NULL, NULL, NULL, NULL};
    static const struct route routes[] = {
        {"GET", "/api/signals", "HTTP GET /api/signals", get_signals},
        {"POST", "/api/trades/execute", "POST /api/trades/execute", execute_trade},
    };
    struct backend backend = {.ai_engine_url = "http://127.0.0.1:8001",
                              .execution_url = "http://127.0.0.1:8002",
                              .timeout_ms = 2000};
    const struct service service = {
        .program = "platform-backend",
        .name = "quantum-backend",
        .about = "The trading platform's API: GET /api/signals, POST /api/trades/execute.",
        .listen = "127.0.0.1:8000",
        .database = "quantum-backend.db",
        .more_options = &more_options,
        .routes = routes,
        .route_count = sizeof routes / sizeof *routes,
        .plan = &backend_plan,
        .context = &backend,
        .start = start,
        .stop = stop,
        .ready = ready,
    };
    return service_main(&service, argc, argv);
}
