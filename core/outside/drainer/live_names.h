// SPDX-License-Identifier: Apache-2.0
//
// The names of a session whose engine may be adding to them. Each is copied when it is asked for the first
// time, since what was published once does not change.
#ifndef NSP_OUTSIDE_LIVE_NAMES_H
#define NSP_OUTSIDE_LIVE_NAMES_H

#include "outside/session/session_copy.h"

typedef struct nsp__live_names {
    const uint8_t *control;        // the mapped file
    nsp__section names, name_text; // where they lie in it
    struct nsp__live_name {
        char *text; // NULL: not known yet
        size_t length;
    } * known; // NSP_NAME_MAX
} nsp__live_names;

// control: the session's file of that name, mapped, which has to stay. False: no memory. To be freed in
// either case.
bool nsp__live_names_init(nsp__live_names *names, const nsp__session_copy *copy, const uint8_t *control);
void nsp__live_names_free(nsp__live_names *names);

// The number of this text; 0 if there is no such name yet.
nsp_name nsp__live_name_find(const nsp__live_names *names, const char *text);

// For nsp_exporter_context.name_text: the text, zero terminated and valid until the names are freed; "" if
// there is no such name, or none yet, or what stands there is damaged. One thread at a time.
const char *nsp__live_name_text(const void *names, nsp_name name, size_t *length);

#endif
