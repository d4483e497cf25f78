// SPDX-License-Identifier: Apache-2.0
//
// `nanospan top`: its options, and printing where there is no screen.
#include "top.h"

#include "command.h"
#include "support/complain.h"
#include "support/options.h"
#include "support/paint.h"
#include "common/time.h"
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { OPTION_SHM_DIR = 256, OPTION_ONCE, OPTION_JSON, OPTION_NO_COLOR };

static const struct argp_option OPTIONS[] = {
    {"interval", 'i', "TIME", 0, "From one look to the next, 100ms to 60m (default 1s)", 1},
    {"sort", 's', "COLUMN", 0, "spans (the default), lost, ring, lag, answer, service or pid", 1},
    {"filter", 'f', "TEXT", 0, "Show only engines and threads whose name has this in it, or whose id it is",
     1},
    {"threads", 't', NULL, 0, "Show a line for each thread", 1},
    {"once", OPTION_ONCE, NULL, 0, "Look twice, so that there are rates, print the figures as text, and end",
     2},
    {"json", OPTION_JSON, NULL, 0, "Print one line of JSON for each look; with --once, one", 2},
    {"no-color", OPTION_NO_COLOR, NULL, 0, "No colours; the environment's NO_COLOR means the same", 2},
    {"shm-dir", OPTION_SHM_DIR, "FOLDER", 0,
     "The folder of sessions (default: NSP_SHM_DIR, otherwise /dev/shm)", 2},
    {0},
};

static const char DOC[] =
    "Shows the engines of this user while they run: spans a second, what is lost, how full rings are, how "
    "far "
    "draining is behind, how long the receiver takes, and what is sampled. Engines do not notice."
    "\v"
    "On the screen: q ends, h lists the keys.\n\n"
    "Exit codes: 0 success; 1 the sessions cannot be read, or there is no terminal; 2 wrong command line.\n\n"
    "Examples:\n"
    "  nanospan top\n"
    "  nanospan top --threads --filter engine\n"
    "  nanospan top --once\n"
    "  nanospan top --json --interval 10s >> engines.jsonl\n";

static bool interval_of(const char *given, top_options *o)
{
    if (!option_duration("interval", given, &o->interval_ns))
        return false;
    if (o->interval_ns >= NSP__SECOND / 10 && o->interval_ns <= 3600 * NSP__SECOND)
        return true;
    complain("--interval takes 100ms to 60m, not '%s'", given);
    return false;
}

static bool sort_of(const char *given, top_options *o)
{
    for (unsigned i = 0; i < TOP_SORTS; i++)
        if (strcmp(given, top_sort_names[i]) == 0) {
            o->view.sort = (top_sort)i;
            return true;
        }
    complain("--sort takes spans, lost, ring, lag, answer, service or pid, not '%s'", given);
    return false;
}

static bool filter_of(const char *given, top_options *o)
{
    if (strlen(given) < sizeof o->view.filter) {
        memcpy(o->view.filter, given, strlen(given) + 1);
        return true;
    }
    complain("--filter takes at most %d characters", TOP_FILTER_MAX - 1);
    return false;
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    top_options *o = state->input;
    bool right = true;
    switch (key) {
    case 'i': right = interval_of(given, o); break;
    case 's': right = sort_of(given, o); break;
    case 'f': right = filter_of(given, o); break;
    case 't': o->view.threads = true; break;
    case OPTION_SHM_DIR: right = option_text("shm-dir", given, &o->shm_dir); break;
    case OPTION_ONCE: o->once = true; break;
    case OPTION_JSON: o->json = true; break;
    case OPTION_NO_COLOR: o->colours = false; break;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument '%s'; top takes only options", given); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    if (!right)
        exit(EXIT_USAGE);
    return 0;
}

static bool look(figures *all, const top_options *o)
{
    const bool seen = figures_look(all, o->shm_dir) == NSP_OK;
    if (!seen)
        complain("the sessions cannot be read: %s", nsp_error_detail());
    return seen;
}

static bool print(const text *out)
{
    const bool written = text_print(out);
    if (!written)
        complain("cannot write to standard output: %s", strerror(errno));
    return written;
}

static void pause_until(uint64_t until_ns)
{
    const struct timespec until = nsp__timespec_of(until_ns);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

// Everything that the screen can show.
static void tables(text *out, const figures *all, const top_options *o)
{
    top_lines lines = {0};
    top_summary(&lines, all, &o->view);
    top_table(&lines, all, &o->view);
    const size_t rows = lines.count;
    for (size_t i = 0; i < rows; i++) {
        const figures_engine *engine = lines.lines[i].engine;
        if (engine == NULL || engine == lines.lines[i - 1].engine) // a thread's follows its engine's
            continue;
        top_add(&lines, TOP_PLAIN, "%s", "");
        top_details(&lines, engine, &o->view);
    }
    for (size_t i = 0; i < lines.count; i++) {
        text_slice(out, (slice){lines.lines[i].text.data, lines.lines[i].text.length});
        text_char(out, '\n');
    }
    top_clear(&lines);
}

static int print_looks(const top_options *o)
{
    figures all = {0};
    bool sound = look(&all, o);
    uint64_t next_ns = nsp__monotonic_ns();
    for (bool first = true, more = sound; more; first = false) {
        text out = {0};
        if (o->json && !(o->once && first))
            top_json(&out, &all);
        else if (!first)
            tables(&out, &all, o);
        more = sound = print(&out);
        text_free(&out);
        if (!more || (o->once && !first))
            break;
        next_ns += o->interval_ns;
        pause_until(next_ns);
        more = sound = look(&all, o);
    }
    figures_free(&all);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}

int command_top(int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR");
    top_options o = {.interval_ns = NSP__SECOND, .colours = no_colour == NULL || !*no_colour};
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    o.view.width = paint_terminal_width();
    if (o.once || o.json)
        return print_looks(&o);
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        complain("there is no terminal to show the engines on; --once and --json need none");
        return EXIT_PROBLEM;
    }
    return top_screen(&o);
}
