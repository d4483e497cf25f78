// SPDX-License-Identifier: Apache-2.0
//
// The inside of `nanospan tune`: tune.c reads its options, choose.c finds the engines that are meant, change.c changes
// them, and show.c says what is in force.
#ifndef NANOSPAN_TUNE_TUNE_H
#define NANOSPAN_TUNE_TUNE_H

#include "support/figures.h"
#include "support/text.h"
#include <nanospan/tune.h>

typedef struct tune_options {
    const char *wanted;       // the SESSION
    const char *shm_dir;      // NULL: the environment's
    nsp_tune_change *changes; // in the order in which they are made
    size_t count, capacity;
    bool show, all, json;
    int argc; // the whole command line, for messages that say what to type instead
    char **argv;
} tune_options;

// Engines that run, and can be read.
typedef struct tune_choice {
    figures seen;
    const char *folder;       // of the sessions; NULL: the environment's
    char *folder_owned;       // the same, if it is that of a directory on the command line
    figures_engine **engines; // of `seen`
    size_t count;
} tune_choice;

// Finds what is meant. False after a message. To be freed in both cases.
bool tune_choose(tune_choice *out, const tune_options *o);
void tune_choice_free(tune_choice *choice);

// Changes all of them: each whole or not at all, and none if it can be seen before that one cannot be changed. Only
// those that were changed are in the choice then. False, after a message, if these are not all of them.
bool tune_change(tune_choice *choice, const tune_options *o);

// Prints the state of each, or what is different in it since `before` (NULL: nothing was changed). False after a
// message.
bool tune_show(const tune_choice *now, const tune_choice *before, const tune_options *o);

// Looks again at the same engines. One that has ended meanwhile is missing then. False after a message.
bool tune_look_again(tune_choice *out, const tune_choice *before);

#endif
