// SPDX-License-Identifier: Apache-2.0
//
// What the subcommands share: one function each, called with argv[0] = "nanospan NAME", and one meaning of exit codes.
#ifndef NANOSPAN_COMMAND_H
#define NANOSPAN_COMMAND_H

enum {
    EXIT_GOOD = 0,    // done, without a complaint
    EXIT_PROBLEM = 1, // done in part, or not at all: the message on stderr says what and why
    EXIT_USAGE = 2,   // the command line is wrong; nothing was done
};

int command_doctor(int argc, char **argv);
int command_sink(int argc, char **argv);
int command_view(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
