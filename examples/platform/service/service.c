// SPDX-License-Identifier: Apache-2.0
#include "platform/service/service.h"

#include <curl/curl.h>
#include <errno.h>
#include <nanospan/nanospan.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/address.h"
#include "shared/arguments.h"
#include "shared/span_accounting.h"
#include "shared/tracing.h"

enum { LISTEN = 256, ADDRESS_FILE, DATABASE, BUSY_MS, THREADS, STATS_JSON };
enum { DETACHED_SPANS = 1024, PATIENCE_MS = 3000 };

struct options {
    const struct service *service;
    const char *listen, *address_file, *database, *stats_json;
    unsigned threads, busy_ms;
};

static const struct argp_option known[] = {
    {"listen", LISTEN, "HOST:PORT", 0, "Listen on this address; port 0 is any free port", 0},
    {"address-file", ADDRESS_FILE, "FILE", 0, "Write HOST:PORT to FILE when ready for requests", 0},
    {"database", DATABASE, "FILE", 0, "SQLite file; created and filled if it does not exist", 0},
    {"busy-ms", BUSY_MS, "N", 0, "Wait up to N milliseconds for a lock on the database (2000)", 0},
    {"threads", THREADS, "N", 0, "Handle up to N requests at a time (8)", 0},
    {"stats-json", STATS_JSON, "FILE", 0, "Write the final numbers to FILE", 0},
    {0},
};

static error_t take_option(int key, char *text, struct argp_state *state)
{
    struct options *options = state->input;
    const char *program = options->service->program;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = options->service->context; return 0;
    case LISTEN:
        if (strncmp(text, "unix:", 5) == 0)
            argp_error(state, "--listen takes HOST:PORT");
        options->listen = text;
        return 0;
    case ADDRESS_FILE: options->address_file = text; return 0;
    case DATABASE: options->database = text; return 0;
    case BUSY_MS: options->busy_ms = (unsigned)argument_count(program, "--busy-ms", text, 0, 60000); return 0;
    case THREADS: options->threads = (unsigned)argument_count(program, "--threads", text, 1, 256); return 0;
    case STATS_JSON: options->stats_json = text; return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'", text); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static struct options parse(const struct service *service, int argc, char **argv)
{
    struct options options = {.service = service,
                              .listen = service->listen,
                              .database = service->database,
                              .threads = 8,
                              .busy_ms = 2000};
    static const struct argp none;
    const struct argp_child children[] = {
        {service->more_options != NULL ? service->more_options : &none, 0, NULL, 0}, {0}};
    char doc[1024];
    snprintf(
        doc, sizeof doc,
        "%s\v"
        "By default, it listens on %s and uses the database %s. SIGTERM and SIGINT end it cleanly. Tracing "
        "is "
        "configured by the environment: SERVICE_NAME (%s), SERVICE_VERSION, ENVIRONMENT, ENABLE_TRACING, "
        "OTLP_ENDPOINT, OTLP_INSECURE, TRACE_SAMPLE_RATE. GET /health and GET /ready are answered, but not "
        "traced.\n\n"
        "Exit codes: 0 success, 1 it could not start or the span counters do not balance, 2 wrong usage.",
        service->about, service->listen, service->database, service->name);
    const struct argp argp = {known, take_option, NULL, doc, children, NULL, NULL};
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    return options;
}

static const char *service_name(const struct service *service)
{
    const char *name = getenv("OTEL_SERVICE_NAME");
    if (name == NULL || !*name)
        name = getenv("SERVICE_NAME");
    return name != NULL && *name ? name : service->name;
}

static bool write_stats(const struct options *options, unsigned long long answered)
{
    FILE *file = fopen(options->stats_json, "w");
    bool good = file != NULL;
    if (file != NULL) {
        fprintf(file, "{\"service\": \"%s\", \"requests\": %llu, \"spans\": ", options->service->name,
                answered);
        span_accounting_json(file);
        fprintf(file, "}\n");
        good = fclose(file) == 0;
    }
    if (!good)
        fprintf(stderr, "%s: cannot write '%s': %s\n", options->service->program, options->stats_json,
                strerror(errno));
    return good;
}

// Serves until a signal arrives. The signals are blocked in all threads; this one waits for them.
static bool serve(const struct options *options, struct database *database, const sigset_t *signals,
                  unsigned long long *answered)
{
    const struct service *service = options->service;
    const char *name = service_name(service);
    struct server *server = server_start(&(struct server_options){
        .service = name,
        .listen = options->listen,
        .threads = options->threads,
        .routes = service->routes,
        .route_count = service->route_count,
        .context = service->context,
        .database = database,
        .ready = service->ready,
    });
    if (server == NULL)
        return false;
    int signal_number;
    bool told =
        options->address_file == NULL || address_write_file(options->address_file, server_address(server));
    printf("%s: %s listens on http://%s, process %d\n", service->program, name, server_address(server),
           (int)getpid());
    fflush(stdout);
    if (told)
        sigwait(signals, &signal_number);
    server_stop(server, PATIENCE_MS);
    *answered = server_answered(server);
    server_free(server);
    return told;
}

static bool run(const struct options *options, const sigset_t *signals, unsigned long long *answered)
{
    const struct service *service = options->service;
    struct database *database = database_open(options->database, service->plan, options->busy_ms);
    if (database == NULL)
        return false;
    bool good = service->start == NULL || service->start(service->context, database);
    if (good)
        good = serve(options, database, signals, answered);
    if (service->stop != NULL)
        service->stop(service->context);
    database_close(database);
    return good;
}

int service_main(const struct service *service, int argc, char **argv)
{
    struct options options = parse(service, argc, argv);
    unsigned long long answered = 0;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (!tracing_start(service->name, DETACHED_SPANS))
        return 1;
    bool good = run(&options, &signals, &answered);
    tracing_stop();
    if (good) {
        printf("%s: answered %llu requests\n", service->program, answered);
        good = span_accounting_print(stdout, service->name);
        if (options.stats_json != NULL)
            good = write_stats(&options, answered) && good;
    }
    curl_global_cleanup();
    return good ? 0 : 1;
}
