// SPDX-License-Identifier: Apache-2.0
//
// `nanospan view`: its options, filters and sort orders. view_tree and view_summary do the drawing.
#include "command.h"
#include "support/options.h"
#include "support/trace_file.h"
#include "support/trace_notes.h"
#include "support/units.h"
#include "summary.h"
#include "waterfall.h"
#include <argp.h>
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct view_options {
    const char *file;
    const char *service;
    const char *root;
    const char *trace; // the first hexadecimal digits of an id
    uint64_t min_duration;
    uint64_t limit; // traces shown; 0: all
    bool errors;
    bool by_start;
    bool summary;
    enum { COLOUR_AUTO, COLOUR_ALWAYS, COLOUR_NEVER } colour;
    view_style style;
} view_options;

enum { OPTION_COLOR = 256, OPTION_LINKS, OPTION_NO_ATTRIBUTES, OPTION_SORT, OPTION_SPANS, OPTION_SUMMARY };

static const struct argp_option OPTIONS[] = {
    {"service", 's', "NAME", 0, "Only traces in which this service took part", 1},
    {"root", 'r', "NAME", 0, "Only traces whose root has this name", 1},
    {"min-duration", 'm', "TIME", 0,
     "Only traces that took at least this long, for instance 750ns, 5us or 1.5ms", 1},
    {"errors", 'e', NULL, 0, "Only traces with a span that failed", 1},
    {"trace", 't', "ID", 0, "Only traces whose id begins with these digits", 1},
    {"limit", 'n', "N", 0, "Show at most N traces (default 10); 0 means all", 2},
    {"spans", OPTION_SPANS, "N", 0, "Show at most N spans of each trace (default 100); 0 means all", 2},
    {"sort", OPTION_SORT, "ORDER", 0, "slowest (the default), or start, which sorts by start time", 2},
    {"summary", OPTION_SUMMARY, NULL, 0, "Instead of traces, show counts and percentiles for each root name",
     2},
    {"links", OPTION_LINKS, NULL, 0,
     "Show each link, also of spans that have many, such as one that was kept with its history", 3},
    {"no-attributes", OPTION_NO_ATTRIBUTES, NULL, 0,
     "Leave out attributes, events, links and status messages", 3},
    {"color", OPTION_COLOR, "WHEN", 0, "always, never, or auto (on a terminal, unless NO_COLOR is set)", 3},
    {0},
};

static const char DOC[] =
    "Shows the traces in a file of OTLP JSON lines as trees, slowest first. Such files come from `nanospan "
    "sink --output`, from nanospan's file exporter, and from the OpenTelemetry Collector's file exporter. A "
    "FILE of - means standard input."
    "\v"
    "NAME may be a pattern: * matches any characters, ? matches one character, and [ab] matches a or b. For "
    "each span the tree shows its duration, its self time (the part that no child covers; a dot means all of "
    "it), and its place on the trace's time line.\n\n"
    "Exit codes: 0 everything was read; 1 the file could not be read, or malformed lines were skipped; 2 "
    "wrong command line.\n\n"
    "Examples:\n  nanospan view spans.jsonl\n  nanospan view --errors --min-duration 50us --limit 3 "
    "spans.jsonl\n"
    "  nanospan view --summary spans.jsonl\n";

static bool one_of(const char *option, const char *given, const char *const *words, int *chosen)
{
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], given) == 0) {
            *chosen = i;
            return true;
        }
    text list = {0};
    for (int i = 0; words[i] != NULL; i++)
        text_format(&list, "%s%s", i ? ", " : "", words[i]);
    complain("--%s takes one of %.*s, not '%s'", option, (int)list.length, list.data, given);
    text_free(&list);
    return false;
}

static bool trace_prefix(const char *given)
{
    size_t length = strlen(given);
    if (length && length <= 32 && strspn(given, "0123456789abcdefABCDEF") == length)
        return true;
    complain("--trace takes 1 to 32 hexadecimal digits, the beginning of a trace id, not '%s'", given);
    return false;
}

static bool set_option(view_options *o, int key, const char *given)
{
    static const char *const COLOURS[] = {"auto", "always", "never", NULL}, *const ORDERS[] = {"slowest",
                                                                                               "start", NULL};
    int chosen = 0;
    bool sound = true;
    switch (key) {
    case 's': o->service = given; break;
    case 'r': o->root = given; break;
    case 'e': o->errors = true; break;
    case 'm': return option_duration("min-duration", given, &o->min_duration);
    case 'n': return option_count("limit", given, 0, UINT64_MAX, &o->limit);
    case 't': o->trace = given; return trace_prefix(given);
    case OPTION_SPANS: return option_count("spans", given, 0, UINT64_MAX, &o->style.most_rows);
    case OPTION_SUMMARY: o->summary = true; break;
    case OPTION_LINKS: o->style.links = true; break;
    case OPTION_NO_ATTRIBUTES: o->style.attributes = false; break;
    case OPTION_SORT:
        sound = one_of("sort", given, ORDERS, &chosen);
        o->by_start = chosen == 1;
        break;
    case OPTION_COLOR:
        sound = one_of("color", given, COLOURS, &chosen);
        o->colour = chosen == 1 ? COLOUR_ALWAYS : chosen == 2 ? COLOUR_NEVER : COLOUR_AUTO;
        break;
    default: sound = false;
    }
    return sound;
}

static error_t parse(int key, char *given, struct argp_state *state)
{
    view_options *o = state->input;
    switch (key) {
    case ARGP_KEY_ARG:
        if (o->file != NULL)
            argp_error(state, "view takes one file; '%s' is a second one", given);
        o->file = given;
        return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "give the name of a file, or - for standard input"); return 0;
    case 's':
    case 'r':
    case 'e':
    case 'm':
    case 'n':
    case 't':
    case OPTION_SPANS:
    case OPTION_SUMMARY:
    case OPTION_LINKS:
    case OPTION_NO_ATTRIBUTES:
    case OPTION_SORT:
    case OPTION_COLOR:
        if (!set_option(o, key, given))
            exit(EXIT_USAGE);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static bool has_service(const trace_store *store, const trace *t, const bool *service_matches)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (service_matches[store->rows[t->first + i].service])
            return true;
    return false;
}

static bool id_begins(const trace *t, const char *prefix)
{
    char id[40];
    snprintf(id, sizeof id, "%016" PRIx64 "%016" PRIx64, t->id[0], t->id[1]);
    return strncasecmp(id, prefix, strlen(prefix)) == 0;
}

static bool passes(const view_options *o, const trace_store *store, const trace *t,
                   const bool *service_matches)
{
    if (!t->count || t->duration < o->min_duration || (o->errors && !t->errors))
        return false;
    if (o->root != NULL &&
        (!t->rooted || fnmatch(o->root, store->strings[store->rows[t->root].name].text, 0) != 0))
        return false;
    if (o->trace != NULL && !id_begins(t, o->trace))
        return false;
    return o->service == NULL || has_service(store, t, service_matches);
}

// The traces that pass the filters; the caller frees the array.
static const trace **choose(const view_options *o, const trace_store *store, size_t *count)
{
    const trace **chosen = need_memory((store->trace_count + 1) * sizeof *chosen);
    bool *service_matches = need_zeroes(store->string_count, sizeof *service_matches);
    for (size_t i = 0; o->service != NULL && i < store->string_count; i++)
        service_matches[i] = fnmatch(o->service, store->strings[i].text, 0) == 0;
    *count = 0;
    for (size_t i = 0; i < store->trace_count; i++)
        if (passes(o, store, &store->traces[i], service_matches))
            chosen[(*count)++] = &store->traces[i];
    free(service_matches);
    return chosen;
}

static int by_start(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    if (left->start != right->start)
        return left->start < right->start ? -1 : 1;
    return left < right ? -1 : 1;
}

static int slowest_first(const void *a, const void *b)
{
    const trace *left = *(const trace *const *)a, *right = *(const trace *const *)b;
    if (left->duration != right->duration)
        return left->duration > right->duration ? -1 : 1;
    return by_start(a, b);
}

static int by_place_in_file(const void *a, const void *b)
{
    const span_row *left = ((const span_notes *)a)->row, *right = ((const span_notes *)b)->row;
    if (left->line != right->line)
        return left->line < right->line ? -1 : 1;
    return left->ordinal < right->ordinal ? -1 : left->ordinal > right->ordinal;
}

static int by_row(const void *a, const void *b)
{
    const span_row *left = ((const span_notes *)a)->row, *right = ((const span_notes *)b)->row;
    return left < right ? -1 : left > right;
}

static void free_notes(span_notes *notes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < notes[i].count; k++)
            text_free(&notes[i].notes[k].text);
        free(notes[i].notes);
    }
    free(notes);
}

// The notes of one trace's rows, in the order of the rows. Returns NULL after printing an error.
static span_notes *notes_of(trace_file *file, const trace_store *store, const trace *t)
{
    span_notes *notes = need_zeroes(t->count, sizeof *notes);
    for (uint32_t i = 0; i < t->count; i++)
        notes[i].row = &store->rows[t->first + i];
    qsort(notes, t->count, sizeof *notes, by_place_in_file);
    if (!trace_file_notes(file, store, notes, t->count)) {
        free_notes(notes, t->count);
        return NULL;
    }
    qsort(notes, t->count, sizeof *notes, by_row);
    return notes;
}

static bool flush(text *out)
{
    bool sound = text_print(out);
    out->length = 0;
    return sound;
}

static bool show_traces(const view_options *o, trace_file *file, const trace_store *store, paint *p,
                        const trace *const *chosen, size_t count)
{
    size_t shown = o->limit && o->limit < count ? (size_t)o->limit : count;
    for (size_t i = 0; i < shown; i++) {
        span_notes *notes = o->style.attributes ? notes_of(file, store, chosen[i]) : NULL;
        if (o->style.attributes && notes == NULL)
            return false;
        view_waterfall(p, store, chosen[i], notes, &o->style);
        text_char(p->out, '\n');
        if (notes != NULL)
            free_notes(notes, chosen[i]->count);
        if (!flush(p->out))
            return false;
    }
    return true;
}

static void closing_line(const view_options *o, const trace_file *file, const trace_store *store, paint *p,
                         size_t count)
{
    char spans[UNITS_SIZE], traces[UNITS_SIZE], number[UNITS_SIZE];
    text line = {0};
    units_count(spans, store->row_count - store->duplicates);
    units_count(traces, store->seen_traces);
    units_count(number, o->limit && o->limit < count ? o->limit : count);
    if (!o->summary && o->limit && o->limit < count)
        text_format(&line, "%s of the ", number);
    units_count(number, count);
    if (count < store->seen_traces)
        text_format(&line, "%s matching %s; ", number, count == 1 ? "trace" : "traces");
    text_format(&line, "%s %s, %s %s", traces, store->seen_traces == 1 ? "trace" : "traces", spans,
                store->row_count - store->duplicates == 1 ? "span" : "spans");
    text_put(&line, " in ");
    trace_notes_plain(&line, nsp__slice_of(file->name));
    if (store->duplicates)
        text_format(&line, "; left out: %" PRIu64 " repeated %s", store->duplicates,
                    store->duplicates == 1 ? "span" : "spans");
    if (file->bad_spans)
        text_format(&line, "; left out: %" PRIu64 " %s without an id", file->bad_spans,
                    file->bad_spans == 1 ? "span" : "spans");
    text_char(&line, '\n');
    paint_add(p, PAINT_DIM, (slice){line.data, line.length});
    text_free(&line);
}

static bool show(const view_options *o, trace_file *file, trace_store *store)
{
    text out = {0};
    bool coloured = o->colour == COLOUR_ALWAYS;
    const char *no_colour = getenv("NO_COLOR");
    if (o->colour == COLOUR_AUTO)
        coloured = isatty(STDOUT_FILENO) && !(no_colour != NULL && *no_colour);
    paint p = {.out = &out, .coloured = coloured, .width = paint_terminal_width()};
    size_t count = 0;
    const trace **chosen = choose(o, store, &count);
    bool sound = true;
    if (o->summary) {
        view_summary(&p, store, chosen, count);
    } else {
        qsort(chosen, count, sizeof *chosen, o->by_start ? by_start : slowest_first);
        sound = show_traces(o, file, store, &p, chosen, count);
    }
    closing_line(o, file, store, &p, count);
    sound = sound && flush(&out);
    free(chosen);
    text_free(&out);
    return sound;
}

int command_view(int argc, char **argv)
{
    view_options o = {.limit = 10, .style = {.attributes = true, .most_rows = 100}};
    static const struct argp parser = {.options = OPTIONS, .parser = parse, .args_doc = "FILE", .doc = DOC};
    argp_parse(&parser, argc, argv, 0, NULL, &o);
    trace_file file;
    if (!trace_file_open(&file, o.file))
        return EXIT_PROBLEM;
    file.show_progress = isatty(STDERR_FILENO);
    trace_store store;
    trace_store_init(&store);
    bool sound = trace_file_read(&file, &store);
    if (sound) {
        trace_store_arrange(&store);
        sound = show(&o, &file, &store);
        if (!sound && ferror(stdout) && errno != EPIPE)
            complain("cannot write: %s", strerror(errno));
    }
    if (file.bad_lines)
        complain("%s: %" PRIu64 " malformed %s skipped", file.name, file.bad_lines,
                 file.bad_lines == 1 ? "line was" : "lines were");
    sound = sound && !file.bad_lines && !file.bad_notes;
    trace_store_free(&store);
    trace_file_close(&file);
    return sound ? EXIT_GOOD : EXIT_PROBLEM;
}
