// SPDX-License-Identifier: Apache-2.0
#include "view_options.h"

#include "command.h"
#include "support/options.h"
#include <stdlib.h>
#include <unistd.h>

enum {
    OPTION_COLOR = 256,
    OPTION_HTML,
    OPTION_COMPARE,
    OPTION_COMPARE_AT,
    OPTION_COMPARE_SLOWEST,
    OPTION_CRITICAL,
    OPTION_LINKS,
    OPTION_NO_ATTRIBUTES,
    OPTION_PERFETTO,
    OPTION_SORT,
    OPTION_SPANS,
    OPTION_SUMMARY,
    OPTION_WHERE
};

static const struct argp_option OPTIONS[] = {
    {"service", 's', "NAME", 0, "Only traces in which this service took part", 1},
    {"root", 'r', "NAME", 0, "Only traces whose root has this name", 1},
    {"min-duration", 'm', "TIME", 0,
     "Only traces that took at least this long, for instance 750ns, 5us or 1.5ms", 1},
    {"errors", 'e', NULL, 0, "Only traces with a span that failed", 1},
    {"where", OPTION_WHERE, "KEY=VALUE", 0,
     "Only traces of which a span, or its resource, has this attribute; VALUE may be a pattern, and KEY "
     "alone takes any value. May be repeated: each has to hold, perhaps for another span",
     1},
    {"trace", 't', "ID", 0, "Only traces whose id begins with these digits", 1},
    {"limit", 'n', "N", 0, "Show at most N traces (default 10); 0 means all", 2},
    {"spans", OPTION_SPANS, "N", 0, "Show at most N spans of each trace (default 100); 0 means all", 2},
    {"sort", OPTION_SORT, "ORDER", 0, "slowest (the default), or start, which sorts by start time", 2},
    {"summary", OPTION_SUMMARY, NULL, 0, "Instead of traces, show counts and percentiles for each root name",
     2},
    {"html", OPTION_HTML, "PAGE", 0,
     "Instead, write a page for a browser, with all traces that the options above choose; - is standard "
     "output",
     2},
    {"perfetto", OPTION_PERFETTO, "FILE", 0,
     "Instead, write them to a file for Perfetto, which ui.perfetto.dev opens; - is standard output", 2},
    {"compare", OPTION_COMPARE, "OTHER", 0,
     "Instead of traces, show where the difference to those of another file comes from, phase by phase. May "
     "be repeated: they are read as one",
     2},
    {"compare-slowest", OPTION_COMPARE_SLOWEST, NULL, 0,
     "The same for the slowest 1 % of each root name and those from the 25th to the 75th percentile", 2},
    {"compare-at", OPTION_COMPARE_AT, "TIME", 0,
     "The same for those that started before a UTC time, as it is shown, and from then on; or before and "
     "after so long after the first one, for instance 90s",
     2},
    {"critical", OPTION_CRITICAL, NULL, 0,
     "Mark the critical path: what each trace was waiting for at each instant. With --summary, show of which "
     "phases it consists",
     2},
    {"links", OPTION_LINKS, NULL, 0,
     "Show each link, also of spans that have many, such as one that was kept with its history", 3},
    {"no-attributes", OPTION_NO_ATTRIBUTES, NULL, 0,
     "Leave out attributes, events, links and status messages", 3},
    {"color", OPTION_COLOR, "WHEN", 0, "always, never, or auto (on a terminal, unless NO_COLOR is set)", 3},
    {0},
};

static const char DOC[] =
    "Shows the traces in files of OTLP JSON lines as trees, slowest first. Such files come from `nanospan "
    "sink --output`, from nanospan's file exporter, and from the OpenTelemetry Collector's file exporter. A "
    "FILE of - means standard input. Traces may be spread over several files, which are read as one."
    "\v"
    "NAME and VALUE may be patterns: * matches any characters, ? matches one character, and [ab] matches a "
    "or b. For each span the tree shows its duration, its self time (the part that no child covers; a dot "
    "means all of it), and its place on the trace's time line.\n\n"
    "Exit codes: 0 everything was read; 1 a file could not be read, or malformed lines were skipped; 2 "
    "wrong command line.\n\n"
    "Examples:\n  nanospan view spans.jsonl\n  nanospan view --errors --min-duration 50us --limit 3 "
    "spans.jsonl\n"
    "  nanospan view --critical --where order.id=4711 spans.jsonl\n"
    "  nanospan view --summary spans.jsonl\n  nanospan view --compare-slowest --root order spans.jsonl\n"
    "  nanospan view --compare yesterday.jsonl today.jsonl\n"
    "  nanospan view --html page.html before.jsonl after.jsonl\n"
    "  nanospan view --perfetto spans.pftrace spans.jsonl\n";

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

static void add_name(name_list *list, const char *name)
{
    list->names = need_room(list->names, list->count, &list->capacity, sizeof *list->names);
    list->names[list->count++] = name;
}

static bool compare_with(view_options *o, comparison_kind kind)
{
    const bool sound = o->compare == COMPARE_NOTHING || o->compare == kind;
    o->compare = kind;
    if (!sound)
        complain("--compare, --compare-slowest and --compare-at are different comparisons; choose one");
    return sound;
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
    case 'n': o->limited = true; return option_count("limit", given, 0, UINT64_MAX, &o->limit);
    case 't': o->trace = given; return trace_prefix(given);
    case OPTION_WHERE: return attribute_filter_add(&o->where, given);
    case OPTION_SPANS: return option_count("spans", given, 0, UINT64_MAX, &o->style.most_rows);
    case OPTION_SUMMARY: o->summary = true; break;
    case OPTION_HTML: o->page = given; break;
    case OPTION_PERFETTO: return option_text("perfetto", given, &o->perfetto);
    case OPTION_COMPARE: add_name(&o->others, given); return compare_with(o, COMPARE_FILES);
    case OPTION_COMPARE_SLOWEST: return compare_with(o, COMPARE_SLOWEST);
    case OPTION_COMPARE_AT:
        return compare_with(o, COMPARE_AT) && option_moment("compare-at", given, &o->compare_at);
    case OPTION_CRITICAL: o->style.critical = true; break;
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
    case ARGP_KEY_ARG: add_name(&o->files, given); return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "give the name of a file, or - for standard input"); return 0;
    default:
        if (!option_listed(OPTIONS, key))
            return ARGP_ERR_UNKNOWN;
        if (!set_option(o, key, given))
            exit(EXIT_USAGE);
        return 0;
    }
}

void view_options_read(view_options *o, int argc, char **argv)
{
    static const struct argp parser = {
        .options = OPTIONS, .parser = parse, .args_doc = "FILE...", .doc = DOC};
    *o = (view_options){.limit = 10, .style = {.attributes = true, .most_rows = 100}};
    argp_parse(&parser, argc, argv, 0, NULL, o);
    if ((o->page != NULL || o->perfetto != NULL) && !o->limited)
        o->limit = 0;
    const bool compared = o->compare != COMPARE_NOTHING;
    if (o->page != NULL && (o->summary || compared)) {
        complain("--html and %s exclude each other; the page has %s too",
                 o->summary ? "--summary" : "a comparison", o->summary ? "the summary" : "comparisons");
        exit(EXIT_USAGE);
    }
    if ((o->summary && compared) || (o->perfetto != NULL && (o->page != NULL || o->summary || compared))) {
        complain("%s and %s are two outputs; choose one", o->perfetto != NULL ? "--perfetto" : "--summary",
                 o->perfetto == NULL || compared ? "a comparison"
                 : o->page != NULL               ? "--html"
                                                 : "--summary");
        exit(EXIT_USAGE);
    }
}

void view_options_free(view_options *o)
{
    free(o->files.names);
    free(o->others.names);
    attribute_filter_free(&o->where);
}

bool view_options_coloured(const view_options *o)
{
    const char *no_colour = getenv("NO_COLOR");
    if (o->colour == COLOUR_AUTO)
        return isatty(STDOUT_FILENO) && !(no_colour != NULL && *no_colour);
    return o->colour == COLOUR_ALWAYS;
}
