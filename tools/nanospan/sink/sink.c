// SPDX-License-Identifier: Apache-2.0
//
// `nanospan sink`: its options, the loop that shows rates and waits for the end, and the final summary.
#include "command.h"
#include "support/options.h"
#include "http.h"
#include "web.h"
#include "support/listen.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "common/time.h"
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

// At the end the sink waits at most this long for requests that are in progress.
#define PATIENCE_NS 5000000000u

typedef struct sink_options {
    const char *listen;
    const char *output;
    const char *summary;
    const char *port_file;
    uint64_t rates_ns; // between two lines of rates; 0: none
    uint64_t exit_after;
    uint64_t most_distinct;
    uint64_t connections;
    uint64_t fail_status;
    bool rates_asked;
    bool quiet;
    sink_http_options http;
    web_options web;
} sink_options;

enum {
    OPTION_MAX_BODY = 256,
    OPTION_MAX_DISTINCT,
    OPTION_MAX_CONNECTIONS,
    OPTION_RATES,
    OPTION_EXIT_AFTER,
    OPTION_SUMMARY,
    OPTION_PORT_FILE,
    OPTION_FAIL_RATE,
    OPTION_FAIL_STATUS,
    OPTION_RETRY_AFTER,
    OPTION_LOSE_REPLIES,
    OPTION_DELAY,
    OPTION_SEED,
    OPTION_WEB,
    OPTION_WEB_PORT_FILE,
    OPTION_WEB_URL_FILE,
    OPTION_WEB_MEMORY,
};

static const struct argp_option OPTIONS[] = {
    {"listen", 'l', "HOST:PORT", 0,
     "Listen on this address (default 127.0.0.1:4318). A port alone is one of 127.0.0.1; port 0: any free "
     "one",
     1},
    // What many would type. By itself it would be taken for the beginning of --port-file.
    {"port", 0, NULL, OPTION_ALIAS | OPTION_HIDDEN, NULL, 1},
    {"port-file", OPTION_PORT_FILE, "FILE", 0, "Once the sink listens, write its port number to FILE", 1},
    {"output", 'o', "FILE", 0,
     "Write each request to FILE as a line of OTLP JSON; FILE is overwritten, and - is standard output", 2},
    {"summary", OPTION_SUMMARY, "FILE", 0, "At the end, write the totals to FILE as JSON", 2},
    {"rates", OPTION_RATES, "SECONDS", 0,
     "Show rates at this interval (default 1 on a terminal, otherwise never); 0 means never", 2},
    {"quiet", 'q', NULL, 0, "Print only errors: no start line, rates or summary", 2},
    {"exit-after", OPTION_EXIT_AFTER, "SPANS", 0, "End once this many spans have arrived", 3},
    {"max-body", OPTION_MAX_BODY, "BYTES", 0,
     "Refuse requests that are larger, before or after decompression (default 64MiB)", 3},
    {"max-connections", OPTION_MAX_CONNECTIONS, "N", 0,
     "Accept at most N connections at a time (default 256)", 3},
    {"max-distinct", OPTION_MAX_DISTINCT, "SPANS", 0,
     "Recognise repeats among at most this many distinct spans (default 50000000); each takes 32 to 64 bytes",
     3},
    {0, 0, 0, 0, "The live page, for a browser:", 4},
    {"web", OPTION_WEB, "HOST:PORT", 0,
     "Serve a page that shows what arrives: rates, percentiles, the slowest traces and their spans. It "
     "opens with the address that the sink prints, which contains a token. A port alone is one of "
     "127.0.0.1; port 0: any free one",
     4},
    {"web-port-file", OPTION_WEB_PORT_FILE, "FILE", 0,
     "Once the page is served, write its port number to FILE", 4},
    {"web-url-file", OPTION_WEB_URL_FILE, "FILE", 0,
     "Once the page is served, write its address with the token to FILE, which only you can read, instead of "
     "printing it",
     4},
    {"web-memory", OPTION_WEB_MEMORY, "BYTES", 0,
     "Hold about this much of the newest spans and the slowest traces (default 64MiB)", 4},
    {0, 0, 0, 0, "Faults, to test how a sender copes with them:", 5},
    {"fail-rate", OPTION_FAIL_RATE, "SHARE", 0,
     "Answer this share of requests (0.05 or 5%) with an error, and do not count their spans", 5},
    {"fail-status", OPTION_FAIL_STATUS, "CODE", 0, "HTTP status of that error (default 503)", 5},
    {"retry-after", OPTION_RETRY_AFTER, "SECONDS", 0, "Send a Retry-After header with that error", 5},
    {"lose-replies", OPTION_LOSE_REPLIES, "SHARE", 0,
     "Count this share of requests, but close the connection without a reply", 5},
    {"delay", OPTION_DELAY, "TIME", 0, "Wait this long before each reply, for instance 20ms or 1.5s", 5},
    {"seed", OPTION_SEED, "N", 0, "Seed of the random choice of those requests (default 1)", 5},
    {0},
};

static const char DOC[] =
    "Receives spans over OTLP/HTTP at /v1/traces, as protobuf or JSON, compressed with gzip or not. It "
    "counts "
    "spans, recognises repeated ones, and writes them to a file that `nanospan view` reads."
    "\v"
    "The sink answers a malformed request with status 400 and a message that says where the fault is, and "
    "does not count it. On SIGINT or SIGTERM it answers the requests in progress, completes the file and the "
    "summary, and ends. A second signal ends it at once.\n\n"
    "Exit codes: 0 success; 1 it could not listen, or could not write everything; 2 wrong command "
    "line.\n\n"
    "Example:\n  nanospan sink --output spans.jsonl\n";

static bool web_memory(const char *given, uint64_t *out)
{
    enum { LEAST = 1 << 20 };
    if (!option_bytes("web-memory", given, out))
        return false;
    if (*out >= LEAST)
        return true;
    complain("--web-memory takes at least 1MiB, not '%s'", given);
    return false;
}

static bool set_option(sink_options *o, int key, const char *given)
{
    uint64_t seconds = 0;
    switch (key) {
    case 'l': o->listen = given; return true;
    case 'o': o->output = given; return true;
    case 'q': o->quiet = true; return true;
    case OPTION_SUMMARY: o->summary = given; return true;
    case OPTION_PORT_FILE: o->port_file = given; return true;
    case OPTION_RATES:
        o->rates_asked = option_count("rates", given, 0, 86400, &seconds);
        o->rates_ns = seconds * 1000000000;
        return o->rates_asked;
    case OPTION_EXIT_AFTER: return option_count("exit-after", given, 1, UINT64_MAX, &o->exit_after);
    case OPTION_MAX_BODY: return option_bytes("max-body", given, &o->http.most_body);
    case OPTION_MAX_DISTINCT: return option_count("max-distinct", given, 1, 1ull << 36, &o->most_distinct);
    case OPTION_MAX_CONNECTIONS: return option_count("max-connections", given, 1, 10000, &o->connections);
    case OPTION_FAIL_RATE: return option_share("fail-rate", given, &o->http.fail_share);
    case OPTION_FAIL_STATUS: return option_count("fail-status", given, 400, 599, &o->fail_status);
    case OPTION_RETRY_AFTER: return option_count("retry-after", given, 0, 86400, &o->http.retry_after_s);
    case OPTION_LOSE_REPLIES: return option_share("lose-replies", given, &o->http.lose_share);
    case OPTION_DELAY: return option_duration("delay", given, &o->http.delay_ns);
    case OPTION_WEB: o->web.address = given; return true;
    case OPTION_WEB_PORT_FILE: return option_text("web-port-file", given, &o->web.port_file);
    case OPTION_WEB_URL_FILE: return option_text("web-url-file", given, &o->web.url_file);
    case OPTION_WEB_MEMORY: return web_memory(given, &o->web.memory);
    case OPTION_SEED: return option_count("seed", given, 0, UINT64_MAX, &o->http.seed);
    default: return false;
    }
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    if (key == ARGP_KEY_ARG)
        argp_error(state, "unexpected argument '%s'; sink takes only options", given);
    if (key < OPTION_MAX_BODY && key != 'l' && key != 'o' && key != 'q')
        return ARGP_ERR_UNKNOWN;
    if (key > OPTION_WEB_MEMORY)
        return ARGP_ERR_UNKNOWN;
    if (!set_option(state->input, key, given))
        exit(EXIT_USAGE);
    return 0;
}

static double now(void)
{
    return (double)nsp__monotonic_ns() * 1e-9;
}

static bool write_file(const char *name, const text *contents)
{
    FILE *file = fopen(name, "we");
    bool sound = file != NULL && fwrite(contents->data, 1, contents->length, file) == contents->length;
    if (file != NULL && fclose(file) != 0)
        sound = false;
    if (!sound)
        complain("cannot write %s: %s", name, strerror(errno));
    return sound;
}

static void show_rates(const sink_totals *before, const sink_totals *after, double seconds, bool in_place)
{
    char per_second[32], bytes[32], total[32], distinct[32];
    units_count(per_second, (uint64_t)((double)(after->spans - before->spans) / seconds));
    units_bytes(bytes, (double)(after->bytes - before->bytes) / seconds);
    units_count(total, after->spans);
    units_count(distinct, after->distinct);
    fprintf(stderr, "%s%s spans/s  %s/s  total %s  distinct %s%s", in_place ? "\r\033[K" : "", per_second,
            bytes, total, distinct, in_place ? "" : "\n");
    fflush(stderr);
}

// Waits for a signal, or until the wanted number of spans has arrived or the output has failed.
static void serve(const sink_options *o, sink_accounting *accounting, int signals)
{
    bool in_place = isatty(STDERR_FILENO);
    uint64_t interval = o->rates_asked ? o->rates_ns : in_place ? 1000000000 : 0;
    struct pollfd watched[] = {{.fd = signals, .events = POLLIN}, {.fd = accounting->done, .events = POLLIN}};
    sink_totals before = accounting_totals(accounting);
    double last = now();
    for (;;) {
        int timeout = -1;
        if (interval && !o->quiet) {
            double left = last + (double)interval * 1e-9 - now();
            timeout = left > 0 ? (int)(left * 1000) + 1 : 0;
        }
        int ready = poll(watched, 2, timeout);
        if (ready > 0)
            break;
        if (ready < 0)
            continue;
        sink_totals after = accounting_totals(accounting);
        double at = now();
        if (in_place || after.spans != before.spans)
            show_rates(&before, &after, at - last, in_place);
        before = after;
        last = at;
    }
    if (interval && !o->quiet && in_place)
        fputs("\r\033[K", stderr);
    struct signalfd_siginfo signal;
    // Reads the signal, so that the descriptor becomes readable again only with the next one.
    if (watched[0].revents && read(signals, &signal, sizeof signal) < 0)
        complain("cannot read the signal: %s", strerror(errno));
}

static void sum_up(sink_accounting *accounting, double seconds)
{
    sink_totals t = accounting_totals(accounting);
    char spans[32], distinct[32], twice[32], bytes[32], requests[32], each[32];
    units_count(spans, t.spans);
    units_count(distinct, t.distinct);
    units_count(twice, t.spans - t.distinct);
    units_count(requests, t.requests);
    units_bytes(bytes, (double)t.bytes);
    fprintf(stderr, "received %s span%s in %s request%s (%s) in %.1f s\n", spans, t.spans == 1 ? "" : "s",
            requests, t.requests == 1 ? "" : "s", bytes, seconds);
    fprintf(stderr, "  %s%s distinct, %s repeated, %" PRIu64 " with an error status\n",
            t.distinct_is_exact ? "" : "at least ", distinct, t.distinct_is_exact ? twice : "unknown",
            t.errors);
    if (t.rejected || t.refused || t.failed || t.replies_lost)
        fprintf(stderr,
                "  %" PRIu64 " spans rejected, %" PRIu64 " requests refused, %" PRIu64 " failed, %" PRIu64
                " replies withheld\n",
                t.rejected, t.refused, t.failed, t.replies_lost);
    for (size_t i = 0; i < accounting->services.service_count; i++) {
        const service_tally *s = &accounting->services.services[i];
        units_count(each, s->spans);
        text name = {0}; // senders choose it
        trace_notes_plain(&name, nsp__slice_of(*s->name ? s->name : "(no name)"));
        fprintf(stderr, "  service %.*s: %s\n", (int)name.length, name.data, each);
        text_free(&name);
    }
}

typedef struct listeners {
    int otlp, web; // sockets; -1: none
    unsigned otlp_port, web_port;
} listeners;

static bool say_where(const sink_options *o, const listeners *l, const sink_web *web)
{
    char place[300];
    listen_place(place, sizeof place, o->listen, l->otlp_port);
    if (!o->quiet)
        fprintf(stderr,
                "nanospan sink: listening for OTLP/HTTP on %s, path /v1/traces; press Ctrl-C to end\n",
                place);
    // Standard error is often a log, which others may read: whoever wants the address in a file finds the token only there.
    if (web != NULL && !o->quiet && o->web.url_file != NULL)
        fprintf(stderr, "nanospan sink: live page: its address, with the token, is in %s\n", o->web.url_file);
    else if (web != NULL && !o->quiet)
        fprintf(stderr, "nanospan sink: live page: %s\n", web_url(web));
    if (web != NULL && web_is_exposed(web))
        complain("warning: the live page can be reached from other machines and is not encrypted: whoever "
                 "can read the traffic can read its token and the spans");
    // The port of the receiver is the last one, so that whoever has waited for it finds the others.
    return (web == NULL || web_write_files(web)) &&
           (o->port_file == NULL || listen_write_port(o->port_file, l->otlp_port));
}

// Starts both listeners, which take their sockets, and serves until told to end. Sets *seconds.
static bool receive(const sink_options *o, listeners *l, sink_accounting *accounting, int signals,
                    double *seconds)
{
    sink_http_options http = o->http;
    http.listener = l->otlp;
    http.live = l->web >= 0 ? live_start(accounting, o->web.memory) : NULL;
    sink_web *web = NULL;
    if (http.live != NULL) {
        web = web_start(&o->web, l->web, l->web_port, http.live);
        l->web = -1;
    }
    const bool complete = o->web.address == NULL || web != NULL;
    sink_http *server = complete ? sink_http_start(&http, accounting) : NULL;
    const double start = now();
    bool sound = server != NULL && say_where(o, l, web);
    if (server != NULL) {
        l->otlp = -1;
        if (sound)
            serve(o, accounting, signals);
        sink_http_stop(server, PATIENCE_NS, signals);
    }
    *seconds = now() - start;
    if (web != NULL)
        web_stop(web);
    if (http.live != NULL)
        live_stop(http.live);
    return sound;
}

static int receive_until_told(const sink_options *o, listeners *l, int signals)
{
    sink_accounting accounting;
    double seconds = 0;
    if (!accounting_open(&accounting, o->output, o->most_distinct, o->exit_after))
        return EXIT_PROBLEM;
    bool sound = receive(o, l, &accounting, signals, &seconds);
    if (l->otlp >= 0) { // it was not started
        accounting_close(&accounting);
        return EXIT_PROBLEM;
    }
    if (!o->quiet)
        sum_up(&accounting, seconds);
    if (o->summary != NULL) {
        text json = {0};
        accounting_json(&accounting, seconds, &json);
        sound = write_file(o->summary, &json) && sound;
        text_free(&json);
    }
    return accounting_close(&accounting) && sound ? EXIT_GOOD : EXIT_PROBLEM;
}

// Opens the sockets first, so that nothing is overwritten if one of the addresses is in use.
static int listen_and_receive(const sink_options *o, int signals)
{
    listeners l = {.otlp = -1, .web = -1};
    int usage = 0;
    l.otlp = listen_on("listen", o->listen, &l.otlp_port, &usage);
    if (l.otlp >= 0 && o->web.address != NULL)
        l.web = listen_on("web", o->web.address, &l.web_port, &usage);
    int result = usage ? EXIT_USAGE : EXIT_PROBLEM;
    if (l.otlp >= 0 && (l.web >= 0 || o->web.address == NULL))
        result = receive_until_told(o, &l, signals);
    if (l.otlp >= 0)
        close(l.otlp);
    if (l.web >= 0)
        close(l.web);
    return result;
}

int command_sink(int argc, char **argv)
{
    sink_options o = {
        .listen = "127.0.0.1:4318",
        .most_distinct = 50000000,
        .connections = 256,
        .fail_status = 503,
        .http = {.most_body = 64 << 20, .retry_after_s = UINT64_MAX, .seed = 1},
        .web = {.memory = 64 << 20},
    };
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    if (o.web.address == NULL && (o.web.port_file != NULL || o.web.url_file != NULL)) {
        complain("--web-port-file and --web-url-file need --web");
        return EXIT_USAGE;
    }
    o.http.connections = (unsigned)o.connections;
    o.http.fail_status = (unsigned)o.fail_status;

    // Blocked before any thread starts, so that all threads inherit it and signals reach only the descriptor.
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // beyond a limit of the size of files, writing fails as it does on a full disk
    int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signals < 0) {
        complain("cannot create a signal descriptor: %s", strerror(errno));
        return EXIT_PROBLEM;
    }
    const int result = listen_and_receive(&o, signals);
    close(signals);
    return result;
}
