// SPDX-License-Identifier: Apache-2.0
//
// The subcommands: one function each, called with argv[0] = "nanospan NAME". They share the meaning of exit
// codes.
#ifndef NANOSPAN_COMMAND_H
#define NANOSPAN_COMMAND_H

enum {
    EXIT_GOOD = 0,    // everything was done
    EXIT_PROBLEM = 1, // done in part or not at all; a message on stderr says what and why
    EXIT_USAGE = 2,   // the command line is wrong; nothing was done
};

int command_doctor(int argc, char **argv);
int command_sink(int argc, char **argv);
int command_view(int argc, char **argv);
int command_recover(int argc, char **argv);
int command_agent(int argc, char **argv);
int command_top(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_tune(int argc, char **argv);
int command_snapshot(int argc, char **argv);
int command_version(int argc, char **argv);

#endif
