// SPDX-License-Identifier: Apache-2.0
//
// The command `nanospan`: finds the subcommand and runs it. A new subcommand needs a source file, a line in
// command.h and a line in the table below.
#include "command.h"
#include "support/complain.h"
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct subcommand {
    const char *name;
    const char *title; // the beginning of its usage and error messages
    const char *purpose;
    int (*run)(int argc, char **argv);
} subcommand;

static const subcommand SUBCOMMANDS[] = {
    {"sink", "nanospan sink", "receive spans over OTLP/HTTP, count them, and write them to a file",
     command_sink},
    {"view", "nanospan view", "show the traces in a file as trees, slowest first, or as a page for a browser",
     command_view},
    {"doctor", "nanospan doctor", "find out why traces do not arrive and what to do about it",
     command_doctor},
    {"recover", "nanospan recover", "send the spans that engines could not send before they died",
     command_recover},
    {"agent", "nanospan agent", "drain the engines of this user from outside, and recover those that die",
     command_agent},
    {"top", "nanospan top", "show the engines of this user while they run", command_top},
    {"metrics", "nanospan metrics", "print or serve the figures of this user's engines for Prometheus",
     command_metrics},
    {"tune", "nanospan tune", "change what a running engine samples", command_tune},
    {"snapshot", "nanospan snapshot", "export what a running engine did just now and did not keep",
     command_snapshot},
    {"version", "nanospan version", "print the version", command_version},
};
#define SUBCOMMAND_COUNT (sizeof SUBCOMMANDS / sizeof SUBCOMMANDS[0])

static void help(FILE *to)
{
    fprintf(to, "usage: nanospan COMMAND [OPTIONS]\n"
                "Receives spans and shows them, and looks after the programs that record them.\n\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        fprintf(to, "  %-10s %s\n", SUBCOMMANDS[i].name, SUBCOMMANDS[i].purpose);
    fprintf(to, "\n'nanospan COMMAND --help' explains the options of a command.\n"
                "Exit codes: 0 success; 1 a problem, explained on stderr; 2 wrong command line. For doctor, "
                "see its help.\n");
}

// What is opened next would otherwise take the place of a standard stream that was closed, and get its messages. Use
// of a closed stream still fails: the other direction is open.
static void fill_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static int run(const subcommand *chosen, int argc, char **argv)
{
    char title[64];
    snprintf(title, sizeof title, "%s", chosen->title);
    argv[0] = title;
    program_invocation_name = program_invocation_short_name = title;
    argp_err_exit_status = EXIT_USAGE;
    return chosen->run(argc, argv);
}

static const subcommand *find(const char *name)
{
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++)
        if (strcmp(SUBCOMMANDS[i].name, name) == 0)
            return &SUBCOMMANDS[i];
    return NULL;
}

int main(int argc, char **argv)
{
    char program[] = "nanospan";
    fill_closed_streams();
    program_invocation_name = program_invocation_short_name = program;
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    bool asks_help = strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0;
    if (asks_help && argc == 2) {
        help(stdout);
        return fflush(stdout) ? EXIT_PROBLEM : EXIT_GOOD;
    }
    if (asks_help)
        name = argv[2];
    const subcommand *chosen = find(name);
    if (chosen == NULL) {
        complain("unknown command '%s'; 'nanospan --help' lists the commands", name);
        return EXIT_USAGE;
    }
    if (asks_help) {
        char option[] = "--help";
        char *help_argv[] = {NULL, option, NULL};
        return run(chosen, 2, help_argv);
    }
    return run(chosen, argc - 1, argv + 1);
}
