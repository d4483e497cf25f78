// SPDX-License-Identifier: Apache-2.0
//
// `nanospan metrics`: its options, and printing once.
#include "metrics.h"

#include "command.h"
#include "support/complain.h"
#include "support/options.h"
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { OPTION_PORT_FILE = 256, OPTION_SHM_DIR, OPTION_THREADS };

static const struct argp_option OPTIONS[] = {
    {"listen", 'l', "HOST:PORT", 0,
     "Serve the metrics over HTTP, at the path /metrics, until SIGINT or SIGTERM. A port alone is one of "
     "127.0.0.1; port 0: any free one. Anybody who can reach that address can read the names of services, "
     "threads and sampling rules",
     1},
    {"port-file", OPTION_PORT_FILE, "FILE", 0, "Write the port to this file once it is open", 1},
    {"threads", OPTION_THREADS, NULL, 0, "Add the figures of each thread, which are many time series", 2},
    {"shm-dir", OPTION_SHM_DIR, "FOLDER", 0,
     "The folder of sessions (default: NSP_SHM_DIR, otherwise /dev/shm)", 2},
    {"quiet", 'q', NULL, 0, "Say only what is wrong", 2},
    {0},
};

static const char DOC[] =
    "Prints the figures of this user's engines as Prometheus text: once, to standard output, or with "
    "--listen at "
    "each request. Engines do not notice."
    "\v"
    "Names follow OpenTelemetry's semantic conventions for SDK metrics; what those do not have begins with "
    "nanospan_. The labels service_name, process_pid and session say whose figure it is. When a session is "
    "gone, so are its figures.\n\n"
    "Exit codes: 0 success; 1 the sessions cannot be read, or the port cannot be opened; 2 wrong command "
    "line.\n\n"
    "Examples:\n"
    "  nanospan metrics\n"
    "  nanospan metrics --listen 9464\n"
    "  nanospan metrics --listen 0.0.0.0:9464 --threads\n";

static error_t parse(int key, char *given, struct argp_state *state)
{
    metrics_options *o = state->input;
    bool right = true;
    switch (key) {
    case 'l': o->listen = given; break;
    case 'q': o->quiet = true; break;
    case OPTION_PORT_FILE: right = option_text("port-file", given, &o->port_file); break;
    case OPTION_SHM_DIR: right = option_text("shm-dir", given, &o->shm_dir); break;
    case OPTION_THREADS: o->with_threads = true; break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'; metrics takes only options", given);
        break;
    case ARGP_KEY_END:
        if (o->port_file != NULL && o->listen == NULL)
            argp_error(state, "--port-file needs --listen");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (!right)
        exit(EXIT_USAGE);
    return 0;
}

static int print_once(const metrics_options *o)
{
    figures all = {0};
    if (figures_look(&all, o->shm_dir) != NSP_OK) {
        complain("the sessions cannot be read: %s", nsp_error_detail());
        return EXIT_PROBLEM;
    }
    text out = {0};
    metrics_write(&out, &all, o->with_threads);
    figures_free(&all);
    const bool written = text_print(&out);
    if (!written)
        complain("cannot write to standard output: %s", strerror(errno));
    text_free(&out);
    return written ? EXIT_GOOD : EXIT_PROBLEM;
}

int command_metrics(int argc, char **argv)
{
    metrics_options o = {0};
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return o.listen != NULL ? metrics_serve(&o) : print_once(&o);
}
