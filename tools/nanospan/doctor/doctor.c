// SPDX-License-Identifier: Apache-2.0
//
// `nanospan doctor`: its options, the order of its sections, and its exit code.
#include "doctor.h"

#include "command.h"
#include "support/options.h"
#include "support/paint.h"
#include <argp.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILURES = 3 };

typedef struct doctor_options {
    const char *query;
    const char *service;
    uint64_t timeout;
    uint64_t pid;
    bool no_send;
    bool json;
    bool quiet;
    enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } colour;
} doctor_options;

enum { OPTION_COLOR = 256, OPTION_JSON, OPTION_NO_SEND, OPTION_SERVICE, OPTION_PID };

static const struct argp_option OPTIONS[] = {
    {"query", 'Q', "URL", 0,
     "Look for the test span in Jaeger at this address, such as http://localhost:16686", 1},
    {"service", OPTION_SERVICE, "NAME", 0, "Send the test span under this service name", 1},
    {"no-send", OPTION_NO_SEND, NULL, 0, "Do not send a test span", 1},
    {"pid", OPTION_PID, "PID", 0, "Use the environment of this running process instead of the doctor's own",
     1},
    {"timeout", 't', "TIME", 0, "Finish within this time, 100ms to 600s (default 20s)", 2},
    {"json", OPTION_JSON, NULL, 0, "Write the findings as JSON", 2},
    {"quiet", 'q', NULL, 0, "Show only warnings and failures", 2},
    {"color", OPTION_COLOR, "WHEN", 0, "always, never, or auto (on a terminal, unless NO_COLOR is set)", 2},
    {0},
};

static const char DOC[] =
    "Finds out why traces do not arrive. It reads the configuration in the way an engine started in this "
    "environment would, talks to the endpoint, sends one test span through nanospan's own pipeline, and "
    "checks the machine and what running engines have sent and dropped. Each problem comes with advice."
    "\v"
    "A finding is OK, note (worth knowing), WARN (works, but not well) or FAIL (spans do not arrive).\n\n"
    "Exit codes: 0 no warnings or failures; 1 warnings; 2 wrong command line; 3 failures.\n\n"
    "The report never shows secrets such as request headers or passwords in URLs.\n\n"
    "Examples:\n"
    "  nanospan doctor\n"
    "  nanospan doctor --query http://localhost:16686\n"
    "  OTLP_ENDPOINT=http://jaeger:4317 nanospan doctor --no-send\n"
    "  nanospan doctor --pid $(pidof engine)\n"
    "  nanospan doctor --json --quiet | jq '.findings[].text'\n";

static bool colour_of(const char *given, doctor_options *o)
{
    static const char *const NAMES[] = {"auto", "always", "never"};
    for (unsigned i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (strcmp(NAMES[i], given) == 0) {
            o->colour = i;
            return true;
        }
    complain("--color takes auto, always or never, not '%s'", given);
    return false;
}

static bool query_of(const char *given, doctor_options *o)
{
    CURLU *url = curl_url();
    char *scheme = NULL;
    bool sound = url != NULL && curl_url_set(url, CURLUPART_URL, given, 0) == CURLUE_OK &&
                 curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                 (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
    curl_free(scheme);
    curl_url_cleanup(url);
    o->query = given;
    if (!sound)
        complain("--query takes a URL such as http://localhost:16686, not '%s'", given);
    return sound;
}

static bool set_option(doctor_options *o, int key, const char *given)
{
    switch (key) {
    case 'Q': return query_of(given, o);
    case 'q': o->quiet = true; return true;
    case 't':
        if (!option_duration("timeout", given, &o->timeout))
            return false;
        if (o->timeout < DOCTOR_SECOND / 10 || o->timeout > 600 * DOCTOR_SECOND) {
            complain("--timeout takes 100ms to 600s, not '%s'", given);
            return false;
        }
        return true;
    case OPTION_PID: return option_count("pid", given, 1, INT32_MAX, &o->pid);
    case OPTION_SERVICE: o->service = given; return true;
    case OPTION_NO_SEND: o->no_send = true; return true;
    case OPTION_JSON: o->json = true; return true;
    case OPTION_COLOR: return colour_of(given, o);
    default: return false;
    }
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected argument '%s'; doctor takes only options", given);
    if (!option_listed(OPTIONS, key))
        return ARGP_ERR_UNKNOWN;
    if (!set_option(state->input, key, given))
        exit(EXIT_USAGE);
    return 0;
}

// Replaces our environment with another process's. /proc shows the environment with which that process was
// started.
static bool take_environment(uint64_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRIu64 "/environ", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        complain("cannot read the environment of process %" PRIu64 ": %s", pid, strerror(errno));
        return false;
    }
    char *columns = getenv("COLUMNS"), *kept = columns != NULL ? strdup(columns) : NULL, *entry = NULL;
    size_t size = 0;
    clearenv();
    while (getdelim(&entry, &size, '\0', file) > 0) {
        char *equals = strchr(entry, '=');
        if (equals == NULL || equals == entry)
            continue;
        *equals = '\0';
        setenv(entry, equals + 1, 1);
    }
    if (kept != NULL)
        setenv("COLUMNS", kept, 1);
    bool sound = !ferror(file);
    free(kept);
    free(entry);
    fclose(file);
    return sound;
}

static void examine(doctor *d)
{
    d->group = "configuration";
    doctor_settings(d);
    d->group = "endpoint";
    doctor_endpoint(d);
    d->group = "engines"; // before the test span makes a session of our own
    doctor_sessions(d);
    d->group = "test span";
    doctor_span(d);
    d->group = "machine";
    doctor_machine(d);
}

int command_doctor(int argc, char **argv)
{
    doctor_options o = {.timeout = 20 * DOCTOR_SECOND};
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    const char *no_colour = getenv("NO_COLOR");
    bool coloured = o.colour == COLOUR_ALWAYS ||
                    (o.colour == COLOUR_AUTO && isatty(STDOUT_FILENO) && !(no_colour != NULL && *no_colour));
    if (o.pid && !take_environment(o.pid))
        return EXIT_USAGE;
    doctor d = {
        .query = o.query,
        .service = o.service,
        .send = !o.no_send,
        .pid = o.pid,
        .deadline_ns = doctor_now() + o.timeout,
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    examine(&d);
    static const int CODES[] = {[DOCTOR_OK] = EXIT_GOOD,
                                [DOCTOR_NOTE] = EXIT_GOOD,
                                [DOCTOR_WARN] = EXIT_PROBLEM,
                                [DOCTOR_FAIL] = EXIT_FAILURES};
    int code = CODES[doctor_worst(&d)];
    bool written = o.json ? doctor_print_json(&d, o.quiet, code)
                          : doctor_print(&d, o.quiet, coloured, paint_terminal_width());
    if (!written && errno != EPIPE)
        complain("cannot write: %s", strerror(errno));
    doctor_free(&d);
    return written || code == EXIT_FAILURES ? code : EXIT_PROBLEM;
}
