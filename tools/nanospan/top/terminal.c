// SPDX-License-Identifier: Apache-2.0
//
// Whether the terminal can show a screen. Alone in its file, because <term.h> defines many short names.
#include "top.h"

#include "support/complain.h"
#include <curses.h>
#include <stdlib.h>
#include <term.h>
#include <unistd.h>

bool top_terminal_suits(void)
{
    const char *name = getenv("TERM");
    int found;
    if (name == NULL || !*name) {
        complain("the environment does not say which terminal this is (TERM); --once and --json need none");
        return false;
    }
    if (setupterm(NULL, STDOUT_FILENO, &found) != OK) {
        complain("the terminal %s (TERM) is not known here; --once and --json need none", name);
        return false;
    }
    char place[] = "cup";
    const bool suits = tigetstr(place) != NULL;
    if (!suits)
        complain("the terminal %s (TERM) cannot place text; --once and --json need none", name);
    del_curterm(cur_term);
    return suits;
}
