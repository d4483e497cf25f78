// SPDX-License-Identifier: Apache-2.0
//
// The engines on a terminal. Only what has changed is written to it, by ncurses, which also finds out what the terminal
// can do. Signals that end the command are read from a descriptor, so the terminal is always restored.
#include "top.h"

#include "command.h"
#include "support/complain.h"
#include "support/paint.h"
#include "common/time.h"
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <ncurses.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

typedef struct screen {
    top_options options;
    figures all;
    char problem[200];           // why the last look failed; "": it did not
    char *selected;              // the engine's session; NULL: none yet
    bool details;                // those of the selected engine are shown
    bool help;                   // the keys are shown instead
    size_t help_scroll;          // lines of that list that are above the first one shown
    bool typing;                 // the filter
    char before[TOP_FILTER_MAX]; // the filter, if typing is given up
    size_t scroll;               // rows of the table that are above the first one shown
} screen;

static const char *const KEYS[] = {
    "q             end",
    "h ?           this list; any key that does not scroll it closes it",
    "up down k j   choose an engine; page up and page down: one further away",
    "Enter d       its details: each cause of loss, requests, draining, sampling",
    "t             a line for each thread",
    "s S           sort by the next, or the previous, column",
    "r             the other way round",
    "/             filter by a part of a name, or by a process id; Esc gives up",
    "space         look now",
    "Ctrl-L        draw everything again, after others have written on the terminal",
    "",
    "LOST/s        spans dropped, and traces refused since a ring was too full",
    "RING PEAK     how full the fullest ring is, and was at most when it was emptied",
    "LAG           how long records had waited in the rings when they were emptied",
    "ANSWER        how long the receiver takes to answer",
    "RATE          the share of traces that are recorded, + the number of rules",
};

// ---- drawing ----

static attr_t attributes(const screen *s, top_style style)
{
    const bool colours = s->options.colours && has_colors();
    switch (style) {
    case TOP_BOLD: return A_BOLD;
    case TOP_HEAD: return A_REVERSE;
    case TOP_DIM: return A_DIM;
    case TOP_WARN: return colours ? (attr_t)COLOR_PAIR(1) : A_BOLD;
    case TOP_BAD: return colours ? (attr_t)(COLOR_PAIR(2) | A_BOLD) : A_BOLD | A_UNDERLINE;
    default: return A_NORMAL;
    }
}

static void draw(const screen *s, int row, const top_line *line, bool selected)
{
    if (row >= LINES)
        return;
    const attr_t how = attributes(s, line->style) | (selected ? A_REVERSE : 0);
    const slice shown = paint_head((slice){line->text.data, line->text.length}, (size_t)COLS);
    move(row, 0);
    attrset((int)how);
    addnstr(shown.text, (int)shown.length);
    if (selected || line->style == TOP_HEAD) // to the edge
        for (int column = getcurx(stdscr); getcury(stdscr) == row && column < COLS; column++)
            addch(' ');
    attrset(A_NORMAL);
}

static void draw_text(int row, attr_t how, const char *value)
{
    const slice shown = paint_head(nsp__slice_of(value), (size_t)COLS);
    attrset((int)how);
    mvaddnstr(row, 0, shown.text, (int)shown.length);
    attrset(A_NORMAL);
}

enum { KEY_LINES = sizeof KEYS / sizeof KEYS[0] };

// A line is free below the title, unless the list is longer than the terminal.
static bool help_fits(void)
{
    return LINES >= KEY_LINES + 2;
}

static void draw_help(screen *s)
{
    const size_t first = help_fits() ? 2 : 1, rows = (size_t)LINES - first;
    if (s->help_scroll + rows > KEY_LINES)
        s->help_scroll = rows < KEY_LINES ? KEY_LINES - rows : 0;
    draw_text(0, A_BOLD,
              help_fits() ? "nanospan top: keys"
                          : "nanospan top: keys; up and down show the others, any other key closes this");
    for (size_t i = 0; i < rows && s->help_scroll + i < KEY_LINES; i++)
        draw_text((int)(first + i), A_NORMAL, KEYS[s->help_scroll + i]);
}

// False: this is no key for that.
static bool scroll_help(screen *s, int key)
{
    const size_t page = LINES > 2 ? (size_t)LINES - 2 : 1;
    const bool up = key == KEY_UP || key == 'k', up_page = key == KEY_PPAGE;
    const bool down = key == KEY_DOWN || key == 'j', down_page = key == KEY_NPAGE;
    if (help_fits() || !(up || up_page || down || down_page))
        return false;
    const size_t by = up_page || down_page ? page : 1;
    if (down || down_page)
        s->help_scroll += by; // as far as there is something below, see draw_help
    else
        s->help_scroll -= by < s->help_scroll ? by : s->help_scroll;
    return true;
}

static bool is_selected(const screen *s, const figures_engine *engine)
{
    return engine != NULL && s->selected != NULL && strcmp(engine->name, s->selected) == 0;
}

// The row of the selected engine itself, before those of its threads; without it, the first engine's, which then is
// selected: so there always is one while there are engines.
static size_t selected_row(screen *s, const top_lines *table)
{
    for (size_t i = 1; i < table->count; i++)
        if (is_selected(s, table->lines[i].engine))
            return i;
    free(s->selected);
    s->selected = NULL;
    if (table->count > 1 && table->lines[1].engine != NULL) {
        const char *name = table->lines[1].engine->name;
        s->selected = need_copy(name);
    }
    return 1;
}

static void draw_foot(const screen *s)
{
    char line[TOP_FILTER_MAX + 40];
    if (s->typing) {
        snprintf(line, sizeof line, "filter: %s_", s->options.view.filter);
        draw_text(LINES - 1, A_BOLD, line);
    } else if (s->problem[0] != 0) {
        draw_text(LINES - 1, A_BOLD, s->problem);
    } else {
        draw_text(LINES - 1, A_DIM, "q end  h keys  s sort  t threads  d details  / filter");
    }
}

static void draw_all(screen *s)
{
    top_lines summary = {0}, table = {0}, details = {0};
    top_view *view = &s->options.view;
    view->width = (size_t)COLS;
    top_summary(&summary, &s->all, view);
    top_table(&table, &s->all, view);
    const size_t chosen = selected_row(s, &table);
    if (s->details && chosen < table.count && table.lines[chosen].engine != NULL)
        top_details(&details, table.lines[chosen].engine, view);
    // One line for the summary, one for the heads, one for the foot, and the details below the table: as many as there
    // are in what the table leaves, which is at least a half.
    const size_t height = LINES > 3 ? (size_t)LINES - 3 : 0;
    const size_t engines = table.count - 1 < height - height / 2 ? table.count - 1 : height - height / 2;
    const size_t below = details.count < height - engines ? details.count : height - engines;
    const size_t rows = height - below;
    if (chosen - 1 < s->scroll)
        s->scroll = chosen - 1;
    else if (rows != 0 && chosen - 1 >= s->scroll + rows)
        s->scroll = chosen - rows;
    if (table.count - 1 < s->scroll + rows)
        s->scroll = table.count - 1 > rows ? table.count - 1 - rows : 0;
    draw(s, 0, &summary.lines[0], false);
    draw(s, 1, &table.lines[0], false);
    for (size_t i = 0; i < rows && s->scroll + i + 1 < table.count; i++) {
        const size_t at = s->scroll + i + 1;
        draw(s, (int)i + 2, &table.lines[at], at == chosen && table.lines[at].engine != NULL);
    }
    for (size_t i = 0; i < below; i++)
        draw(s, (int)(2 + rows + i), &details.lines[i], false);
    draw_foot(s);
    top_clear(&summary);
    top_clear(&table);
    top_clear(&details);
}

static void redraw(screen *s)
{
    erase();
    if (s->help)
        draw_help(s);
    else
        draw_all(s);
    refresh();
}

static void look(screen *s)
{
    s->problem[0] = 0;
    if (figures_look(&s->all, s->options.shm_dir) != NSP_OK)
        snprintf(s->problem, sizeof s->problem, "the sessions cannot be read: %s", nsp_error_detail());
}

// ---- keys ----

// by: 1 or -1. Engines in the order of the table.
static void select_next(screen *s, int by)
{
    top_lines table = {0};
    top_table(&table, &s->all, &s->options.view);
    const figures_engine *before = NULL, *found = NULL, *last = NULL;
    for (size_t i = 1; i < table.count && found == NULL; i++) {
        const figures_engine *engine = table.lines[i].engine;
        if (engine == NULL || engine == last)
            continue;
        if (by > 0 && last != NULL && is_selected(s, last))
            found = engine;
        else if (by < 0 && is_selected(s, engine))
            found = before;
        before = last = engine;
        if (by < 0 && is_selected(s, engine))
            break;
    }
    if (found != NULL) {
        free(s->selected);
        s->selected = need_copy(found->name);
    }
    top_clear(&table);
}

static void select_page(screen *s, int by)
{
    for (int i = 0; i < LINES / 2; i++)
        select_next(s, by);
}

static void type(screen *s, int key)
{
    char *filter = s->options.view.filter;
    const size_t length = strlen(filter);
    if (key == '\n' || key == '\r' || key == KEY_ENTER) {
        s->typing = false;
    } else if (key == 27) {
        memcpy(filter, s->before, sizeof s->before);
        s->typing = false;
    } else if (key == KEY_BACKSPACE || key == 127 || key == '\b') {
        size_t end = length;
        while (end > 0 && ((unsigned char)filter[--end] & 0xc0) == 0x80)
            ; // the bytes of one character
        filter[end] = 0;
    } else if (key >= ' ' && key < 256 && length + 1 < TOP_FILTER_MAX) {
        filter[length] = (char)key;
        filter[length + 1] = 0;
    }
}

static void begin_typing(screen *s)
{
    s->typing = true;
    memcpy(s->before, s->options.view.filter, sizeof s->before);
    s->options.view.filter[0] = 0;
}

// False: the user has ended it. *now: look again at once.
static bool press(screen *s, int key, bool *now)
{
    top_view *view = &s->options.view;
    if (key == KEY_RESIZE)
        return true;
    if (s->help) {
        s->help = scroll_help(s, key);
        return true;
    }
    if (s->typing) {
        type(s, key);
        return true;
    }
    switch (key) {
    case 'q': return false;
    case 'h':
    case '?':
        s->help = true;
        s->help_scroll = 0;
        break;
    case KEY_UP:
    case 'k': select_next(s, -1); break;
    case KEY_DOWN:
    case 'j': select_next(s, 1); break;
    case KEY_PPAGE: select_page(s, -1); break;
    case KEY_NPAGE: select_page(s, 1); break;
    case 'l' & 0x1f: clearok(curscr, TRUE); break;
    case '\n':
    case '\r':
    case KEY_ENTER:
    case 'd': s->details = !s->details; break;
    case 't': view->threads = !view->threads; break;
    case 's': view->sort = (top_sort)((view->sort + 1) % TOP_SORTS); break;
    case 'S': view->sort = (top_sort)((view->sort + TOP_SORTS - 1) % TOP_SORTS); break;
    case 'r': view->reverse = !view->reverse; break;
    case '/': begin_typing(s); break;
    case ' ': *now = true; break;
    default: break;
    }
    return true;
}

// False: it is to end.
static bool take_keys(screen *s, bool *now)
{
    for (int key; (key = getch()) != ERR;)
        if (!press(s, key, now))
            return false;
    return true;
}

static void run(screen *s, int signals)
{
    struct pollfd watched[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    uint64_t next_ns = 0;
    for (bool now = true;;) {
        uint64_t at = nsp__monotonic_ns();
        if (now || at >= next_ns) {
            look(s);
            next_ns = nsp__later(now ? 0 : next_ns + s->options.interval_ns, at + s->options.interval_ns / 2);
            now = false;
        }
        redraw(s);
        at = nsp__monotonic_ns();
        const uint64_t left = next_ns > at ? next_ns - at : 0;
        const struct timespec wait = nsp__timespec_of(left);
        // A signal that interrupts this is SIGWINCH, or SIGCONT: getch tells which.
        const int ready = ppoll(watched, 2, &wait, NULL);
        if (ready > 0 && watched[1].revents != 0)
            return;
        if (ready > 0 && (watched[0].revents & (POLLHUP | POLLERR | POLLNVAL)) != 0)
            return; // the terminal is gone; it may say that there is something to read all the same
        if (!take_keys(s, &now))
            return;
    }
}

// ---- begin and end ----

// Names are UTF-8, whatever the environment says of the terminal.
static void set_locale(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
}

static void prepare_screen(const screen *s)
{
    set_escdelay(50);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    curs_set(0);
    if (!s->options.colours || !has_colors())
        return;
    start_color();
    use_default_colors();
    init_pair(1, COLOR_YELLOW, -1);
    init_pair(2, COLOR_RED, -1);
}

static int show(const top_options *options, int signals)
{
    screen s = {.options = *options};
    set_locale();
    if (!top_terminal_suits())
        return EXIT_PROBLEM;
    SCREEN *terminal = newterm(NULL, stdout, stdin);
    if (terminal == NULL) {
        complain("there is not enough memory for a screen");
        return EXIT_PROBLEM;
    }
    prepare_screen(&s);
    run(&s, signals);
    endwin();
    delscreen(terminal);
    figures_free(&s.all);
    free(s.selected);
    return EXIT_GOOD;
}

int top_screen(const top_options *options)
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGQUIT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    const int signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signals < 0) {
        complain("cannot create a signal descriptor: %s", strerror(errno));
        return EXIT_PROBLEM;
    }
    const int result = show(options, signals);
    close(signals);
    return result;
}
